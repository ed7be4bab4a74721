package org.s2medge.logic

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonObject

/** One foreground class: its name and its RGB colour, each 0..255. */
data class SegmentClass(val name: String, val colour: List<Int>)

/** The file or folder that the runtime opens, and the bytes of all of it. */
data class Artifact(val file: String, val bytes: Long)

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

/** @property shape 1, classes, height, width. @property activation already applied inside the artifact. */
data class Output(val name: String, val shape: List<Int>, val activation: String)

/**
 * @property architecture what kind of network it is, for people.
 * @property weightsSha256 of the tensors by name: which network it is.
 */
data class NetworkIdentity(val name: String, val architecture: String, val weightsSha256: String)

/** What the export measured against the reference. @property gate the limits that every picture had to keep. */
data class Parity(val passed: Boolean, val images: Int, val imagesWithForeground: Int, val gate: Gate)

/**
 * `contract.json` of a bundle: everything an app must do before and after the network.
 *
 * Made by [Contract.read] only, which checks what the JSON schema says.
 *
 * @property spectral how the spectral filter was lowered: "matmul", "custom", or "none" of a network without one.
 * @property files SHA-256 of every file of the bundle but the contract, by its path inside.
 * @property checkpointFile of the weights; empty for a network that came from no file.
 */
data class Contract(
    val toolkitVersion: String,
    val target: String,
    val precision: String,
    val spectral: String,
    val network: NetworkIdentity,
    val artifact: Artifact,
    val files: Map<String, String>,
    val parity: Parity,
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

    val modelName: String get() = network.name

    /** How the spectral filter was lowered; null of a network without one. */
    val spectralFilter: String? get() = spectral.takeIf { it != NO_FILTER }

    /** @throws S2MEdgeException the bundle did not pass its gate, or not on a picture that shows something. */
    fun requireProved() {
        if (parity.images == 0 || parity.imagesWithForeground == 0) {
            throw S2MEdgeException(
                "the bundle's parity was never measured on a picture that shows the object",
                "Export it again with --images that do.",
                Refusal.NOT_MEASURED,
            )
        }
        if (!parity.passed) {
            throw S2MEdgeException(
                "the bundle did not pass its parity gate: its masks are not the network's",
                "Export it again in another precision, or for another target.",
                Refusal.GATE_FAILED,
            )
        }
    }

    companion object {
        const val SCHEMA_VERSION = 2
        const val FILE = "contract.json"
        const val NOTICE = "Research use only. Not a medical device."
        private const val NO_FILTER = "none"
        internal const val LARGEST_FILE = 1 shl 20
        private const val LARGEST_OUTPUT = 1 shl 27
        private const val MOST_FILES = 1000
        private const val MOST_OUTPUTS = 256
        private const val MOST_IMAGES = 1_000_000
        private const val LONGEST_PATH = 250
        private const val LONGEST_USE = 2000
        private val TARGETS = listOf("executorch", "coreml", "coreai", "openvino", "onnx", "litert")
        private val PRECISIONS = listOf("float32", "float16", "float16-mixed", "bfloat16", "int8", "int8-weights", "palette6")
        private val LOWERINGS = listOf("matmul", "custom", NO_FILTER)
        private val VERDICTS = listOf("executed", "artifact parity", "converted, not executed")

        // The limits that Gate and Comparison keep. One that they do not know may not be passed over.
        private val LIMITS = listOf("probability_error", "mean_probability_error", "mask_agreement", "mask_dice")
        private val SEGMENT = Regex("[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
        private val NETWORK_NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
        private val SHA256 = Regex("[0-9a-f]{64}")
        private val FIGURE = Regex("[a-z0-9_]{1,50}")

        /**
         * Decode and check a contract.
         *
         * @throws S2MEdgeException not a contract, damaged, or from an older or newer version; `refusal` says which.
         */
        fun read(content: ByteArray): Contract {
            if (content.size > LARGEST_FILE) {
                throw S2MEdgeException("$FILE is longer than $LARGEST_FILE bytes", EXPORT_AGAIN, Refusal.TOO_LARGE)
            }
            val root = StrictJson.parse(content, FILE) as? JsonObject
            requireVersion(root?.get("schema_version"))
            root as JsonObject
            requireKnown(root, "target", TARGETS, Refusal.UNKNOWN_TARGET)
            requireKnown(root, "precision", PRECISIONS, Refusal.UNKNOWN_PRECISION)
            requireBounded(root)
            (root.get("files") as? JsonObject)?.keySet()?.forEach(::requirePlainPath)
            val contract = decode(Fields(root, ""))
            val problem = firstContradiction(contract)
            if (problem != null) throw S2MEdgeException("$FILE is damaged: $problem", EXPORT_AGAIN, Refusal.DAMAGED)
            return contract
        }

        /** Whether a path stays inside its folder: segments of letters, digits, dots, dashes and underscores. */
        internal fun isPlainPath(path: String) = path.length <= LONGEST_PATH && path.split('/').all(SEGMENT::matches)

        private fun requireVersion(value: JsonElement?) {
            val version = value?.takeIf { it.isJsonPrimitive && it.asJsonPrimitive.isNumber }?.asNumber as? Long
                ?: throw S2MEdgeException("$FILE is not a deployment contract", EXPORT_AGAIN, Refusal.NOT_A_CONTRACT)
            if (version > SCHEMA_VERSION) {
                throw S2MEdgeException(
                    "$FILE follows version $version, newer than this app reads ($SCHEMA_VERSION)",
                    "Update the app, or export the bundle with an older s2m-edge.",
                    Refusal.NEWER_VERSION,
                )
            }
            if (version < SCHEMA_VERSION) {
                throw S2MEdgeException(
                    "$FILE follows version $version, which this app no longer reads (it reads $SCHEMA_VERSION)",
                    EXPORT_AGAIN,
                    Refusal.OLDER_VERSION,
                )
            }
        }

        private fun requireKnown(root: JsonObject, name: String, words: List<String>, refusal: Refusal) {
            val value = root.get(name)?.takeIf { it.isJsonPrimitive && it.asJsonPrimitive.isString }?.asString ?: return
            if (value !in words) {
                throw S2MEdgeException(
                    "$FILE is of the $name ${plain(value)}, which this app does not know",
                    "Update the app, or export the bundle with an older s2m-edge.",
                    refusal,
                )
            }
        }

        /** Sizes before anything is allocated for them: more than any app could hold is refused as such. */
        private fun requireBounded(root: JsonObject) {
            fun wholeOf(value: JsonElement?) =
                value?.takeIf { it.isJsonPrimitive && it.asJsonPrimitive.isNumber }?.asDouble?.takeIf { it == Math.rint(it) }
            val fitted = root.get("preprocessing") as? JsonObject
            val sides = listOf("height", "width").mapNotNull { wholeOf(fitted?.get(it)) }
            val shape = (root.get("output") as? JsonObject)?.get("shape") as? JsonArray
            val whole = shape?.mapNotNull(::wholeOf).orEmpty()
            val files = (root.get("files") as? JsonObject)?.size() ?: 0
            val tooLarge = sides.any { it > Preprocessing.LARGEST_SIDE } || files > MOST_FILES ||
                (whole.size == 4 && (whole[1] > MOST_OUTPUTS || whole.reduce(Double::times) > LARGEST_OUTPUT))
            if (tooLarge) {
                throw S2MEdgeException(
                    "$FILE asks for more memory than an app can give: it may have $LARGEST_OUTPUT output values, " +
                        "$MOST_OUTPUTS outputs, ${Preprocessing.LARGEST_SIDE} pixels a side and $MOST_FILES files",
                    "Export the network at a smaller size.",
                    Refusal.TOO_LARGE,
                )
            }
        }

        private fun requirePlainPath(path: String) {
            if (!isPlainPath(path)) {
                throw S2MEdgeException(
                    "$FILE names a file outside the bundle (${plain(path)})", EXPORT_AGAIN, Refusal.OUTSIDE_BUNDLE,
                )
            }
        }

        private fun decode(root: Fields): Contract {
            root.only(
                "schema_version", "s2m_edge_version", "exported_at", "target", "precision", "spectral", "artifact", "files",
                "parity", "network", "input", "preprocessing", "output", "postprocessing", "classes", "checkpoint", "tools",
                "intended_use", "notice",
            )
            root.text("exported_at")
            root.texts("tools")
            root.choice("notice", listOf(NOTICE))
            val artifact = root.inner("artifact").only("file", "bytes")
            val checkpoint = root.inner("checkpoint").only("file", "sha256", "provenance")
            checkpoint.inner("provenance")
            val postprocessing = root.inner("postprocessing").only("resize", "threshold")
            postprocessing.text("resize")
            return Contract(
                toolkitVersion = plain(root.text("s2m_edge_version")),
                target = root.choice("target", TARGETS),
                precision = root.choice("precision", PRECISIONS),
                spectral = root.choice("spectral", LOWERINGS),
                network = readNetwork(root.inner("network")),
                artifact = Artifact(
                    artifact.text("file", SEGMENT),
                    artifact.count("bytes").toLong().also { if (it < 1) throw artifact.damaged("bytes") },
                ),
                files = readFiles(root.inner("files"), root),
                parity = readParity(root.inner("parity")),
                input = readInput(root.inner("input")),
                preprocessing = Preprocessing.read(root.inner("preprocessing")),
                output = readOutput(root.inner("output")),
                threshold = postprocessing.number("threshold", 0.0..1.0),
                classes = root.inners("classes").map(::readClass),
                checkpointFile = checkpoint.text("file", 255) { it != '/'.code && it != '\\'.code && it >= 0x20 && it != 0x7f },
                checkpointSha256 = checkpoint.text("sha256", SHA256),
                intendedUse = plain(root.text("intended_use"), LONGEST_USE),
            )
        }

        private fun readNetwork(fields: Fields): NetworkIdentity {
            fields.only("name", "architecture", "layout", "parameters", "multiply_adds", "weights_sha256")
            fields.inner("layout")
            fields.count("parameters")
            fields.count("multiply_adds")
            return NetworkIdentity(
                fields.text("name", NETWORK_NAME),
                fields.text("architecture", 300) { it >= 0x20 && it !in 0x7f..0x9f },
                fields.text("weights_sha256", SHA256),
            )
        }

        private fun readFiles(fields: Fields, root: Fields): Map<String, String> {
            val found = fields.names.associateWith { fields.text(it, SHA256) }
            if (found.size < 3 || ModelBundle.GOLDEN_FILE !in found || ModelBundle.PARITY_FILE !in found) {
                throw root.damaged("files")
            }
            return found
        }

        private fun readParity(fields: Fields): Parity {
            fields.only("passed", "verdict", "images", "images_with_foreground", "gate", "figures")
            fields.choice("verdict", VERDICTS)
            val gate = fields.inner("gate")
            val figures = fields.inner("figures")
            if (gate.names.size !in 1..16) throw fields.damaged("gate")
            if (figures.names.size > 16) throw fields.damaged("figures")
            for (name in gate.names) {
                if (!FIGURE.matches(name) || gate.optionalNumber(name).let { it != null && it !in 0.0..1.0 }) {
                    throw gate.damaged(name)
                }
                if (name !in LIMITS && gate.optionalNumber(name) != null) {
                    throw S2MEdgeException(
                        "the gate has a limit that this app does not know ($name)", "Update the app.", Refusal.DAMAGED,
                    )
                }
            }
            for (name in figures.names) {
                if (!FIGURE.matches(name)) throw figures.damaged(name)
                figures.optionalNumber(name)
            }
            return Parity(
                passed = fields.flag("passed"),
                images = fields.whole("images", 0..MOST_IMAGES),
                imagesWithForeground = fields.whole("images_with_foreground", 0..MOST_IMAGES),
                gate = Gate.read(gate),
            )
        }

        private fun readInput(fields: Fields): Input {
            fields.only("name", "dtype", "layout", "colour", "normalised_inside")
            return Input(
                fields.text("name"),
                fields.choice("dtype", listOf("uint8", "float32")),
                fields.choice("layout", listOf("NCHW", "NHWC", "image")),
                fields.choice("colour", listOf("RGB", "grey")),
                fields.flag("normalised_inside"),
            )
        }

        internal fun readOutput(fields: Fields): Output {
            fields.only("name", "shape", "activation")
            val shape = fields.wholes("shape")
            if (shape.size != 4 || shape[0] != 1 || shape[1] !in 1..MOST_OUTPUTS || shape.any { it < 1 }) {
                throw fields.damaged("shape")
            }
            return Output(fields.text("name"), shape, fields.choice("activation", listOf("sigmoid", "softmax")))
        }

        private fun readClass(fields: Fields): SegmentClass {
            fields.only("name", "colour")
            val name = fields.text("name", 100) { !isControl(it) }
            val colour = fields.wholes("colour")
            if (name.isEmpty()) throw fields.damaged("name")
            if (colour.size != 3 || colour.any { it !in 0..255 }) throw fields.damaged("colour")
            return SegmentClass(name, colour)
        }

        /** What no schema can say, or null: entries that do not go together. */
        private fun firstContradiction(contract: Contract): String? {
            val (height, width) = contract.preprocessing
            val shape = contract.output.shape
            val channels = contract.preprocessing.channels
            val activation = contract.output.activation
            val input = contract.input
            val artifact = contract.artifact.file
            val parity = contract.parity
            return when {
                shape[2] != height || shape[3] != width -> "an output of shape $shape for a picture of $height x $width"
                activation != (if (shape[1] == 1) "sigmoid" else "softmax") -> "the activation $activation"
                contract.classes.size != maxOf(1, shape[1] - 1) ->
                    "${contract.classes.size} classes for ${shape[1]} outputs"
                input.colour != (if (channels == 3) "RGB" else "grey") -> "the colour ${input.colour}"
                input.normalisedInside != (input.dtype == "uint8") -> "normalised_inside with ${input.dtype}"
                contract.files.keys.none { it == artifact || it.startsWith("$artifact/") } -> "none of its files is $artifact"
                parity.imagesWithForeground > parity.images -> "more pictures with the object than pictures"
                else -> null
            }
        }
    }
}
