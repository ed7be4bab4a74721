package org.s2medge.logic

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import kotlin.math.abs
import kotlin.math.max
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

/** Pictures unlike the training's are told from those like them, as the Python definition tells them. */
class GuardTest {
    @get:Rule
    val temporary = TemporaryFolder()

    private val cases = Vectors.index.getAsJsonArray("guards").map { it.asJsonObject }
    private val guards = Vectors.index.getAsJsonArray("guard_files").map { it.asJsonObject }.associate {
        val name = it.get("file").asString
        assertEquals(it.get("sha256").asString, sha256(File(Vectors.folder, name)))
        name to Guard.read(File(Vectors.folder, name), it.get("channels").asInt)
    }

    private fun fitted(case: JsonObject): FittedPicture {
        val (shape, pixels) = Vectors.tensors.uint8(case.get("picture").asString)
        return FittedPicture(shape[0], shape[1], shape[2], pixels)
    }

    private fun near(name: String, expected: Double, found: Double) {
        val allowed = Vectors.tolerance("guard") * max(1.0, abs(expected))
        assertTrue("$name: $found, not $expected", abs(found - expected) <= allowed)
    }

    @Test
    fun `pictures are described as the definition describes them`() {
        assertTrue(cases.size >= 8)
        for (case in cases) {
            val name = case.get("name").asString
            val expected = Vectors.tensors.float32("$name.descriptor").second
            val found = Descriptor.of(fitted(case))
            assertEquals(name, expected.size, found.size)
            assertEquals(name, found.size, Descriptor.length(fitted(case).channels))
            for (place in found.indices) near("$name, number $place", expected[place].toDouble(), found[place])
        }
    }

    @Test
    fun `scores are near, and verdicts the same`() {
        for (case in cases) {
            val name = case.get("name").asString
            val verdict = guards.getValue(case.get("guard").asString).judge(fitted(case))
            near(name, case.get("score").asDouble, verdict.score)
            assertEquals(name, case.get("threshold").asDouble, verdict.threshold, 0.0)
            assertEquals(name, case.get("unusual").asBoolean, verdict.unusual)
            assertEquals(name, verdict.unusual, verdict.warning != null)
        }
        assertEquals(setOf(true, false), cases.map { it.get("unusual").asBoolean }.toSet())
    }

    @Test
    fun `the warning says by how much, with a point in every language`() {
        assertEquals(
            "looks unlike the pictures this network was trained on (score 26.8, usual up to 13.7); the mask may mean nothing",
            GuardVerdict(26.84, 13.66).warning,
        )
        assertNull(GuardVerdict(13.66, 13.66).warning)
    }

    private val colour = File(Vectors.folder, "guard-colour.safetensors").readBytes()
    private val body = 8 + ByteBuffer.wrap(colour).order(ByteOrder.LITTLE_ENDIAN).getLong(0).toInt()
    private val header = String(colour, 8, body - 8)

