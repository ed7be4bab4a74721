package org.s2medge.app

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ColorSpace
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Build
import android.provider.OpenableColumns
import android.text.Layout
import android.text.StaticLayout
import android.text.TextPaint
import androidx.camera.core.ImageProxy
import java.io.IOException
import java.io.InputStream
import org.s2medge.logic.FILE_HEAD
import org.s2medge.logic.LabelMap
import org.s2medge.logic.OverlayStyle
import org.s2medge.logic.Picture
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.SegmentClass
import org.s2medge.logic.overlayPixels
import org.s2medge.logic.requireOpaque
import org.s2medge.logic.requireOpenable

/** Between the system's bitmaps and the logic's plain integers. */
object Bitmaps {
    private const val MOST_PIXELS = 50_000_000L

    /**
     * A file's picture, upright (EXIF is applied), values as stored: no colour profile is applied.
     *
     * @throws S2MEdgeException no image that this system reads, one of which it would change the values, or one that does
     *   not fit in memory.
     */
    fun decode(resolver: ContentResolver, uri: Uri): Picture {
        val tooLarge = S2MEdgeException("the picture does not fit in this device's memory", "Choose a smaller one.")
        val bitmap = try {
            requireOpenable(resolver.openInputStream(uri)?.use(::headOf) ?: ByteArray(0))
            ImageDecoder.decodeBitmap(ImageDecoder.createSource(resolver, uri)) { decoder, info, _ ->
                if (info.size.width.toLong() * info.size.height > MOST_PIXELS) throw tooLarge
                decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            }
        } catch (_: IOException) {
            throw S2MEdgeException("this cannot be read as an image", "The file is corrupt or of a kind that is not supported.")
        } catch (_: SecurityException) {
            throw S2MEdgeException("this file may not be read", "Choose it again.")
        } catch (_: OutOfMemoryError) {
            throw tooLarge
        }
        // `getPixels` converts to sRGB from what the bitmap calls its own: it is told that it is sRGB already.
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q && bitmap.config == Bitmap.Config.ARGB_8888) {
            bitmap.setColorSpace(ColorSpace.get(ColorSpace.Named.SRGB))
        }
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        requireOpaque(pixels)
        return Picture(bitmap.width, bitmap.height, pixels)
    }

    private fun headOf(stream: InputStream): ByteArray {
        val head = ByteArray(FILE_HEAD)
        var length = 0
        while (length < head.size) {
            val read = stream.read(head, length, head.size - length)
            if (read < 0) break
            length += read
        }
        return head.copyOf(length)
    }

    /** What the file is called, for messages. */
    fun name(resolver: ContentResolver, uri: Uri): String {
        val found = try {
            resolver.query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)?.use {
                if (it.moveToFirst()) it.getString(0) else null
            }
        } catch (_: RuntimeException) { // providers throw what they like
            null
        }
        return found ?: "the picture"
    }

    /** A camera frame in RGBA_8888, as the analyser asks for it. */
    fun fromFrame(frame: ImageProxy): Picture {
        val plane = frame.planes[0]
        val row = ByteArray(plane.rowStride)
        val pixels = IntArray(frame.width * frame.height)
        val buffer = plane.buffer
        for (y in 0 until frame.height) {
            buffer.position(y * plane.rowStride)
            buffer.get(row, 0, minOf(plane.rowStride, buffer.remaining()))
            for (x in 0 until frame.width) {
                val from = x * plane.pixelStride
                pixels[y * frame.width + x] = (row[from].toInt() and 255 shl 16) or
                    (row[from + 1].toInt() and 255 shl 8) or (row[from + 2].toInt() and 255)
            }
        }
        return Picture(frame.width, frame.height, pixels)
    }

    fun of(picture: Picture): Bitmap {
        val opaque = IntArray(picture.pixels.size) { picture.pixels[it] or Color.BLACK }
        return Bitmap.createBitmap(opaque, picture.width, picture.height, Bitmap.Config.ARGB_8888)
    }

    /** An overlay alone, transparent where there is nothing. */
    fun ofOverlay(mask: LabelMap, classes: List<SegmentClass>, style: OverlayStyle): Bitmap =
        Bitmap.createBitmap(mask.overlayPixels(classes, style), mask.width, mask.height, Bitmap.Config.ARGB_8888)

    fun ofMask(mask: LabelMap, classes: Int): Bitmap =
        Bitmap.createBitmap(mask.maskPixels(classes), mask.width, mask.height, Bitmap.Config.ARGB_8888)

    /** The picture with a strip of text below. */
    fun captioned(picture: Bitmap, text: String): Bitmap {
        val width = maxOf(picture.width, 320)
        val paint = TextPaint(TextPaint.ANTI_ALIAS_FLAG).apply {
            color = Color.rgb(235, 235, 235)
            textSize = (width / 34f).coerceIn(11f, 28f)
        }
        val lines = StaticLayout.Builder.obtain(text, 0, text.length, paint, width - 8)
            .setAlignment(Layout.Alignment.ALIGN_NORMAL).build()
        val result = Bitmap.createBitmap(width, picture.height + lines.height + 8, Bitmap.Config.ARGB_8888)
        Canvas(result).apply {
            drawColor(Color.rgb(24, 24, 24))
            drawBitmap(picture, 0f, 0f, null)
            translate(4f, picture.height + 4f)
            lines.draw(this)
        }
        return result
    }
}
