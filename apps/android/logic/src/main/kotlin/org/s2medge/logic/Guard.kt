package org.s2medge.logic

import java.io.File
import java.util.Locale
import kotlin.math.max
import kotlin.math.sqrt

/**
 * How unlike the training pictures a picture is.
 *
 * @property threshold the largest score that is usual.
 */
class GuardVerdict(val score: Double, val threshold: Double) {
    val unusual: Boolean get() = score > threshold

    /** What is shown beside the mask; null for a usual picture. */
    val warning: String?
        get() = if (unusual) {
            "looks unlike the pictures this network was trained on (score %.1f, usual up to %.1f); the mask may mean nothing"
                .format(Locale.ROOT, score, threshold)
        } else {
            null
        }
}

/**
 * A bundle's guard: a Gaussian of low rank over the descriptors of the training pictures. It warns and never blocks.
 *
 * The definition is s2m_edge/deploy/guard.py; apps/vectors has it in words.
 *
 * @property channels of the fitted pictures, 1 or 3. @property threshold the largest score that is usual.
 */
class Guard private constructor(
    val channels: Int,
    val threshold: Double,
    private val mean: FloatArray,
    private val scale: FloatArray,
    private val directions: FloatArray,
    private val deviations: FloatArray,
    private val residual: Double,
) {
    fun judge(fitted: FittedPicture) = GuardVerdict(score(Descriptor.of(fitted)), threshold)

    /** The Mahalanobis distance of a descriptor. */
    internal fun score(descriptor: DoubleArray): Double {
        val length = mean.size
        val centred = DoubleArray(length) { (descriptor[it] - mean[it]) / scale[it] }
        var left = centred.sumOf { it * it }
        var squared = 0.0
        for (direction in deviations.indices) {
            var along = 0.0
            for (place in 0 until length) along += directions[direction * length + place] * centred[place]
            left -= along * along
            val relative = along / deviations[direction]
            squared += relative * relative
        }
        return sqrt(squared + max(0.0, left) / (residual * residual))
    }

    companion object {
        const val FILE = "guard.safetensors"
        private const val FORMAT = "s2m-edge-guard"
        private const val FORMAT_VERSION = "1"

        /** Ten times what the longest descriptor with all its directions takes. */
        private const val LARGEST_FILE = 1L shl 18
        private val DECIMAL = Regex("[0-9.eE+-]+") // the parser alone would take 0x1p3, 1f and NaN too

        /**
         * The guard in a file, about pictures of [channels].
         *
         * @throws S2MEdgeException damaged, of another version, or about other pictures.
         */
        fun read(file: File, channels: Int): Guard {
            if (file.length() > LARGEST_FILE) throw damaged("it is longer than $LARGEST_FILE bytes")
            return of(Safetensors.read(file, Refusal.DAMAGED), channels)
        }

        private fun of(file: Safetensors, channels: Int): Guard {
            val metadata = file.metadata
            if (metadata["format"] != FORMAT) throw damaged("it is no guard")
            if (metadata["format_version"] != FORMAT_VERSION || metadata["descriptor"] != Descriptor.NAME) {
                val version = plain(metadata["format_version"] ?: "none")
                val descriptor = plain(metadata["descriptor"] ?: "none")
                throw S2MEdgeException(
                    "$FILE is of version $version with the descriptor $descriptor, and this app knows $FORMAT_VERSION " +
                        "with ${Descriptor.NAME}",
                    "Update the app, or export the bundle again.", Refusal.DAMAGED,
                )
            }
            if (metadata["channels"]?.toIntOrNull() != channels) {
                throw damaged("it is about pictures of ${plain(metadata["channels"] ?: "no")} channels, the network about $channels")
            }
            val length = Descriptor.length(channels)
            val kept = file.entries["deviations"]?.shape?.firstOrNull() ?: 0
            fun tensor(name: String, shape: List<Int>, positive: Boolean): FloatArray {
                val entry = file.entries[name]
                if (entry == null || entry.dtype != "F32" || entry.shape != shape) throw damaged("it lacks $name")
                val values = file.float32(name).second
                if (!values.all { it.isFinite() && (!positive || it > 0) }) throw damaged("$name is out of range")
                return values
            }
            val text = metadata["threshold"] ?: "none"
            val threshold = text.takeIf(DECIMAL::matches)?.toDoubleOrNull() ?: Double.NaN
            if (!(threshold > 0 && threshold.isFinite())) throw damaged("the threshold is ${plain(text)}")
            return Guard(
                channels, threshold,
                mean = tensor("mean", listOf(length), positive = false),
                scale = tensor("scale", listOf(length), positive = true),
                directions = tensor("directions", listOf(kept, length), positive = false),
                deviations = tensor("deviations", listOf(kept), positive = true),
                residual = tensor("residual", listOf(1), positive = true)[0].toDouble(),
            )
        }

        private fun damaged(reason: String) = S2MEdgeException("$FILE is damaged ($reason)", EXPORT_AGAIN, Refusal.DAMAGED)
    }
}
