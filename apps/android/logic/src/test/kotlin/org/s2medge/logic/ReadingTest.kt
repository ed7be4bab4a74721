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
        val contract = Contract.read(sound)
        assertEquals("coreml", contract.target)
        assertEquals(96, contract.preprocessing.size)
        assertEquals("example", contract.modelName)
        assertEquals(listOf("example"), contract.classes.map { it.name })
        assertEquals(2, contract.artifact.sha256.size)
        assertEquals(0.5, contract.threshold, 0.0)
    }

    @Test
    fun `contracts that break the schema are refused`() {
        fun refused(words: String, change: (JsonObject) -> Unit) {
            val reason = reasonOf { Contract.read(edited(sound, change)) }
            assertTrue("$reason, not: $words", words in reason)
        }
        fun list(text: String) = JsonParser.parseString(text) as JsonArray
        refused("newer than this app reads") { it.addProperty("schema_version", 2) }
        refused("version 0") { it.addProperty("schema_version", 0) }
        refused("not a deployment contract") { it.remove("schema_version") }
        refused("the notice") { it.addProperty("notice", "Use it as you like.") }
        refused("at input/layout") { it.getAsJsonObject("input").remove("layout") }
        refused("at preprocessing/size") { it.getAsJsonObject("preprocessing").addProperty("size", "large") }
        refused("at preprocessing/size") { it.getAsJsonObject("preprocessing").addProperty("size", 96.5) }
        refused("at input/normalised_inside") { it.getAsJsonObject("input").addProperty("normalised_inside", "true") }
        refused("at artifact/sha256/x") { it.getAsJsonObject("artifact").getAsJsonObject("sha256").addProperty("x", 1) }
        refused("a size of 100") { it.getAsJsonObject("preprocessing").addProperty("size", 100) }
        refused("the fit crop") { it.getAsJsonObject("preprocessing").addProperty("fit", "crop") }
        refused("not positive") { it.getAsJsonObject("preprocessing").add("standard_deviation", list("[1,0,1]")) }
        refused("too few") { it.getAsJsonObject("preprocessing").add("mean", list("[0]")) }
        refused("2 channels") { it.getAsJsonObject("preprocessing").addProperty("channels", 2) }
        refused("an output of shape") { it.getAsJsonObject("output").add("shape", list("[1,1,96,64]")) }
        refused("the activation softmax") { it.getAsJsonObject("output").addProperty("activation", "softmax") }
        refused("a threshold of 1.5") { it.getAsJsonObject("postprocessing").addProperty("threshold", 1.5) }
        refused("0 classes") { it.add("classes", JsonArray()) }
        refused("not RGB") { it.add("classes", list("""[{"name":"x","colour":[1,2]}]""")) }
        refused("not RGB") { it.add("classes", list("""[{"name":"x","colour":[1,2,256]}]""")) }
        refused("the colour grey") { it.getAsJsonObject("input").addProperty("colour", "grey") }
        refused("the artifact's name") { it.getAsJsonObject("artifact").addProperty("file", "../x") }
        assertEquals("contract.json is not a deployment contract", reasonOf { Contract.read("no JSON {") })
        assertEquals("contract.json is not a deployment contract", reasonOf { Contract.read("[]") })
    }
}
