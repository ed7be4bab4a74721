package org.s2medge.logic

/**
 * Planes as pixels: channels x height x width to height x width x channels, which is how LiteRT takes a picture.
 *
 * @param planes one after the other, as [Preprocessing.normalise] gives them.
 */
fun channelsLast(planes: FloatArray, channels: Int): FloatArray {
    val area = planes.size / channels
    return FloatArray(planes.size) { planes[it % channels * area + it / channels] }
}
