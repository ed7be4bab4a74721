package org.s2medge.logic

import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** A network that slides, against what the Python definition gives; and what may not become a mask. */
class WindowTest {
    private val slides = ModelBundle.open(File(Vectors.folder, "refusals/window"))
    private val stretches = ModelBundle.open(File(Vectors.folder, "refusals/sound"))

    /** The golden output for the golden input, and [give] for every other. */
    private class StandIn(
        private val bundle: ModelBundle,
        private val give: (FittedPicture) -> ProbabilityMap,
    ) : SegmentationRuntime {
        override val title = "stand-in"

        override fun probabilities(fitted: FittedPicture): ProbabilityMap =
            bundle.golden.firstOrNull { it.image.pixels.contentEquals(fitted.pixels) }?.probabilities ?: give(fitted)

        fun segmenter() = Segmenter(bundle, this, SelfTest.run(bundle, this))
    }

    /** What stands in for the network in the vectors, exact in float32. */
    private fun standIn(fitted: FittedPicture, outputs: Int) = ProbabilityMap(
        outputs, fitted.height, fitted.width,
        FloatArray(outputs * fitted.height * fitted.width) {
            val area = fitted.height * fitted.width
            val (k, y, x) = Triple(it / area, it % area / fitted.width, it % fitted.width)
            val value = fitted.pixels[it % area * fitted.channels].toInt() and 255
            (value * (k + 1) % 256) / 256f * ((31 * y + 17 * x + 5 * k) % 64 + 1) / 64f
        },
    )

    @Test
    fun `windows lie where the definition lays them`() {
        assertTrue(Vectors.windows.size >= 15)
        for (case in Vectors.windows) {
            val given = case.preprocessing
            val window = given.window!!
            assertEquals(case.name, case.wholes("rows"), Window.positions(case.height, given.height, window.overlap))
            assertEquals(case.name, case.wholes("columns"), Window.positions(case.width, given.width, window.overlap))
            val (shape, expected) = Vectors.tensors.float32("${case.name}.weights")
            assertEquals(case.name, listOf(given.height, given.width), shape)
            val found = Window.weights(given.height, given.width, window.sigma)
            assertTrue(case.name, found.indices.all { abs(found[it] - expected[it]) <= 1e-6 })
        }
    }

    @Test
    fun `sliding gives the definitions mask exactly`() {
        for (case in Vectors.windows) {
            val given = case.preprocessing
            val outputs = case.output.shape[1]
            val strip = Strip(case.picture(), outputs, given.height, given.width, given.window!!)
            val labels = ByteArray(case.width * case.height)
            var next = 0
            val steps = mutableListOf<Int>()
            strip.run(
                { standIn(given.fitToNetwork(it), outputs) },
                { done, total -> steps += done.also { assertEquals(case.name, strip.windows, total) } },
            ) { first, found ->
                assertEquals(case.name, next, first)
                assertTrue(case.name, found.height <= given.height)
                next += found.height
                found.decided(case.threshold).labels.copyInto(labels, first * case.width)
            }
            assertEquals(case.name, case.height, next)
            assertEquals(case.name, (0..strip.windows).toList(), steps)
            assertArrayEquals(case.name, case.bytes("mask"), labels)
            val areas = LabelMap(case.width, case.height, labels).areas(case.wholes("area").size)
            assertEquals(case.name, case.wholes("area"), areas)
        }
    }

    private fun picture(width: Int, height: Int) = Picture(width, height, IntArray(width * height) { it * 2654435 })

    @Test
    fun `a segmenter slides where the contract says so, and tells how far it is`() {
        val segmenter = StandIn(slides) { standIn(it, 1) }.segmenter()
        assertTrue(segmenter.slides)
        val steps = mutableListOf<Pair<Int, Int>>()
        val found = segmenter.segment(picture(40, 30), "a.png", 0.25) { done, total -> steps += done to total }
        assertEquals(4 * 4, found.windows)
        assertEquals((0..16).map { it to 16 }, steps)
        assertEquals(listOf(40, 30), found.mask(0.25).let { listOf(it.width, it.height) })
        assertEquals(0.25, found.fixedThreshold)
        assertTrue("with a threshold of 0.25" in reasonOf { found.mask(0.5) })
        assertNull(found.resized())
        val record = SegmentationRecord.json(found, found.mask(0.25), 0.25, segmenter.report, "test", "1970-01-01T00:00:00Z")
        assertTrue(record, "\"windows\": 16" in record)
        assertFalse(StandIn(stretches) { standIn(it, 1) }.segmenter().slides)
    }

    @Test
    fun `a person can stop between two windows`() {
        var runs = 0
        val segmenter = StandIn(slides) { runs++; standIn(it, 1) }.segmenter()
        class Stopped : Exception()
        val error = runCatching { segmenter.segment(picture(200, 200), "a") { done, _ -> if (done == 5) throw Stopped() } }
        assertTrue(error.exceptionOrNull() is Stopped)
        assertEquals(5, runs)
    }

    @Test
    fun `a strip that fits into no memory is refused before anything runs`() {
        val strip = Strip(picture(70_000, 8), 200, 512, 512, Window(0.5, 0.125))
        assertTrue("too much memory" in reasonOf { strip.run({ throw AssertionError() }, { _, _ -> }) { _, _ -> } })
    }

    @Test
    fun `a value that is not a number never becomes a mask, in one window or in all`() {
        for (bundle in listOf(slides, stretches)) {
            for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
                var runs = 0
                val segmenter = StandIn(bundle) { fitted ->
                    standIn(fitted, 1).also { if (++runs == (if (bundle === slides) 3 else 1)) it.values[7] = value }
                }.segmenter()
                val reason = reasonOf { segmenter.segment(picture(40, 30), "colon\u001b.png") }
                assertTrue(reason, reason.startsWith("colon\ufffd.png: the artifact failed on it, its answer is not a number"))
                runs = 100 // the next picture is as good as any
                assertEquals(40, segmenter.segment(picture(40, 30), "other").mask(slides.contract.threshold).width)
            }
        }
    }

    @Test
    fun `an answer of another shape never becomes a mask`() {
        val turned = StandIn(stretches) { ProbabilityMap(1, it.width, it.height, FloatArray(it.width * it.height)) }.segmenter()
        val reason = reasonOf { turned.segment(picture(40, 30), "a.png") }
        assertEquals("a.png: the artifact gives 1 x 16 x 12 values where 1 x 12 x 16 were due", reason)
    }

    @Test
    fun `a self-test that meets infinity is red`() {
        for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY)) {
            val golden = stretches.golden[0]
            val runtime = object : SegmentationRuntime {
                override val title = "broken"
                override fun probabilities(fitted: FittedPicture) =
                    ProbabilityMap(1, 12, 16, golden.probabilities.values.copyOf().also { it[3] = value })
            }
            val report = SelfTest.run(stretches, runtime)
            assertFalse(report.passed)
            assertTrue(report.verdict, report.verdict.startsWith("${golden.name}: the artifact failed on it"))
        }
    }
}
