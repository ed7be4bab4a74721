package org.s2medge.logic

import kotlin.math.abs
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test

/** Before and after the network, against what the Python definition gives. */
class ContractVectorTest {
    @Test
    fun `there are vectors`() {
        assertEquals(1, Vectors.index.get("schema_version").asInt)
        assertTrue(Vectors.cases.size >= 12)
        assertTrue("no rectangle", Vectors.cases.count { it.preprocessing.height != it.preprocessing.width } >= 2)
        assertTrue(Vectors.index.getAsJsonArray("comparisons").size() >= 8)
    }

    @Test
    fun `pictures are fitted to the network exactly`() {
        for (case in Vectors.cases) {
            val fitted = case.preprocessing.fitToNetwork(case.picture())
            val (shape, expected) = Vectors.tensors.uint8("${case.name}.fitted")
            assertEquals(case.name, listOf(fitted.height, fitted.width, fitted.channels), shape)
            assertArrayEquals(case.name, expected, fitted.pixels)
        }
    }

    @Test
    fun `normalising gives the networks input`() {
        for (case in Vectors.cases) {
            val values = case.preprocessing.normalise(case.fitted())
            val (shape, expected) = Vectors.tensors.float32("${case.name}.normalised")
            val (height, width, channels) = case.preprocessing
            assertEquals(case.name, listOf(1, channels, height, width), shape)
            assertEquals(case.name, expected.size, values.size)
            val error = values.indices.maxOf { abs(values[it] - expected[it]) }
            assertTrue("${case.name}: $error", error <= Vectors.tolerance("normalised"))
        }
    }

    @Test
    fun `channels last holds the same values at other places`() {
        val planes = FloatArray(3 * 4) { it.toFloat() } // three channels of 2 x 2
        val expected = floatArrayOf(0f, 4f, 8f, 1f, 5f, 9f, 2f, 6f, 10f, 3f, 7f, 11f)
        assertArrayEquals(expected, channelsLast(planes, 3), 0f)
        assertArrayEquals(planes, channelsLast(planes, 1), 0f)
    }

    @Test
    fun `masks are decided in the networks size`() {
        for (case in Vectors.cases) {
            val mask = case.probabilities().decided(case.threshold)
            assertArrayEquals(case.name, case.bytes("network_mask"), mask.labels)
            assertEquals(case.name, case.area("network"), mask.areas(case.area("network").size))
        }
    }

    @Test
    fun `masks return to the original size`() {
        for (case in Vectors.cases) {
            val mask = case.probabilities().resized(case.height, case.width).decided(case.threshold)
            assertArrayEquals(case.name, case.bytes("mask"), mask.labels)
            assertEquals(case.name, case.area("original"), mask.areas(case.area("original").size))
        }
    }

    @Test
    fun `outlines follow the labels`() {
        for (case in Vectors.cases) {
            val mask = LabelMap(case.width, case.height, case.bytes("mask"))
            assertArrayEquals(case.name, case.bytes("outline"), mask.outline(case.thickness).labels)
        }
    }

    @Test
    fun `comparisons end as the toolkits do`() {
        val tolerance = Vectors.tolerance("comparison")
        for (entry in Vectors.index.getAsJsonArray("comparisons").map { it.asJsonObject }) {
            val name = entry.get("name").asString
            val found = Comparison.of(
                Vectors.map(Vectors.tensors.float32("$name.logits")).activated(),
                Vectors.map(Vectors.tensors.float32("$name.edge")),
                entry.get("threshold").asDouble,
            )
            val expected = Fields(entry, "").inner("expected")
            fun near(key: String, value: Double) {
                val wanted = expected.optionalNumber(key)
                if (wanted == null) assertFalse(name, value.isFinite()) else assertEquals(name, wanted, value, tolerance)
            }
            near("max_probability_error", found.maxProbabilityError)
            near("mean_probability_error", found.meanProbabilityError)
            assertEquals(name, expected.number("mask_agreement"), found.maskAgreement, tolerance)
            assertEquals(name, expected.number("mask_dice"), found.maskDice, tolerance)
            assertEquals(name, expected.number("mask_fraction"), found.maskFraction, tolerance)
            val breaches = found.breaches(Gate.read(Fields(entry, "").inner("gate")))
            assertEquals("$name: $breaches", expected.whole("breaches"), breaches.size)
            val report = SelfTestReport("test", listOf(SelfTestReport.Entry(name, found, breaches, 0.0)), null)
            assertEquals(name, expected.flag("passed"), report.passed)
        }
    }

    @Test
    fun `hashes of texts, files and arrays`() {
        for (entry in Vectors.index.getAsJsonArray("hashes").map { it.asJsonObject }) {
            assertEquals(entry.get("sha256").asString, sha256(entry.get("text").asString.toByteArray()))
        }
        val tensors = Vectors.index.getAsJsonObject("tensors")
        assertEquals(tensors.get("sha256").asString, sha256(Vectors.file))
        for ((name, entry) in tensors.getAsJsonObject("entries").entrySet()) {
            assertEquals(name, entry.asJsonObject.get("sha256").asString, sha256(Vectors.tensors.bytes(name)))
        }
    }

    @Test
    fun `every array is read with its shape`() {
        val entries = Vectors.index.getAsJsonObject("tensors").getAsJsonObject("entries")
        assertEquals(entries.keySet(), Vectors.tensors.entries.keys)
        for ((name, entry) in entries.entrySet()) {
            val shape = entry.asJsonObject.getAsJsonArray("shape").map { it.asInt }
            val isByte = entry.asJsonObject.get("dtype").asString == "uint8"
            assertEquals(name, shape, if (isByte) Vectors.tensors.uint8(name).first else Vectors.tensors.float32(name).first)
        }
    }
}