    /** A guard with its header, or its arrays' bytes, changed. */
    private fun changed(header: (JsonObject) -> Unit = {}, body: (ByteBuffer) -> Unit = {}): ByteArray {
        val text = edited(this.header, header).toByteArray()
        val arrays = colour.copyOfRange(this.body, colour.size)
        body(ByteBuffer.wrap(arrays).order(ByteOrder.LITTLE_ENDIAN))
        return ByteBuffer.allocate(8 + text.size + arrays.size).order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.size.toLong()).put(text).put(arrays).array()
    }

    /** Where an array begins, after the header. */
    private fun begin(name: String): Int = JsonParser.parseString(header).asJsonObject.getAsJsonObject(name)
        .getAsJsonArray("data_offsets")[0].asInt

    private fun metadata(key: String, value: String?): (JsonObject) -> Unit = {
        it.getAsJsonObject("__metadata__").apply { if (value == null) remove(key) else addProperty(key, value) }
    }

    @Test
    fun `damaged guards are refused with their reason`() {
        fun refused(words: String, data: ByteArray, channels: Int = 3) {
            val file = File(temporary.root, Guard.FILE).apply { writeBytes(data) }
            val error = runCatching { Guard.read(file, channels) }.exceptionOrNull() as? S2MEdgeException
            assertNotNull("taken, though: $words", error)
            assertTrue("$error, not: $words", words in error!!.reason)
            assertEquals(words, Refusal.DAMAGED, error.refusal)
        }
        assertEquals(5.75, Guard.read(File(temporary.root, "a").apply { writeBytes(changed()) }, 3).threshold, 0.0)
        refused("it is no guard", changed(metadata("format", "golden")))
        refused("it is no guard", changed({ it.remove("__metadata__") }))
        refused("of version 2", changed(metadata("format_version", "2")))
        refused("with the descriptor thumbnail-cosine-2", changed(metadata("descriptor", "thumbnail-cosine-2")))
        refused("of 3 channels, the network about 1", changed(), channels = 1)
        refused("of no channels", changed(metadata("channels", null)))
        for (threshold in listOf("0", "-1", "nan", "NaN", "inf", "Infinity", "1e999", "0x1p3", "5f", " 5", "", null)) {
            refused("the threshold is", changed(metadata("threshold", threshold)))
        }
        for (name in listOf("mean", "scale", "directions", "deviations", "residual")) {
            val at = begin(name)
            refused("it lacks $name", changed({ it.getAsJsonObject(name).addProperty("dtype", "I32") }))
            refused("it lacks", changed({ it.getAsJsonObject(name).getAsJsonArray("shape").add(1) }))
            refused("$name is out of range", changed(body = { it.putFloat(at, Float.NaN) }))
            refused("$name is out of range", changed(body = { it.putFloat(at, Float.POSITIVE_INFINITY) }))
            if (name in listOf("scale", "deviations", "residual")) {
                refused("$name is out of range", changed(body = { it.putFloat(at, 0f) }))
                refused("$name is out of range", changed(body = { it.putFloat(at, -1f) }))
            }
        }
        refused("is damaged", changed().copyOf(100))
        refused("is damaged", ByteArray(0))
        refused("is longer than", ByteArray(300_000))
    }

    /** The golden output for the golden input, half of everything for every other. */
    private class StandIn(private val bundle: ModelBundle) : SegmentationRuntime {
        override val title = "stand-in"

        override fun probabilities(fitted: FittedPicture): ProbabilityMap =
            bundle.golden.firstOrNull { it.image.pixels.contentEquals(fitted.pixels) }?.probabilities
                ?: ProbabilityMap(1, fitted.height, fitted.width, FloatArray(fitted.height * fitted.width) { 0.5f })

        fun segmenter() = Segmenter(bundle, this, SelfTest.run(bundle, this))
    }

    /** A bundle of `apps/vectors/refusals` with a guard in it that calls up to [threshold] usual. */
    private fun guarded(name: String, threshold: String): ModelBundle {
        val folder = File(temporary.root, "$name-$threshold")
        File(Vectors.folder, "refusals/$name").copyRecursively(folder)
        val contract = File(folder, "contract.json")
        val file = File(folder, Guard.FILE).apply { writeBytes(changed(metadata("threshold", threshold))) }
        contract.writeText(edited(contract.readText()) { it.getAsJsonObject("files").addProperty(Guard.FILE, sha256(file)) })
        return ModelBundle.open(folder)
    }

    private val picture = Picture(40, 30, IntArray(40 * 30) { it * 2654435 })

    private fun reported(result: Segmentation, segmenter: Segmenter) = SegmentationRecord.json(
        result, result.mask(segmenter.contract.threshold), segmenter.contract.threshold, segmenter.report, "test",
        "1970-01-01T00:00:00Z",
    ).let { JsonParser.parseString(it).asJsonObject.get("guard") }

    @Test
    fun `an unusual picture keeps its mask and carries the warning, stretched or slid over`() {
        for (name in listOf("sound", "window")) {
            val segmenter = StandIn(guarded(name, "1.5")).segmenter()
            val found = segmenter.segment(picture, "a.png")
            val mask = found.mask(segmenter.contract.threshold)
            assertEquals(listOf(40, 30), listOf(mask.width, mask.height))
            assertTrue(found.verdict!!.warning!!, "usual up to 1.5" in found.verdict!!.warning!!)
            val expected = guarded(name, "2.5").guard!!.judge(segmenter.contract.preprocessing.fitToNetwork(picture)).score
            assertEquals(name, expected, found.verdict!!.score, 0.0)
            val record = reported(found, segmenter).asJsonObject
            assertEquals(expected, record.get("score").asDouble, 0.0005)
            assertEquals(1.5, record.get("threshold").asDouble, 0.0)
            assertTrue(record.get("unusual").asBoolean)
        }
    }

    @Test
    fun `a usual picture has no warning, and its figures are reported`() {
        val segmenter = StandIn(guarded("sound", "1000")).segmenter()
        val found = segmenter.segment(picture, "a.png")
        assertNull(found.verdict!!.warning)
        assertFalse(reported(found, segmenter).asJsonObject.get("unusual").asBoolean)
    }

    @Test
    fun `nothing is said without a guard, nor of live video`() {
        val without = StandIn(ModelBundle.open(File(Vectors.folder, "refusals/sound"))).segmenter()
        val found = without.segment(picture, "a.png")
        assertNull(found.verdict)
        assertTrue(reported(found, without).isJsonNull)
        assertNull(StandIn(guarded("sound", "1.5")).segmenter().segment(picture, "a frame", judged = false).verdict)
    }

    @Test
    fun `a bundle with a guard that is damaged, or was changed, is refused`() {
        fun refusal(change: (File) -> Unit): Refusal? {
            val folder = File(temporary.root, "changed").also(File::deleteRecursively)
            guarded("sound", "3").folder.apply { copyRecursively(folder); deleteRecursively() }
            change(folder)
            return refusalOf { ModelBundle.open(folder) }
        }
        fun hashed(data: ByteArray): (File) -> Unit = { folder ->
            val file = File(folder, Guard.FILE).apply { writeBytes(data) }
            val contract = File(folder, "contract.json")
            contract.writeText(edited(contract.readText()) { it.getAsJsonObject("files").addProperty(Guard.FILE, sha256(file)) })
        }
        assertEquals(Refusal.DAMAGED, refusal(hashed("no safetensors".toByteArray())))
        assertEquals(Refusal.DAMAGED, refusal(hashed(changed(metadata("threshold", "-3")))))
        assertEquals(Refusal.DAMAGED, refusal(hashed(File(Vectors.folder, "guard-grey.safetensors").readBytes())))
        assertEquals(Refusal.HASH_DIFFERS, refusal { File(it, Guard.FILE).appendBytes(byteArrayOf(0)) })
        assertEquals(Refusal.MISSING_FILE, refusal { File(it, Guard.FILE).delete() })
    }
}
