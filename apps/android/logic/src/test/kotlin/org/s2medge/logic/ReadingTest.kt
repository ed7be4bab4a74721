package org.s2medge.logic

import com.google.gson.JsonArray
import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** Damaged files are refused with a cause and a remedy. */
class ReadingTest {
    private fun file(header: String, body: ByteArray = ByteArray(0)): ByteArray {
        val text = header.toByteArray()
        return ByteBuffer.allocate(8 + text.size + body.size).order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.size.toLong()).put(text).put(body).array()
    }

    @Test
    fun `a file made by hand is read`() {
        val header = """{"__metadata__":{"count":"1"},"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},""" +
            """"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"""
        val body = byteArrayOf(7, 0, 0, 0x80.toByte(), 0x3f, 0, 0, 0, 0xc0.toByte())
        val tensors = Safetensors(file(header, body), "made")
        assertEquals(mapOf("count" to "1"), tensors.metadata)
        assertArrayEquals(floatArrayOf(1f, -2f), tensors.float32("a").second, 0f)
        assertArrayEquals(byteArrayOf(7), tensors.uint8("b").second)
        assertEquals("a should hold U8 and holds F32", reasonOf { tensors.uint8("a") })
        assertEquals("c should hold F32 and holds nothing", reasonOf { tensors.float32("c") })
    }

    @Test
    fun `damaged files are refused`() {
        fun entry(shape: String, offsets: String, dtype: String = "F32") =
            file("""{"a":{"dtype":"$dtype","shape":$shape,"data_offsets":$offsets}}""", ByteArray(4))
        Safetensors(entry("[1]", "[0,4]"), "sound")
        val damaged = mapOf(
            "empty" to ByteArray(0),
            "short" to byteArrayOf(1, 0, 0),
            "header longer than the file" to byteArrayOf(-1, -1, -1, -1, -1, -1, -1, 127),
            "header beyond counting" to ByteArray(16) { -1 },
            "no JSON" to file("{\"a\":"),
            "a list" to file("[]"),
            "no shape" to file("""{"a":{"dtype":"F32","data_offsets":[0,4]}}""", ByteArray(4)),
            "unknown type" to entry("[1]", "[0,4]", "F4"),
            "past the end" to entry("[2]", "[0,8]"),
            "other length" to entry("[1]", "[0,3]"),
            "backwards" to entry("[1]", "[4,0]"),
            "negative offset" to entry("[1]", "[-4,0]"),
            "negative side" to entry("[-1]", "[0,4]"),
            "a fraction" to entry("[1.5]", "[0,4]"),
            "beyond counting" to entry("[2147483647,2147483647,2147483647]", "[0,4]"),
            "a gap" to file("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}""", ByteArray(5)),
            "a rest" to file("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", ByteArray(5)),
            "shared bytes" to file(
                """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""",
                ByteArray(4),
            ),
            "a name twice" to file(
                """{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""",
                ByteArray(4),
            ),
            "metadata that is no text" to file("""{"__metadata__":{"count":1}}"""),
            "offset beyond counting" to entry("[1]", "[4294967296,4294967300]"),
        )
        for ((name, data) in damaged) {
            val reason = reasonOf { Safetensors(data, "golden.safetensors") }
            assertTrue("$name: $reason", reason.startsWith("golden.safetensors is damaged"))
        }
    }

    private val sound = File(Vectors.folder, "bundle/contract.json").readText()

    @Test
    fun `the example contract is read`() {
        val contract = Contract.read(sound.toByteArray())
        assertEquals("coreml", contract.target)
        assertEquals(96, contract.preprocessing.height)
        assertEquals(96, contract.preprocessing.width)
        assertEquals("matmul", contract.spectralFilter)
        assertEquals("example", contract.modelName)
        assertEquals(listOf("example"), contract.classes.map { it.name })
        assertEquals(4, contract.files.size)
        assertEquals(0.0001, contract.parity.gate.probabilityError!!, 0.0)
        assertEquals(0.5, contract.threshold, 0.0)
    }

    @Test
    fun `a rectangle that 32 does not divide is taken, and a network without a filter`() {
        val contract = Contract.read(
            edited(sound) {
                it.getAsJsonObject("preprocessing").apply { addProperty("height", 100); addProperty("width", 68) }
                it.getAsJsonObject("output").add("shape", JsonParser.parseString("[1,1,100,68]"))
                it.addProperty("spectral", "none")
                it.getAsJsonObject("network").apply { addProperty("name", "plain-unet"); addProperty("architecture", "U-Net") }
            }.toByteArray(),
        )
        assertEquals(listOf(100, 68), listOf(contract.preprocessing.height, contract.preprocessing.width))
        assertEquals(null, contract.spectralFilter)
        assertEquals("plain-unet", contract.modelName)
        assertEquals("U-Net", contract.network.architecture)
    }

    @Test
    fun `contracts of older and newer versions have different remedies`() {
        fun remedy(version: Int) = runCatching { Contract.read(edited(sound) { it.addProperty("schema_version", version) }.toByteArray()) }
            .exceptionOrNull().let { (it as S2MEdgeException).remedy }
        assertTrue(remedy(1), "Export the bundle again" in remedy(1))
        assertTrue(remedy(3), "Update the app" in remedy(3))
    }

    @Test
    fun `contracts that break the schema are refused`() {
        fun refused(words: String, change: (JsonObject) -> Unit) {
            val reason = reasonOf { Contract.read(edited(sound, change).toByteArray()) }
            assertTrue("$reason, not: $words", words in reason)
        }
        fun list(text: String) = JsonParser.parseString(text) as JsonArray
        refused("newer than this app reads (2)") { it.addProperty("schema_version", 3) }
        refused("version 1, which this app no longer reads (it reads 2)") { it.addProperty("schema_version", 1) }
        refused("version 0, which this app no longer reads") { it.addProperty("schema_version", 0) }
        refused("at spectral") { it.addProperty("spectral", "fourier") }
        refused("at network") { it.remove("network") }
        refused("not a deployment contract") { it.remove("schema_version") }
        refused("at notice") { it.addProperty("notice", "Use it as you like.") }
        refused("at input/layout") { it.getAsJsonObject("input").remove("layout") }
        refused("at preprocessing/height") { it.getAsJsonObject("preprocessing").addProperty("height", "large") }
        refused("at preprocessing/width") { it.getAsJsonObject("preprocessing").addProperty("width", 96.5) }
        refused("at input/normalised_inside") { it.getAsJsonObject("input").addProperty("normalised_inside", "true") }
        refused("at files/x") { it.getAsJsonObject("files").addProperty("x", 1) }
        refused("at files") { it.getAsJsonObject("files").remove("parity.json") }
        refused("at preprocessing/height") { it.getAsJsonObject("preprocessing").addProperty("height", 0) }
        refused("more memory than an app can give") { it.getAsJsonObject("preprocessing").addProperty("width", 8193) }
        refused("for a picture of 64 x 96") { it.getAsJsonObject("preprocessing").addProperty("height", 64) }
        refused("at preprocessing/fit") { it.getAsJsonObject("preprocessing").addProperty("fit", "crop") }
        refused("at preprocessing/standard_deviation") { it.getAsJsonObject("preprocessing").add("standard_deviation", list("[1,0,1]")) }
        refused("at preprocessing/mean") { it.getAsJsonObject("preprocessing").add("mean", list("[0]")) }
        refused("at preprocessing/channels") { it.getAsJsonObject("preprocessing").addProperty("channels", 2) }
        refused("an output of shape") { it.getAsJsonObject("output").add("shape", list("[1,1,96,64]")) }
        refused("the activation softmax") { it.getAsJsonObject("output").addProperty("activation", "softmax") }
        refused("at postprocessing/threshold") { it.getAsJsonObject("postprocessing").addProperty("threshold", 1.5) }
        refused("0 classes") { it.add("classes", JsonArray()) }
        refused("at classes/0/colour") { it.add("classes", list("""[{"name":"x","colour":[1,2]}]""")) }
        refused("at classes/0/colour") { it.add("classes", list("""[{"name":"x","colour":[1,2,256]}]""")) }
        refused("the colour grey") { it.getAsJsonObject("input").addProperty("colour", "grey") }
        refused("at artifact/file") { it.getAsJsonObject("artifact").addProperty("file", "../x") }
        refused("at output/shape") { it.getAsJsonObject("output").add("shape", list("[1,1,96]")) }
        refused("at preprocessing/window") { it.getAsJsonObject("preprocessing").addProperty("fit", "window") }
        refused("at network/multiply_adds") { it.getAsJsonObject("network").addProperty("multiply_adds", -1) }
        refused("at parity/images") { it.getAsJsonObject("parity").addProperty("images", 1.5) }
        refused("more pictures with") { it.getAsJsonObject("parity").addProperty("images_with_foreground", 9) }
        assertEquals(Refusal.TOO_LARGE, refusalOf { Contract.read(ByteArray(1 shl 21)) })
    }
}
