package org.s2medge.logic

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject
import com.google.gson.JsonParseException
import com.google.gson.JsonParser

/** One foreground class: its name and its RGB colour, each 0..255. */
data class SegmentClass(val name: String, val colour: List<Int>)

/** The file that the runtime opens, and the SHA-256 of each of its files by path inside the bundle. */
data class Artifact(val file: String, val bytes: Long, val sha256: Map<String, String>)

/**
 * How the network is fed.
 *
 * @property normalisedInside true: it takes the fitted 8-bit picture; false: [Preprocessing.normalise] comes first.
 */
data class Input(
    val name: String,
    val dtype: String,
    val layout: String,
    val colour: String,
    val normalisedInside: Boolean,
)

/** @property shape 1, classes, size, size. @property activation already applied inside the artifact. */
data class Output(val name: String, val shape: List<Int>, val activation: String)

/**
 * `contract.json` of a bundle: everything an app must do before and after the network.
 *
 * Made by [Contract.read] only, which checks what the JSON schema says.
 */
data class Contract(
    val toolkitVersion: String,
    val target: String,
    val precision: String,
    val spectral: String,
    val artifact: Artifact,
    val input: Input,
    val preprocessing: Preprocessing,
    val output: Output,
    val threshold: Double,
    val classes: List<SegmentClass>,
    val checkpointFile: String,
    val checkpointSha256: String,
    val intendedUse: String,
) {
    /** Output channels of the network: one, or background and the others. */
    val channelsOut: Int get() = output.shape[1]

    val modelName: String get() = checkpointFile.substringBeforeLast('.')

    companion object {
        const val SCHEMA_VERSION = 1
        const val FILE = "contract.json"
        const val NOTICE = "Research use only. Not a medical device."
        private const val SMALLEST_SIZE = 96

        /**
         * Decode and check a contract.
         *
         * @throws S2MEdgeException not a contract, damaged, or from a newer version.
         */
        fun read(text: String): Contract {
            val root = try {
                JsonParser.parseString(text) as? JsonObject
            } catch (_: JsonParseException) {
                null
            }
            val version = root?.get("schema_version")?.let { runCatching { it.asInt }.getOrNull() }
            if (root == null || version == null) {
                throw S2MEdgeException("$FILE is not a deployment contract", EXPORT_AGAIN)
            }
            if (version > SCHEMA_VERSION) {
                throw S2MEdgeException(
                    "$FILE follows version $version, newer than this app reads ($SCHEMA_VERSION)",
                    "Update the app, or export the bundle with an older s2m-edge.",
                )
            }
            val reader = Fields(root, "")
            val contract = decode(reader)
            val problem = firstProblem(contract, version, reader.text("notice"))
            if (problem != null) throw S2MEdgeException("$FILE is damaged: $problem", EXPORT_AGAIN)
            return contract
        }

        private fun decode(root: Fields): Contract {
            val artifact = root.inner("artifact")
            val input = root.inner("input")
            val checkpoint = root.inner("checkpoint")
            return Contract(
                toolkitVersion = root.text("s2m_edge_version"),
                target = root.text("target"),
                precision = root.text("precision"),
                spectral = root.text("spectral"),
                artifact = Artifact(artifact.text("file"), artifact.whole("bytes").toLong(), artifact.texts("sha256")),
                input = Input(
                    input.text("name"),
                    input.text("dtype"),
                    input.text("layout"),
                    input.text("colour"),
                    input.flag("normalised_inside"),
                ),
                preprocessing = Preprocessing.read(root.inner("preprocessing")),
                output = readOutput(root.inner("output")),
                threshold = root.inner("postprocessing").number("threshold"),
                classes = root.inners("classes").map { SegmentClass(it.text("name"), it.wholes("colour")) },
                checkpointFile = checkpoint.text("file"),
                checkpointSha256 = checkpoint.text("sha256"),
                intendedUse = root.text("intended_use"),
            )
        }

        internal fun readOutput(fields: Fields) =
            Output(fields.text("name"), fields.wholes("shape"), fields.text("activation"))

        /** What the schema forbids and decoding lets pass, or null. */
        private fun firstProblem(contract: Contract, version: Int, notice: String): String? {
            val size = contract.preprocessing.size
            val shape = contract.output.shape
            val channels = contract.preprocessing.channels
            val activation = contract.output.activation
            val input = contract.input
            val artifact = contract.artifact
            contract.preprocessing.firstProblem()?.let { return it }
            return when {
                version != SCHEMA_VERSION -> "version $version"
                notice != NOTICE -> "the notice is not \"$NOTICE\""
                size < SMALLEST_SIZE || size % 32 != 0 -> "a size of $size"
                shape.size != 4 || shape[0] != 1 || shape[1] !in 1..255 || shape[2] != size || shape[3] != size ->
                    "an output of shape $shape for a size of $size"
                activation != (if (shape[1] == 1) "sigmoid" else "softmax") -> "the activation $activation"
                contract.threshold !in 0.0..1.0 -> "a threshold of ${contract.threshold}"
                contract.classes.size != maxOf(1, shape[1] - 1) ->
                    "${contract.classes.size} classes for ${shape[1]} outputs"
                contract.classes.any { it.colour.size != 3 || it.colour.any { part -> part !in 0..255 } } ->
                    "a colour that is not RGB"
                input.colour != (if (channels == 3) "RGB" else "grey") -> "the colour ${input.colour}"
                input.normalisedInside != (input.dtype == "uint8") -> "normalised_inside with ${input.dtype}"
                artifact.bytes < 1 || artifact.sha256.isEmpty() -> "an artifact without files"
                artifact.file.isEmpty() || artifact.file.any { it == '/' || it == '\\' } -> "the artifact's name"
                else -> null
            }
        }
    }
}

