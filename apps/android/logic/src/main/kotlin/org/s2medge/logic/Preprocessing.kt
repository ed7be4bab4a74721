package org.s2medge.logic

/**
 * The contract's preprocessing: stretch to the network's size, grey by luma where it takes one channel, normalise.
 *
 * @property size height and width that the network takes.
 * @property channels 3 (RGB) or 1 (grey).
 * @property scale from 0..255 to the range that mean and standard deviation refer to.
 */
data class Preprocessing(
    val size: Int,
    val channels: Int,
    val fit: String,
    val scale: Double,
    val mean: List<Double>,
    val standardDeviation: List<Double>,
) {
    internal fun firstProblem(): String? = when {
        channels != 1 && channels != 3 -> "$channels channels"
        fit != "stretch" -> "the fit $fit, which this app does not know"
        !(scale > 0) -> "a scale of $scale"
        mean.size < channels || standardDeviation.size < channels -> "too few means or deviations"
        standardDeviation.any { !(it > 0) } -> "a standard deviation that is not positive"
        else -> null
    }

    /** Stretch a picture to the network's size, rounded half up to 8 bits. */
    fun fitToNetwork(picture: Picture): FittedPicture {
        // One row of the picture at a time: as planes of floats a photograph of 12 megapixels would take 146 MB.
        val fitted = resampleRows(narrow(picture), channels, picture.height, size, size)
        val area = size * size
        val pixels = ByteArray(area * channels)
        for (channel in 0 until channels) {
            for (place in 0 until area) {
                val value = fitted[channel * area + place].coerceIn(0f, 255f)
                pixels[place * channels + channel] = (value + 0.5f).toInt().toByte()
            }
        }
        return FittedPicture(size, channels, pixels)
    }

    /** Channels x height x size: the columns of a picture resized. */
    private fun narrow(picture: Picture): FloatArray {
        val columns = ResampleAxis(picture.width, size)
        val narrowed = FloatArray(channels * picture.height * size)
        val row = FloatArray(picture.width * channels)
        for (y in 0 until picture.height) {
            loadRow(picture, y, row)
            for (channel in 0 until channels) {
                columns.apply(row, channel * picture.width, narrowed, (channel * picture.height + y) * size)
            }
        }
        return narrowed
    }

    /** One row as planes of floats, or as luma, unrounded. */
    private fun loadRow(picture: Picture, y: Int, row: FloatArray) {
        val width = picture.width
        for (x in 0 until width) {
            val pixel = picture.pixels[y * width + x]
            val red = (pixel shr 16 and 255).toFloat()
            val green = (pixel shr 8 and 255).toFloat()
            val blue = (pixel and 255).toFloat()
            if (channels == 1) {
                row[x] = LUMA_RED * red + LUMA_GREEN * green + LUMA_BLUE * blue
            } else {
                row[x] = red
                row[width + x] = green
                row[2 * width + x] = blue
            }
        }
    }

    /** (pixel * scale - mean) / standard deviation, 1 x channels x size x size, for networks that do not normalise inside. */
    fun normalise(fitted: FittedPicture): FloatArray {
        val area = fitted.size * fitted.size
        val target = FloatArray(area * channels)
        for (channel in 0 until channels) {
            val factor = scale.toFloat()
            val centre = mean[channel].toFloat()
            val deviation = standardDeviation[channel].toFloat()
            for (place in 0 until area) {
                val value = (fitted.pixels[place * channels + channel].toInt() and 255) * factor
                target[channel * area + place] = (value - centre) / deviation
            }
        }
        return target
    }

    companion object {
        // ITU-R BT.601
        private const val LUMA_RED = 0.299f
        private const val LUMA_GREEN = 0.587f
        private const val LUMA_BLUE = 0.114f

        internal fun read(fields: Fields) = Preprocessing(
            size = fields.whole("size"),
            channels = fields.whole("channels"),
            fit = fields.text("fit"),
            scale = fields.number("scale"),
            mean = fields.numbers("mean"),
            standardDeviation = fields.numbers("standard_deviation"),
        )
    }
}
