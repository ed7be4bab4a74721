package org.s2medge.logic

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/**
 * The contract's resize rule along one axis: for every target its first source and the weights from there on.
 *
 * A triangle of radius max(1, in/out) around (t + 0.5) * in/out - 0.5, weights normalised to one, sources outside
 * dropped. Enlarging it is plain bilinear; shrinking it averages.
 */
internal class ResampleAxis(val length: Int, val newLength: Int) {
    /** Per target: its first source. */
    val firstSource = IntArray(newLength)

    /** Per target: where its weights begin in [weights]; one entry more than targets. */
    val begin = IntArray(newLength + 1)
    val weights: FloatArray

    init {
        require(length > 0 && newLength > 0)
        val scale = length.toDouble() / newLength
        val radius = max(1.0, scale)
        val all = ArrayList<Float>()
        for (target in 0 until newLength) {
            val centre = (target + 0.5) * scale - 0.5
            val first = max(0, ceil(centre - radius).toInt())
            val last = min(length - 1, floor(centre + radius).toInt())
            val raw = DoubleArray(last - first + 1) { max(0.0, 1.0 - abs(first + it - centre) / radius) }
            val sum = raw.sum()
            firstSource[target] = first
            raw.forEach { all.add((it / sum).toFloat()) }
            begin[target + 1] = all.size
        }
        weights = all.toFloatArray()
    }

    /** One row of [length] values at [from] to [newLength] values at [into]. */
    fun apply(source: FloatArray, from: Int, target: FloatArray, into: Int) {
        for (place in 0 until newLength) {
            var sum = 0f
            var next = from + firstSource[place]
            for (tap in begin[place] until begin[place + 1]) sum += weights[tap] * source[next++]
            target[into + place] = sum
        }
    }
}

/** Resize planes x height x width to planes x newHeight x newWidth, float32, the columns first. */
internal fun resample(
    values: FloatArray,
    planes: Int,
    height: Int,
    width: Int,
    newHeight: Int,
    newWidth: Int,
): FloatArray {
    require(values.size == planes * height * width)
    if (height == newHeight && width == newWidth) return values
    val columns = ResampleAxis(width, newWidth)
    val narrowed = FloatArray(planes * height * newWidth)
    for (row in 0 until planes * height) columns.apply(values, row * width, narrowed, row * newWidth)
    return resampleRows(narrowed, planes, height, newWidth, newHeight)
}

/** Resize planes x height x width to planes x newHeight x width. */
internal fun resampleRows(values: FloatArray, planes: Int, height: Int, width: Int, newHeight: Int): FloatArray {
    val rows = ResampleAxis(height, newHeight)
    val result = FloatArray(planes * newHeight * width)
    for (plane in 0 until planes) {
        for (target in 0 until newHeight) {
            val into = (plane * newHeight + target) * width
            var from = (plane * height + rows.firstSource[target]) * width
            for (tap in rows.begin[target] until rows.begin[target + 1]) {
                val weight = rows.weights[tap]
                for (column in 0 until width) result[into + column] += weight * values[from + column]
                from += width
            }
        }
    }
    return result
}
