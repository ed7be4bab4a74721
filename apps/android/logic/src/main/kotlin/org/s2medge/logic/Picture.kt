package org.s2medge.logic

/**
 * An 8-bit RGB picture, rows from the top.
 *
 * @property pixels one integer a pixel, 0x..RRGGBB as Android's bitmaps give them; the highest byte is not looked at.
 */
class Picture(val width: Int, val height: Int, val pixels: IntArray) {
    init {
        if (width <= 0 || height <= 0 || pixels.size != width * height) {
            throw S2MEdgeException(
                "a picture of $width x $height does not have ${pixels.size} pixels",
                "Choose another picture.",
            )
        }
    }

    /** @throws S2MEdgeException for a picture that is too small to mean anything, as the toolkit does. */
    fun requireUsableSize() {
        if (minOf(width, height) < SMALLEST_SIDE) {
            throw S2MEdgeException(
                "the picture is $width x $height pixels",
                "Pictures need at least $SMALLEST_SIDE pixels on each side.",
            )
        }
    }

    companion object {
        const val SMALLEST_SIDE = 8

        /** From three bytes a pixel without gaps. */
        fun ofBytes(width: Int, height: Int, bytes: ByteArray): Picture {
            require(bytes.size == width * height * 3)
            val pixels = IntArray(width * height) {
                val from = it * 3
                (bytes[from].toInt() and 255 shl 16) or (bytes[from + 1].toInt() and 255 shl 8) or
                    (bytes[from + 2].toInt() and 255)
            }
            return Picture(width, height, pixels)
        }
    }
}

/** A picture in the network's size: height x width x channels, 8 bits. */
class FittedPicture(val height: Int, val width: Int, val channels: Int, val pixels: ByteArray) {
    init {
        require(pixels.size == height * width * channels)
    }
}
