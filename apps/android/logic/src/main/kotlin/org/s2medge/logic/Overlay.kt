package org.s2medge.logic

import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

/** How thick an outline the toolkit draws on a picture of this size. */
val LabelMap.outlineThickness: Int get() = max(1, Math.rint(min(width, height) / 250.0).toInt())

/**
 * The label where a pixel lies within [thickness] steps (4-neighbourhood) of another label, else 0.
 *
 * The picture's edge is no border.
 */
fun LabelMap.outline(thickness: Int): LabelMap {
    // The city-block distance to the nearest pixel of another label, in two passes, is exact and does not take longer
    // for thick outlines.
    val distance = IntArray(labels.size) { FAR }
    fun approach(place: Int, neighbour: Int) {
        val step = if (labels[place] != labels[neighbour]) 1 else distance[neighbour] + 1
        if (step < distance[place]) distance[place] = step
    }
    for (y in 0 until height) {
        for (x in 0 until width) {
            val place = y * width + x
            if (y > 0) approach(place, place - width)
            if (x > 0) approach(place, place - 1)
        }
    }
    for (y in height - 1 downTo 0) {
        for (x in width - 1 downTo 0) {
            val place = y * width + x
            if (y < height - 1) approach(place, place + width)
            if (x < width - 1) approach(place, place + 1)
        }
    }
    return LabelMap(width, height, ByteArray(labels.size) { if (distance[it] <= thickness) labels[it] else 0 })
}

private const val FAR = Int.MAX_VALUE / 2

/** How a mask lies over its picture. [opacity] is of the filling, 0..1; outlines are opaque. */
data class OverlayStyle(val kind: Kind = Kind.BOTH, val opacity: Double = 0.35) {
    enum class Kind { OUTLINE, FILL, BOTH }
}

/** The overlay alone: ARGB, not premultiplied, transparent where there is nothing. */
fun LabelMap.overlayPixels(classes: List<SegmentClass>, style: OverlayStyle): IntArray {
    val outlined = if (style.kind == OverlayStyle.Kind.FILL) null else outline(outlineThickness).labels
    val opacity = if (style.kind == OverlayStyle.Kind.OUTLINE) 0.0 else style.opacity.coerceIn(0.0, 1.0)
    val alpha = (255 * opacity).roundToInt()
    fun colours(alpha: Int) = IntArray(classes.size + 1) {
        if (it == 0) 0 else classes[it - 1].colour.fold(alpha) { argb, part -> argb shl 8 or part }
    }
    val filled = colours(alpha)
    val opaque = colours(255)
    return IntArray(labels.size) {
        val label = min(labels[it].toInt() and 255, classes.size)
        if (outlined != null && outlined[it].toInt() != 0) opaque[label] else filled[label]
    }
}

/**
 * The picture with the overlay painted in, to be shared.
 *
 * @throws S2MEdgeException where the sizes differ.
 */
fun LabelMap.paintedOn(picture: Picture, classes: List<SegmentClass>, style: OverlayStyle): Picture {
    if (picture.width != width || picture.height != height) {
        throw S2MEdgeException("the mask is not of the picture's size", "Report this as a mistake of the app.")
    }
    val overlay = overlayPixels(classes, style)
    val pixels = IntArray(labels.size) {
        val alpha = overlay[it] ushr 24
        fun blend(shift: Int): Int {
            val over = overlay[it] shr shift and 255
            val under = picture.pixels[it] shr shift and 255
            return (over * alpha + under * (255 - alpha) + 127) / 255 shl shift
        }
        LabelMap.OPAQUE or blend(16) or blend(8) or blend(0)
    }
    return Picture(width, height, pixels)
}