/** A JSON object whose fields are read with their types, or refused with their place. */
internal class Fields(private val json: JsonObject, private val place: String) {
    fun text(name: String): String = read(name) { if (it.asJsonPrimitive.isString) it.asString else null }

    fun flag(name: String): Boolean = read(name) { if (it.asJsonPrimitive.isBoolean) it.asBoolean else null }

    fun number(name: String): Double = read(name, ::numberOf)

    fun optionalNumber(name: String): Double? =
        if (json.get(name)?.isJsonNull != false) null else number(name)

    fun whole(name: String): Int = read(name, ::wholeOf)

    fun wholes(name: String): List<Int> = read(name) { list -> (list as JsonArray).map { wholeOf(it)!! } }

    fun numbers(name: String): List<Double> = read(name) { list -> (list as JsonArray).map { numberOf(it)!! } }

    fun inner(name: String): Fields = Fields(read(name) { it as JsonObject }, "$place$name/")

    fun inners(name: String): List<Fields> =
        read(name) { list -> (list as JsonArray).mapIndexed { index, it -> Fields(it as JsonObject, "$place$name/$index/") } }

    /** An object whose values are all texts. */
    fun texts(name: String): Map<String, String> {
        val inner = inner(name)
        return inner.json.keySet().associateWith(inner::text)
    }

    private fun numberOf(value: JsonElement): Double? =
        if (value.asJsonPrimitive.isNumber) value.asDouble.takeIf(Double::isFinite) else null

    private fun wholeOf(value: JsonElement): Int? {
        val number = numberOf(value) ?: return null
        return if (number == Math.rint(number) && Math.abs(number) <= Int.MAX_VALUE) number.toInt() else null
    }

    private fun <T : Any> read(name: String, convert: (JsonElement) -> T?): T {
        val value = json.get(name) ?: throw damaged(name)
        // Gson and the casts above throw three kinds of exceptions for a value of another type.
        return runCatching { convert(value) }.getOrNull() ?: throw damaged(name)
    }

    private fun damaged(name: String) = S2MEdgeException("${Contract.FILE} is damaged at $place$name", EXPORT_AGAIN)
}
