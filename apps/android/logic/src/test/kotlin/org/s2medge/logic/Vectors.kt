package org.s2medge.logic

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import org.junit.Assert.assertTrue
import org.junit.rules.TemporaryFolder

/** The contract test vectors of `apps/vectors`, whose README defines every field. */
internal object Vectors {
    /** Named by S2M_EDGE_VECTORS, or found from Gradle's working folder apps/android/logic. */
    val folder = File(System.getenv("S2M_EDGE_VECTORS") ?: "../../vectors")
    val index: JsonObject = JsonParser.parseString(File(folder, "vectors.json").readText()).asJsonObject
    val file = File(folder, index.getAsJsonObject("tensors").get("file").asString)
    val tensors = Safetensors.read(file)
    val cases = index.getAsJsonArray("cases").map { Case(it.asJsonObject) }
    val windows = index.getAsJsonArray("windows").map { Case(it.asJsonObject) }

    fun tolerance(name: String) = index.getAsJsonObject("tolerance").get(name).asDouble

    class Case(private val json: JsonObject) {
        val name: String = json.get("name").asString
        val height = json.get("height").asInt
        val width = json.get("width").asInt
        val threshold = json.getAsJsonObject("postprocessing").get("threshold").asDouble
        val thickness get() = json.get("outline_thickness").asInt
        val preprocessing = Preprocessing.read(Fields(json, "").inner("preprocessing"))
        val output = Contract.readOutput(Fields(json, "").inner("output"))

        fun area(size: String) = json.getAsJsonObject("area").getAsJsonArray(size).map { it.asInt }

        /** Of a window case. */
        fun wholes(part: String) = json.getAsJsonArray(part).map { it.asInt }

        fun bytes(part: String) = tensors.uint8("$name.$part").second

        fun picture() = Picture.ofBytes(width, height, bytes("picture"))

        fun fitted() = FittedPicture(preprocessing.height, preprocessing.width, preprocessing.channels, bytes("fitted"))

        fun probabilities() = map(tensors.float32("$name.probabilities"))
    }

    fun map(tensor: Pair<List<Int>, FloatArray>) =
        ProbabilityMap(tensor.first[0], tensor.first[1], tensor.first[2], tensor.second)
}

/** The example bundle, copied so that a test can damage it. */
internal class BundleCopy(temporary: TemporaryFolder, name: String = "bundle") {
    val folder = File(temporary.root, name)

    init {
        File(Vectors.folder, "bundle").copyRecursively(folder)
    }

    fun change(name: String, change: (ByteArray) -> ByteArray) {
        val file = File(folder, name)
        file.writeBytes(change(file.readBytes()))
    }

    /** Change a file, and the hash that the contract has of it. */
    fun changeHashed(name: String, change: (ByteArray) -> ByteArray) {
        change(name, change)
        changeContract { it.getAsJsonObject("files").addProperty(name, sha256(File(folder, name))) }
    }

    fun changeContract(change: (JsonObject) -> Unit) =
        change("contract.json") { edited(String(it), change).toByteArray() }
}

internal fun edited(text: String, change: (JsonObject) -> Unit): String =
    JsonParser.parseString(text).asJsonObject.also(change).toString()

/** The reason of the [S2MEdgeException] that a block throws. */
internal fun reasonOf(block: () -> Unit): String = thrownBy(block).reason

internal fun refusalOf(block: () -> Unit): Refusal? = thrownBy(block).refusal

private fun thrownBy(block: () -> Unit): S2MEdgeException {
    try {
        block()
    } catch (error: S2MEdgeException) {
        assertTrue(error.remedy.isNotEmpty())
        return error
    }
    throw AssertionError("nothing was thrown")
}
