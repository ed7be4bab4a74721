package org.s2medge.logic

import java.io.File
import java.io.IOException
import java.nio.file.Files
import java.security.MessageDigest

/** One recorded input with the reference's outputs, from `golden.safetensors`. */
class Golden(val name: String, val image: FittedPicture, val probabilities: ProbabilityMap, val mask: LabelMap)

/**
 * A bundle as `s2m-edge export` writes it: artifact, contract, golden outputs, parity report, and a guard where it has one.
 *
 * @property goldenDevice what recorded the golden outputs.
 * @property guard what the training pictures looked like; null where the bundle does not say.
 */
class ModelBundle private constructor(
    val folder: File,
    val contract: Contract,
    val golden: List<Golden>,
    val goldenDevice: String,
    val guard: Guard?,
) {
    val artifact: File get() = File(folder, contract.artifact.file)

    /** The limits that the export kept, and that this device has to keep. */
    val gate: Gate get() = contract.parity.gate

    companion object {
        const val GOLDEN_FILE = "golden.safetensors"
        const val PARITY_FILE = "parity.json"
        private const val REMEDY = "Put the whole bundle in place again with s2m-edge demo android."

        private const val MOST_GOLDEN = 1000
        private const val LARGEST_GOLDEN = 1L shl 30
        private val DROPPINGS = setOf(".DS_Store", "Thumbs.db", "desktop.ini")

        /**
         * Read a bundle that passed its gate, and check every one of its files against the contract's SHA-256.
         *
         * @throws S2MEdgeException no bundle, not proved, damaged, changed, or from another version; `refusal` says which.
         */
        fun open(folder: File): ModelBundle = try {
            val contract = readContract(folder)
            contract.requireProved()
            requireWhole(folder, contract)
            val golden = File(folder, GOLDEN_FILE)
            if (golden.length() > LARGEST_GOLDEN) throw tooLarge("$GOLDEN_FILE is longer than $LARGEST_GOLDEN bytes")
            val file = Safetensors.read(golden)
            ModelBundle(
                folder, contract, readGolden(file, contract), plain(file.metadata["device"] ?: "unknown"),
                if (Guard.FILE in contract.files) Guard.read(File(folder, Guard.FILE), contract.preprocessing.channels) else null,
            )
        } catch (error: IOException) {
            throw S2MEdgeException("a file of the bundle cannot be read (${error.message})", REMEDY, Refusal.MISSING_FILE)
        } catch (_: OutOfMemoryError) {
            throw tooLarge("the bundle's recorded inputs do not fit in this device's memory")
        }

        /** The bundles directly inside a folder, by name; what cannot be opened comes as an error. */
        fun find(root: File): List<Pair<String, Result<ModelBundle>>> =
            root.listFiles().orEmpty().filter { File(it, Contract.FILE).isFile }.sortedBy { it.name }.map {
                plain(it.name) to runCatching { ModelBundle.open(it) }
            }

        /**
         * The first bundle of the first target that has any.
         *
         * @throws S2MEdgeException there is none, or the only ones cannot be opened.
         */
        fun choose(found: List<Pair<String, Result<ModelBundle>>>, targets: List<String>): ModelBundle {
            val bundles = found.mapNotNull { it.second.getOrNull() }
            targets.firstNotNullOfOrNull { target -> bundles.firstOrNull { it.contract.target == target } }
                ?.let { return it }
            found.firstNotNullOfOrNull { it.second.exceptionOrNull() }?.let { throw it }
            val others = found.joinToString { it.first }
            val wanted = targets.joinToString(" or ")
            throw S2MEdgeException(
                if (others.isEmpty()) "the app holds no model" else "the app holds no model for $wanted, only $others",
                "Run s2m-edge demo android and build the app again.",
            )
        }

        private fun readContract(folder: File): Contract {
            val file = File(folder, Contract.FILE)
            if (!file.isFile) {
                throw S2MEdgeException(
                    "${plain(folder.name)} is not a bundle: it has no ${Contract.FILE}", REMEDY, Refusal.NO_BUNDLE,
                )
            }
            if (Files.isSymbolicLink(file.toPath())) throw link(Contract.FILE)
            // A byte more than is allowed, so that a longer one shows without being read.
            val content = ByteArray(minOf(file.length(), Contract.LARGEST_FILE + 1L).toInt())
            file.inputStream().use { input ->
                var filled = 0
                while (filled < content.size) {
                    val count = input.read(content, filled, content.size - filled)
                    if (count < 0) throw IOException("${Contract.FILE} ends early")
                    filled += count
                }
            }
            return Contract.read(content)
        }

        /** Every file that the contract names is there unchanged, and there is no other. */
        private fun requireWhole(folder: File, contract: Contract) {
            val found = list(folder, "") - Contract.FILE
            (contract.files.keys - found).minOrNull()?.let {
                throw S2MEdgeException("the bundle lacks $it", REMEDY, Refusal.MISSING_FILE)
            }
            (found - contract.files.keys).minOrNull()?.let {
                throw S2MEdgeException(
                    "the bundle holds ${plain(it)}, which its contract does not name", "Remove it.", Refusal.EXTRA_FILE,
                )
            }
            for ((path, expected) in contract.files) {
                if (sha256(File(folder, path)) != expected) {
                    throw S2MEdgeException(
                        "$path is not the file that was exported (its SHA-256 differs)", REMEDY, Refusal.HASH_DIFFERS,
                    )
                }
            }
        }

        /** Paths of every file in a folder and its folders; links are refused, what file managers drop is left out. */
        private fun list(folder: File, prefix: String): Set<String> {
            val inside = folder.listFiles() ?: throw IOException("${plain(folder.name)} cannot be listed")
            val found = sortedSetOf<String>()
            for (file in inside.sortedBy { it.name }) {
                val path = prefix + file.name
                if (file.name in DROPPINGS || file.name.startsWith("._")) continue
                if (Files.isSymbolicLink(file.toPath())) throw link(path)
                if (file.isDirectory) found += list(file, "$path/") else found += path
            }
            return found
        }

        private fun link(path: String) =
            S2MEdgeException("${plain(path)} of the bundle is a link", "Copy the file itself.", Refusal.LINK)

        private fun tooLarge(reason: String) =
            S2MEdgeException(reason, "Export the network at a smaller size, or with fewer pictures.", Refusal.TOO_LARGE)

        private fun readGolden(file: Safetensors, contract: Contract): List<Golden> {
            val (height, width) = contract.preprocessing
            val channels = contract.preprocessing.channels
            val outputs = contract.channelsOut
            fun refused(reason: String, refusal: Refusal) = S2MEdgeException("$GOLDEN_FILE $reason", EXPORT_AGAIN, refusal)
            val count = file.metadata["count"]?.toIntOrNull() ?: 0
            if (count !in 1..MOST_GOLDEN) throw refused("holds no recorded inputs", Refusal.GOLDEN_DAMAGED)
            val read = (0 until count).map { index ->
                val name = file.metadata["name.$index"] ?: throw refused("is damaged (no name)", Refusal.GOLDEN_DAMAGED)
                Recorded(name, file.uint8("image.$index"), file.float32("logits.$index"), file.uint8("mask.$index"))
            }
            if (file.metadata["weights_sha256"] != contract.network.weightsSha256) {
                throw refused("was recorded with another network", Refusal.GOLDEN_FOREIGN)
            }
            for (entry in read) {
                val sound = entry.image.first == listOf(height, width, channels) &&
                    entry.logits.first == listOf(outputs, height, width) && entry.mask.first == listOf(height, width)
                if (!sound) throw refused("is damaged (arrays of another size)", Refusal.GOLDEN_DAMAGED)
                if (!entry.logits.second.all(Float::isFinite)) {
                    throw refused("holds outputs that are no numbers", Refusal.GOLDEN_NOT_FINITE)
                }
            }
            if (read.none { entry -> entry.mask.second.any { it.toInt() != 0 } }) {
                throw refused("shows no object in any picture, and proves nothing", Refusal.GOLDEN_EMPTY)
            }
            return read.map {
                Golden(
                    plain(it.name),
                    FittedPicture(height, width, channels, it.image.second),
                    ProbabilityMap(outputs, height, width, it.logits.second).activated(),
                    LabelMap(width, height, it.mask.second),
                )
            }
        }

        private class Recorded(
            val name: String,
            val image: Pair<List<Int>, ByteArray>,
            val logits: Pair<List<Int>, FloatArray>,
            val mask: Pair<List<Int>, ByteArray>,
        )
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
