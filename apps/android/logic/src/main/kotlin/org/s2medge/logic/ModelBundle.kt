package org.s2medge.logic

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import java.io.IOException
import java.security.MessageDigest

/** One recorded input with the reference's outputs, from `golden.safetensors`. */
class Golden(val name: String, val image: FittedPicture, val probabilities: ProbabilityMap, val mask: LabelMap)

/**
 * A bundle as `s2m-edge export` writes it: artifact, contract, golden outputs, parity report.
 *
 * @property gate the limits of this bundle's precision, from its parity report.
 * @property goldenDevice what recorded the golden outputs.
 */
class ModelBundle private constructor(
    val folder: File,
    val contract: Contract,
    val gate: Gate,
    val golden: List<Golden>,
    val goldenDevice: String,
) {
    val artifact: File get() = File(folder, contract.artifact.file)

    companion object {
        const val GOLDEN_FILE = "golden.safetensors"
        const val PARITY_FILE = "parity.json"
        private const val REMEDY = "Put the whole bundle in place again with s2m-edge demo android."

        /**
         * Read a bundle and check every file of its artifact against the contract's SHA-256.
         *
         * @throws S2MEdgeException no bundle, damaged, changed, or from a newer version.
         */
        fun open(folder: File): ModelBundle {
            val contract = Contract.read(text(folder, Contract.FILE))
            verify(contract.artifact, folder)
            val parity = text(folder, PARITY_FILE)
            val gate = runCatching {
                Gate.read(Fields(JsonParser.parseString(parity) as JsonObject, "").inner("gate"))
            }.getOrNull() ?: throw S2MEdgeException("$PARITY_FILE states no gate", REMEDY)
            val file = Safetensors.read(File(folder, GOLDEN_FILE))
            return ModelBundle(folder, contract, gate, readGolden(file, contract), file.metadata["device"] ?: "unknown")
        }

        /** The bundles directly inside a folder, by name; what cannot be opened comes as an error. */
        fun find(root: File): List<Pair<String, Result<ModelBundle>>> =
            root.listFiles().orEmpty().filter { File(it, Contract.FILE).isFile }.sortedBy { it.name }.map {
                it.name to runCatching { ModelBundle.open(it) }
            }

        /**
         * The first bundle of a target.
         *
         * @throws S2MEdgeException there is none, or the only ones cannot be opened.
         */
        fun choose(found: List<Pair<String, Result<ModelBundle>>>, target: String): ModelBundle {
            found.mapNotNull { it.second.getOrNull() }.firstOrNull { it.contract.target == target }?.let { return it }
            found.firstNotNullOfOrNull { it.second.exceptionOrNull() }?.let { throw it }
            val others = found.joinToString { it.first }
            throw S2MEdgeException(
                if (others.isEmpty()) "the app holds no model" else "the app holds no model for $target, only $others",
                "Run s2m-edge demo android and build the app again.",
            )
        }

        private fun text(folder: File, name: String): String = try {
            File(folder, name).readText()
        } catch (_: IOException) {
            throw S2MEdgeException("the bundle has no readable $name", REMEDY)
        }

        /** Every file that the contract names is there unchanged, and the artifact holds no other. */
        private fun verify(artifact: Artifact, folder: File) {
            for ((path, expected) in artifact.sha256.toSortedMap()) {
                if (path.split('/').any { it.isEmpty() || it == "." || it == ".." } || '\\' in path) {
                    throw S2MEdgeException("the contract names a file outside the bundle ($path)", REMEDY)
                }
                val file = File(folder, path)
                if (!file.isFile) throw S2MEdgeException("the artifact lacks $path", REMEDY)
                if (sha256(file) != expected) {
                    throw S2MEdgeException("$path is not the file that was exported (its SHA-256 differs)", REMEDY)
                }
            }
            val root = File(folder, artifact.file)
            if (!root.exists()) throw S2MEdgeException("the bundle has no ${artifact.file}", REMEDY)
            val unknown = root.walkTopDown().filter { it.isFile }.map { it.relativeTo(folder).invariantSeparatorsPath }
                .firstOrNull { it !in artifact.sha256 }
            if (unknown != null) {
                throw S2MEdgeException("the artifact holds $unknown, which the contract does not name", REMEDY)
            }
        }

        private fun readGolden(file: Safetensors, contract: Contract): List<Golden> {
            val size = contract.preprocessing.size
            val channels = contract.preprocessing.channels
            val outputs = contract.channelsOut
            val count = file.metadata["count"]?.toIntOrNull() ?: 0
            if (count !in 1..file.entries.size) {
                throw S2MEdgeException("$GOLDEN_FILE holds no recorded inputs", EXPORT_AGAIN)
            }
            return (0 until count).map { index ->
                val (imageShape, image) = file.uint8("image.$index")
                val (logitShape, logits) = file.float32("logits.$index")
                val (maskShape, mask) = file.uint8("mask.$index")
                if (imageShape != listOf(size, size, channels) || logitShape != listOf(outputs, size, size) ||
                    maskShape != listOf(size, size)
                ) {
                    throw S2MEdgeException("$GOLDEN_FILE does not belong to this contract", EXPORT_AGAIN)
                }
                Golden(
                    file.metadata["name.$index"] ?: "input ${index + 1}",
                    FittedPicture(size, channels, image),
                    ProbabilityMap(outputs, size, size, logits).activated(),
                    LabelMap(size, size, mask),
                )
            }
        }
    }
}

/** SHA-256 in hexadecimal of bytes in memory. */
fun sha256(bytes: ByteArray): String = hex(MessageDigest.getInstance("SHA-256").digest(bytes))

/** SHA-256 in hexadecimal of a file, a megabyte at a time. */
fun sha256(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    val part = ByteArray(1 shl 20)
    file.inputStream().use { input ->
        while (true) {
            val count = input.read(part)
            if (count < 0) break
            digest.update(part, 0, count)
        }
    }
    return hex(digest.digest())
}

private fun hex(bytes: ByteArray): String = bytes.joinToString("") { "%02x".format(it) }
