package org.s2medge.logic

import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test

class PictureTest {
    private val square = LabelMap(5, 5, ByteArray(25) { if (it / 5 in 1..3 && it % 5 in 1..3) 1 else 0 })
    private val classes = listOf(SegmentClass("x", listOf(200, 100, 50)))

    @Test
    fun `pictures need as many pixels as they say`() {
        assertArrayEquals(intArrayOf(0x010203, 0xFEFF00), Picture.ofBytes(2, 1, byteArrayOf(1, 2, 3, -2, -1, 0)).pixels)
        assertEquals("a picture of 2 x 2 does not have 3 pixels", reasonOf { Picture(2, 2, IntArray(3)) })
        assertEquals("the picture is 7 x 9 pixels", reasonOf { Picture(7, 9, IntArray(63)).requireUsableSize() })
    }

    @Test
    fun `overlays are transparent outside the mask`() {
        val filled = square.overlayPixels(classes, OverlayStyle(OverlayStyle.Kind.FILL, 0.5))
        assertEquals(0, filled[0])
        assertEquals(0x80C86432.toInt(), filled[12])
        val outlined = square.overlayPixels(classes, OverlayStyle(OverlayStyle.Kind.OUTLINE, 0.5))
        assertEquals(0xFFC86432.toInt(), outlined[6])
        assertEquals(0, outlined[12] ushr 24)
        val both = square.overlayPixels(classes, OverlayStyle(OverlayStyle.Kind.BOTH, 0.5))
        assertEquals(listOf(255, 128), listOf(both[6] ushr 24, both[12] ushr 24))
    }

    @Test
    fun `painting blends with the picture`() {
        val picture = Picture(5, 5, IntArray(25) { 0x646464 })
        val painted = square.paintedOn(picture, classes, OverlayStyle(OverlayStyle.Kind.FILL, 0.5))
        assertEquals(0xFF646464.toInt(), painted.pixels[0])
        assertEquals(0xFF96644B.toInt(), painted.pixels[12])
        val other = Picture(4, 5, IntArray(20))
        assertEquals("the mask is not of the picture's size", reasonOf { square.paintedOn(other, classes, OverlayStyle()) })
    }

    @Test
    fun `masks are black and white for one class and labels for more`() {
        val mask = LabelMap(3, 1, byteArrayOf(0, 1, 2))
        fun greys(classes: Int) = mask.maskPixels(classes).map { it and 255 }
        assertEquals(listOf(0, 255, 255), greys(1))
        assertEquals(listOf(0, 1, 2), greys(2))
    }

    @Test
    fun `outlines get thicker with the picture`() {
        val thickness = listOf(100, 352, 1000, 1200).map { LabelMap(it, 2000, ByteArray(it * 2000)).outlineThickness }
        assertEquals(listOf(1, 1, 4, 5), thickness)
    }

    @Test
    fun `frames per second over the last seconds`() {
        val meter = RateMeter(2.0)
        assertNull(meter.framesPerSecond)
        for (frame in 0..100) meter.tick(frame * 0.1)
        assertEquals(10.0, meter.framesPerSecond!!, 1e-6)
        meter.tick(60.0)
        assertNull(meter.framesPerSecond)
    }

    @Test
    fun `numbers are short`() {
        assertEquals(listOf("0", "1", "0.99998", "1.200e-05"), listOf(0.0, 1.0, 0.99998, 1.2e-5).map(::brief))
    }
}
