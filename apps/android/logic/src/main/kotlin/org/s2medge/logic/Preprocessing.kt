package org.s2medge.logic

/**
 * The contract's preprocessing: stretch to the network's size, or windows of that size; grey by luma where it takes one
 * channel; normalise.
 *
 * @property height of what the network takes, in pixels. @property width alike; the two may differ.
 * @property channels 3 (RGB) or 1 (grey).
 * @property window how the network slides over a picture; null: the whole picture is stretched to its size.
 * @property scale from 0..255 to the range that mean and standard deviation refer to.
 */
data class Preprocessing(
    val height: Int,
    val width: Int,
    val channels: Int,
    val window: Window?,
    val scale: Double,
    val mean: List<Double>,
    val standardDeviation: List<Double>,
) {
    /** Stretch a picture to the network's size, rounded half up to 8 bits. */
    fun fitToNetwork(picture: Picture): FittedPicture {
        // One row of the picture at a time: as planes of doubles a photograph of 12 megapixels would take 293 MB.
        val fitted = resampleRows(narrow(picture), channels, picture.height, width, height)
        val area = height * width
        val pixels = ByteArray(area * channels)
        for (channel in 0 until channels) {
            for (place in 0 until area) {
                val value = fitted[channel * area + place].coerceIn(0f, 255f)
                pixels[place * channels + channel] = (value + 0.5).toInt().toByte()
            }
        }
        return FittedPicture(height, width, channels, pixels)
    }

    /** Channels x the picture's height x the network's width: the columns of a picture resized. */
    private fun narrow(picture: Picture): DoubleArray {
        val columns = ResampleAxis(picture.width, width)
        val narrowed = DoubleArray(channels * picture.height * width)
        val row = DoubleArray(picture.width * channels)
        for (y in 0 until picture.height) {
            loadRow(picture, y, row)
            for (channel in 0 until channels) {
                columns.apply(row, channel * picture.width, narrowed, (channel * picture.height + y) * width)
            }
        }
        return narrowed
    }

    /** One row as planes, or as luma, unrounded: doubles hold it exactly. */
    private fun loadRow(picture: Picture, y: Int, row: DoubleArray) {
        val wide = picture.width
        for (x in 0 until wide) {
            val pixel = picture.pixels[y * wide + x]
            val red = (pixel shr 16 and 255).toDouble()
            val green = (pixel shr 8 and 255).toDouble()
            val blue = (pixel and 255).toDouble()
            if (channels == 1) {
                row[x] = LUMA_RED * red + LUMA_GREEN * green + LUMA_BLUE * blue
            } else {
                row[x] = red
                row[wide + x] = green
                row[2 * wide + x] = blue
            }
        }
    }

    /** (pixel * scale - mean) / standard deviation, 1 x channels x height x width, for networks that do not normalise inside. */
    fun normalise(fitted: FittedPicture): FloatArray {
        val area = fitted.height * fitted.width
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
        internal const val LARGEST_SIDE = 8192

        // ITU-R BT.601
        private const val LUMA_RED = 0.299f
        private const val LUMA_GREEN = 0.587f
        private const val LUMA_BLUE = 0.114f

        /** How files deeper than 8 bits are shown to the network. This app opens none (`requireShownAsStored`). */
        private fun requireIntensity(fields: Fields) {
            fields.only("rule", "low", "high", "over")
            val ends = if (fields.choice("rule", listOf("percentiles", "window")) == "window") -1e9..1e9 else 0.0..100.0
            if (fields.number("low", ends) >= fields.number("high", ends)) throw fields.damaged("low")
            fields.choice("over", listOf("slice", "volume"))
        }

        internal fun read(fields: Fields): Preprocessing {
            fields.only(
                "height", "width", "channels", "intensity", "fit", "window", "spacing", "resize", "scale", "mean",
                "standard_deviation",
            )
            requireIntensity(fields.inner("intensity"))
            fields.nothing("spacing")
            fields.text("resize")
            val channels = fields.whole("channels")
            if (channels != 1 && channels != 3) throw fields.damaged("channels")
            fun perChannel(name: String, range: ClosedFloatingPointRange<Double>) = fields.numbers(name).also { values ->
                if (values.size !in channels..3 || values.any { it !in range }) throw fields.damaged(name)
            }
            val slides = fields.choice("fit", listOf("stretch", "window")) == "window"
            val window = fields.optionalInner("window")?.let(Window::read)
            if (slides != (window != null)) throw fields.damaged("window")
            return Preprocessing(
                height = fields.whole("height", 1..LARGEST_SIDE),
                width = fields.whole("width", 1..LARGEST_SIDE),
                channels = channels,
                window = window,
                scale = fields.number("scale", 1e-6..1e6),
                mean = perChannel("mean", -1e6..1e6),
                standardDeviation = perChannel("standard_deviation", 1e-6..1e6),
            )
        }
    }
}
