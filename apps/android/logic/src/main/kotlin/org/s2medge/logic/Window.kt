package org.s2medge.logic

import kotlin.math.ceil
import kotlin.math.exp
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** Told of windows done and in all. What it throws ends the work: that is how a person stops it. */
typealias Progress = (done: Int, total: Int) -> Unit

/**
 * How windows of the network's size slide over a picture at its own resolution.
 *
 * @property overlap share of a window's side that the next one covers again, 0..0.75.
 * @property sigma of the Gaussian that weighs a window's pixels, in sides of the window.
 */
data class Window(val overlap: Double, val sigma: Double) {
    companion object {
        private const val LEAST_WEIGHT = 1e-3

        internal fun read(fields: Fields): Window {
            fields.only("overlap", "blending", "sigma", "padding", "scale")
            fields.choice("blending", listOf("gaussian"))
            fields.choice("padding", listOf("black"))
            fields.number("scale", 1.0..1.0)
            return Window(fields.number("overlap", 0.0..0.75), fields.number("sigma", 0.01..10.0))
        }

        /** First pixels of the windows along one axis; the last one ends with the picture. */
        fun positions(length: Int, side: Int, overlap: Double): List<Int> {
            if (length <= side) return listOf(0)
            val step = max(1, floor(side * (1.0 - overlap)).toInt())
            val count = ceil((length - side).toDouble() / step).toInt() + 1
            return List(count) { min(it.toLong() * step, (length - side).toLong()).toInt() }
        }

        /** Weights height x width of a window's pixels, which no pixel falls below a thousandth of. */
        fun weights(height: Int, width: Int, sigma: Double): DoubleArray {
            fun along(side: Int) = DoubleArray(side) {
                val distance = it - (side - 1) / 2.0
                exp(-(distance * distance) / (2.0 * (sigma * side) * (sigma * side)))
            }
            val (rows, columns) = along(height) to along(width)
            return DoubleArray(height * width) { max(rows[it / width] * columns[it % width], LEAST_WEIGHT) }
        }

        /** Black pixels before a picture that is shorter than the window; one that is over comes after it. */
        fun padding(length: Int, side: Int): Int = max(0, side - length) / 2

        /** The window of a picture that begins at ([top], [left]) of the padded picture; black outside. */
        fun crop(picture: Picture, top: Int, left: Int, height: Int, width: Int): Picture {
            val firstRow = top - padding(picture.height, height)
            val firstColumn = left - padding(picture.width, width)
            val pixels = IntArray(height * width)
            val from = max(0, firstColumn)
            val until = min(picture.width, firstColumn + width)
            for (y in max(0, firstRow) until min(picture.height, firstRow + height)) {
                val source = y * picture.width
                picture.pixels.copyInto(pixels, (y - firstRow) * width + from - firstColumn, source + from, source + until)
            }
            return Picture(width, height, pixels)
        }
    }
}

/**
 * Slides a network over a picture, some rows at a time: the sums of a strip as high as one window are held, never those
 * of the picture.
 *
 * @param channels outputs of the network. @param height of the window. @param width alike.
 */
internal class Strip(
    private val picture: Picture,
    private val channels: Int,
    private val height: Int,
    private val width: Int,
    private val window: Window,
) {
    private val rows = Window.positions(picture.height, height, window.overlap)
    private val columns = Window.positions(picture.width, width, window.overlap)
    private val wide = max(picture.width, width)
    val windows = rows.size * columns.size

    /**
     * Run every window, by rows, then by columns.
     *
     * @param predict probabilities of a window.
     * @param take is given the first row and the probabilities of rows that no later window reaches.
     * @throws S2MEdgeException a strip does not fit into memory; and whatever the functions throw.
     */
    fun run(predict: (Picture) -> ProbabilityMap, progress: Progress, take: (Int, ProbabilityMap) -> Unit) {
        if ((channels + 1L) * height * wide * Double.SIZE_BYTES > LARGEST_STRIP) {
            throw S2MEdgeException(
                "a picture ${picture.width} pixels wide takes too much memory in windows", "Cut it into parts.",
            )
        }
        val weights = Window.weights(height, width, window.sigma)
        val sums = Array(channels) { DoubleArray(height * wide) }
        val counted = DoubleArray(height * wide)
        rows.forEachIndexed { index, top ->
            columns.forEachIndexed { number, left ->
                progress(index * columns.size + number, windows)
                val found = predict(Window.crop(picture, top, left, height, width))
                add(found, weights, left, sums, counted)
            }
            val ready = if (index + 1 == rows.size) height else rows[index + 1] - top
            take(top, quotient(sums, counted, ready))
            for (plane in sums) shift(plane, ready)
            shift(counted, ready)
        }
        progress(windows, windows)
    }

    private fun add(found: ProbabilityMap, weights: DoubleArray, left: Int, sums: Array<DoubleArray>, counted: DoubleArray) {
        for (y in 0 until height) {
            val into = y * wide + left
            val from = y * width
            for (x in 0 until width) counted[into + x] += weights[from + x]
            sums.forEachIndexed { channel, plane ->
                val values = (channel * height + y) * width
                for (x in 0 until width) plane[into + x] += weights[from + x] * found.values[values + x]
            }
        }
    }

    /** The first rows' probabilities, without the padding. */
    private fun quotient(sums: Array<DoubleArray>, counted: DoubleArray, ready: Int): ProbabilityMap {
        val above = Window.padding(picture.height, height)
        val before = Window.padding(picture.width, width)
        val high = min(ready - above, picture.height)
        val values = FloatArray(channels * high * picture.width)
        var into = 0
        for (plane in sums) {
            for (y in above until above + high) {
                for (x in before until before + picture.width) {
                    values[into++] = (plane[y * wide + x] / counted[y * wide + x]).toFloat()
                }
            }
        }
        return ProbabilityMap(channels, high, picture.width, values)
    }

    private fun shift(plane: DoubleArray, ready: Int) {
        plane.copyInto(plane, 0, ready * wide, height * wide)
        plane.fill(0.0, (height - ready) * wide, height * wide)
    }

    private companion object {
        /** Bytes of sums: what a phone's app can hold beside its picture. */
        const val LARGEST_STRIP = 1L shl 28
    }
}
