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
    fun apply(source: DoubleArray, from: Int, target: DoubleArray, into: Int) {
        for (place in 0 until newLength) {
            var sum = 0.0
            var next = from + firstSource[place]
            for (tap in begin[place] until begin[place + 1]) sum += weights[tap].toDouble() * source[next++]
            target[into + place] = sum
        }
    }
}

/**
 * Resize planes x height x width to planes x newHeight x newWidth, the columns first.
 *
 * Sums are of doubles, rounded to float32 once, at the end: rounded in between, a pixel half-way between two levels would
 * be one in this language and the other in the next.
 */
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
    val row = DoubleArray(width)
    val narrowed = DoubleArray(planes * height * newWidth)
    for (index in 0 until planes * height) {
        for (place in 0 until width) row[place] = values[index * width + place].toDouble()
        columns.apply(row, 0, narrowed, index * newWidth)
    }
    return resampleRows(narrowed, planes, height, newWidth, newHeight)
}

/** Resize planes x height x width to planes x newHeight x width. */
internal fun resampleRows(values: DoubleArray, planes: Int, height: Int, width: Int, newHeight: Int): FloatArray {
    val rows = ResampleAxis(height, newHeight)
    val result = FloatArray(planes * newHeight * width)
    val sums = DoubleArray(width)
    for (plane in 0 until planes) {
        for (target in 0 until newHeight) {
            sums.fill(0.0)
            var from = (plane * height + rows.firstSource[target]) * width
            for (tap in rows.begin[target] until rows.begin[target + 1]) {
                val weight = rows.weights[tap].toDouble()
                for (column in 0 until width) sums[column] += weight * values[from + column]
                from += width
            }
            val into = (plane * newHeight + target) * width
            for (column in 0 until width) result[into + column] = sums[column].toFloat()
        }
    }
    return result
}
