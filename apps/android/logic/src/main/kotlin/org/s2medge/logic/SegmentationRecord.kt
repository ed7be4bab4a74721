package org.s2medge.logic

import com.google.gson.GsonBuilder
import com.google.gson.JsonArray
import com.google.gson.JsonNull
import com.google.gson.JsonObject

/** What is shared beside a mask: everything that is needed to know where it came from. */
object SegmentationRecord {
    /**
     * JSON, indented.
     *
     * @param threshold that [mask] was decided with.
     * @param device model and system, for instance "Pixel 9, Android 16".
     * @param recordedAt ISO 8601.
     */
    fun json(
        result: Segmentation,
        mask: LabelMap,
        threshold: Double,
        report: SelfTestReport,
        device: String,
        recordedAt: String,
    ): String {
        val contract = result.contract
        val areas = mask.areas(contract.classes.size + 1)
        val classes = JsonArray()
        contract.classes.forEachIndexed { index, entry ->
            classes.add(
                JsonObject().apply {
                    addProperty("name", entry.name)
                    addProperty("pixels", areas[index + 1])
                    addProperty("fraction", areas[index + 1].toDouble() / mask.labels.size)
                },
            )
        }
        val record = JsonObject().apply {
            addProperty("notice", Contract.NOTICE)
            addProperty("model", contract.modelName)
            addProperty("checkpoint_sha256", contract.checkpointSha256)
            addProperty("weights_sha256", contract.network.weightsSha256)
            addProperty("target", contract.target)
            addProperty("precision", contract.precision)
            addProperty("spectral", contract.spectral)
            addProperty("s2m_edge_version", contract.toolkitVersion)
            addProperty("runtime", result.runtime)
            addProperty("self_test", report.verdict)
            addProperty("device", device)
            addProperty("width", mask.width)
            addProperty("height", mask.height)
            addProperty("threshold", threshold)
            result.windows?.let { addProperty("windows", it) }
            add("classes", classes)
            add("guard", result.verdict?.let(::guard) ?: JsonNull.INSTANCE)
            add(
                "milliseconds",
                JsonObject().apply {
                    addProperty("preparing", result.preparing)
                    addProperty("network", result.network)
                },
            )
            addProperty("recorded_at", recordedAt)
        }
        return GsonBuilder().setPrettyPrinting().disableHtmlEscaping().serializeNulls().create().toJson(record)
    }

    private fun guard(verdict: GuardVerdict) = JsonObject().apply {
        addProperty("score", rounded(verdict.score))
        addProperty("threshold", rounded(verdict.threshold))
        addProperty("unusual", verdict.unusual)
    }

    /** To three places, as the toolkit does. */
    private fun rounded(value: Double) = Math.round(value * 1000) / 1000.0
}

/** Frames per second over the last seconds. @param window seconds. */
class RateMeter(private val window: Double = 2.0) {
    private val times = ArrayDeque<Double>()

    /** Note a frame shown at [time], in seconds of any monotonous clock. */
    fun tick(time: Double) {
        times.addLast(time)
        while (times.first() < time - window) times.removeFirst()
    }

    /** Null until there are two frames. */
    val framesPerSecond: Double?
        get() = if (times.size > 1 && times.last() > times.first()) (times.size - 1) / (times.last() - times.first()) else null
}
