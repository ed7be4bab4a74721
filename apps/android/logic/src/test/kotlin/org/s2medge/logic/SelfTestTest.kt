package org.s2medge.logic

import com.google.gson.JsonParser
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class SelfTestTest {
    @get:Rule
    val temporary = TemporaryFolder()
    private lateinit var copy: BundleCopy
    private lateinit var bundle: ModelBundle

    @Before
    fun open() {
        copy = BundleCopy(temporary)
        bundle = ModelBundle.open(copy.folder)
    }

    /** A stand-in for a runtime: the golden outputs by their image, changed as a device might change them. */
    private class Recorded(
        private val bundle: ModelBundle,
        override val title: String = "recorded",
        private val change: (FloatArray) -> Unit = {},
    ) : SegmentationRuntime {
        override fun probabilities(fitted: FittedPicture): ProbabilityMap {
            val known = bundle.golden.firstOrNull { it.image.pixels.contentEquals(fitted.pixels) } ?: bundle.golden[0]
            val values = known.probabilities.values.copyOf().also(change)
            return ProbabilityMap(1, fitted.height, fitted.width, values)
        }
    }

    private fun report(change: (FloatArray) -> Unit = {}) = SelfTest.run(bundle, Recorded(bundle, change = change))

    @Test
    fun `a sound runtime is green`() {
        val report = report()
        assertTrue(report.verdict, report.passed)
        assertEquals(2, report.entries.size)
        assertNotNull(report.medianMilliseconds)
        assertTrue(report.verdict, "2 inputs" in report.verdict)
    }

    @Test
    fun `an error above the gate is red and names the input`() {
        val report = report { it[5] += 0.01f }
        assertFalse(report.passed)
        assertTrue(report.verdict, report.verdict.startsWith("golden-0: largest probability error"))
    }

    @Test
    fun `a value that is not finite is red`() {
        for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            val report = report { it[it.size - 1] = value }
            assertFalse(report.passed)
            assertTrue(report.verdict, "not finite" in report.verdict)
        }
    }

    @Test
    fun `golden inputs without an object are red, and one with an object is enough`() {
        fun entry(fraction: Double) = SelfTestReport.Entry("x", Comparison(0.0, 0.0, 1.0, 1.0, fraction), emptyList(), 1.0)
        val empty = SelfTestReport("recorded", listOf(entry(0.0), entry(0.0)), null)
        assertFalse(empty.passed)
        assertTrue(empty.verdict, "finds nothing" in empty.verdict)
        assertTrue(SelfTestReport("recorded", listOf(entry(0.0), entry(0.1)), null).passed)
    }

    @Test
    fun `a runtime that fails or does not load is red with its reason`() {
        assertEquals("the device is busy", report { throw IllegalStateException("the device is busy") }.verdict)
        val unloaded = report { throw UnsatisfiedLinkError("libexecutorch.so") }
        assertFalse(unloaded.passed)
        assertTrue(unloaded.verdict, "libexecutorch.so" in unloaded.verdict)
    }

    @Test
    fun `a recorded mask that does not follow is red`() {
        copy.changeHashed("golden.safetensors") { data -> data.apply { fill(1, size - 9000, size) } }
        val damaged = ModelBundle.open(copy.folder)
        val report = SelfTest.run(damaged, Recorded(damaged))
        assertFalse(report.passed)
        assertTrue(report.verdict, "does not follow" in report.verdict)
    }

    @Test
    fun `no mask without a green self-test of the same runtime`() {
        val runtime = Recorded(bundle)
        val red = report { it[5] += 0.01f }
        assertTrue("no mask is shown" in reasonOf { Segmenter(bundle, runtime, red) })
        Segmenter(bundle, runtime, report())
        assertTrue("run on recorded" in reasonOf { Segmenter(bundle, Recorded(bundle, "other"), report()) })
        assertFalse(SelfTestReport("recorded", emptyList(), null).passed)
    }

    @Test
    fun `a picture goes through and is recorded`() {
        val segmenter = Segmenter(bundle, Recorded(bundle), report())
        val result = segmenter.segment(Picture(192, 48, IntArray(192 * 48) { 0x5a5a5a }), "grey")
        val mask = result.mask(0.5)
        assertEquals(listOf(192, 48), listOf(mask.width, mask.height))
        assertTrue(result.mask(1.0).areas(2)[1] < mask.areas(2)[1])
        val text = SegmentationRecord.json(result, mask, 0.5, segmenter.report, "test", "1970-01-01T00:00:00Z")
        val record = JsonParser.parseString(text).asJsonObject
        assertEquals(Contract.NOTICE, record.get("notice").asString)
        assertEquals("float32", record.get("precision").asString)
        assertEquals(mask.areas(2)[1], record.getAsJsonArray("classes")[0].asJsonObject.get("pixels").asInt)
        assertTrue("at least 8 pixels" in runCatching { segmenter.segment(Picture(7, 9, IntArray(63)), "tiny") }.exceptionOrNull()!!.message!!)
    }
}
