package org.s2medge.logic

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.log10
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/**
 * What a picture looks like in a few dozen numbers: layout, exposure, colour, and where its detail lies.
 *
 * The definition is s2m_edge/imaging/descriptor.py; apps/vectors has it in words.
 */
internal object Descriptor {
    const val NAME = "thumbnail-cosine-1"
    private const val SIDE = 64
    private const val CELLS = 4
    private const val BANDS = 6 // the n-th from 2^n below 2^(n + 1)
    private const val FAINTEST = 1e-6
    private const val DARKEST_CONTRAST = 0.05
    private const val DARKEST_COLOUR = 0.1
    private const val END = 0.1

    /** The orthonormal cosine transform, frequency x position. */
    private val cosines = DoubleArray(SIDE * SIDE) {
        val frequency = it / SIDE
        if (frequency == 0) sqrt(1.0 / SIDE) else sqrt(2.0 / SIDE) * cos(PI * (it % SIDE + 0.5) * frequency / SIDE)
    }

    /** How many numbers [of] gives of pictures with [channels], 1 or 3. */
    fun length(channels: Int): Int {
        val planes = if (channels == 3) 3 else 1
        return planes * (CELLS * CELLS + BANDS) + BANDS + 3 + if (channels == 3) 4 else 0
    }

    /** The descriptor of a fitted picture of 1 or 3 channels. */
    fun of(fitted: FittedPicture): DoubleArray {
        val thumbnail = thumbnail(fitted)
        val result = ArrayList<Double>(length(fitted.channels))
        val planes = if (fitted.channels == 3) planesOf(thumbnail) else thumbnail
        for (plane in planes) result += cellMeans(plane) + bandEnergies(plane)
        val luma = planes[0]
        result += bandEnergies(DoubleArray(luma.size) { log10(luma[it] + DARKEST_CONTRAST) })
        result += deviation(luma)
        result += luma.sumOf { ((END - it) / END).coerceIn(0.0, 1.0) } / luma.size
        result += luma.sumOf { ((it - (1 - END)) / END).coerceIn(0.0, 1.0) } / luma.size
        if (fitted.channels == 3) result += colour(thumbnail)
        return result.toDoubleArray()
    }

    /** Every channel shrunk or enlarged to 64 x 64, not rounded, 0..1. */
    private fun thumbnail(fitted: FittedPicture): List<DoubleArray> {
        val area = fitted.height * fitted.width
        val values = FloatArray(area * fitted.channels) {
            (fitted.pixels[it % area * fitted.channels + it / area].toInt() and 255).toFloat()
        }
        val resized = resample(values, fitted.channels, fitted.height, fitted.width, SIDE, SIDE)
        return List(fitted.channels) { channel -> DoubleArray(SIDE * SIDE) { resized[channel * SIDE * SIDE + it] / 255.0 } }
    }

    /** Luma, red - green, (red + green) / 2 - blue. */
    private fun planesOf(thumbnail: List<DoubleArray>): List<DoubleArray> {
        val (red, green, blue) = thumbnail
        return listOf(
            DoubleArray(red.size) { 0.299 * red[it] + 0.587 * green[it] + 0.114 * blue[it] },
            DoubleArray(red.size) { red[it] - green[it] },
            DoubleArray(red.size) { (red[it] + green[it]) / 2 - blue[it] },
        )
    }

    /** Mean and standard deviation of the relative saturation, then of the saturation. */
    private fun colour(thumbnail: List<DoubleArray>): List<Double> {
        val (red, green, blue) = thumbnail
        val largest = DoubleArray(red.size) { max(red[it], max(green[it], blue[it])) }
        val saturation = DoubleArray(red.size) { largest[it] - min(red[it], min(green[it], blue[it])) }
        val relative = DoubleArray(red.size) { saturation[it] / (largest[it] + DARKEST_COLOUR) }
        return listOf(relative.average(), deviation(relative), saturation.average(), deviation(saturation))
    }

    /** Row by row, 16 numbers. */
    private fun cellMeans(plane: DoubleArray): List<Double> {
        val edge = SIDE / CELLS
        val sums = DoubleArray(CELLS * CELLS)
        for (place in plane.indices) sums[place / SIDE / edge * CELLS + place % SIDE / edge] += plane[place]
        return sums.map { it / (edge * edge) }
    }

    /** The decimal logarithm of what each band adds to the plane's variance, coarse to fine. */
    private fun bandEnergies(plane: DoubleArray): List<Double> {
        val half = DoubleArray(SIDE * SIDE) // frequency of the rows x column
        for (v in 0 until SIDE) {
            for (row in 0 until SIDE) {
                val weight = cosines[v * SIDE + row]
                for (x in 0 until SIDE) half[v * SIDE + x] += weight * plane[row * SIDE + x]
            }
        }
        val sums = DoubleArray(BANDS)
        for (v in 0 until SIDE) {
            for (u in 0 until SIDE) {
                val frequency = max(u, v)
                if (frequency == 0) continue
                var coefficient = 0.0
                for (x in 0 until SIDE) coefficient += half[v * SIDE + x] * cosines[u * SIDE + x]
                sums[31 - frequency.countLeadingZeroBits()] += coefficient * coefficient / (SIDE * SIDE)
            }
        }
        return sums.map { log10(it + FAINTEST) }
    }

    /** Of all values, not of a sample. */
    private fun deviation(values: DoubleArray): Double {
        val mean = values.average()
        return sqrt(values.sumOf { (it - mean) * (it - mean) } / values.size)
    }
}
