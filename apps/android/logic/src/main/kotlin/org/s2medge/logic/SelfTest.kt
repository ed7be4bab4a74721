package org.s2medge.logic

/** A loaded network: fitted pictures in, probabilities out. ExecuTorch or LiteRT in the app, a stand-in in tests. */
interface SegmentationRuntime {
    /** For people, for instance "ExecuTorch, XNNPACK, 4 threads". */
    val title: String

    /** Probabilities classes x height x width. Throws whatever the runtime throws. */
    fun probabilities(fitted: FittedPicture): ProbabilityMap
}

/**
 * What came of running a bundle's golden inputs.
 *
 * @property failure why it ended early, or null.
 */
data class SelfTestReport(val runtime: String, val entries: List<Entry>, val failure: String?) {
    data class Entry(val name: String, val comparison: Comparison, val breaches: List<String>, val milliseconds: Double)

    /**
     * Green: every golden input ran, every figure is inside the gate, and the reference finds something on one of them at
     * least. Anything else is red, and shows no masks.
     */
    val passed: Boolean
        get() = failure == null && entries.all { it.breaches.isEmpty() } && entries.any { it.comparison.showsObject }

    /** One sentence for the badge. */
    val verdict: String
        get() {
            if (failure != null) return failure
            val worst = entries.firstOrNull { it.breaches.isNotEmpty() }
            if (worst != null) return "${worst.name}: ${worst.breaches.joinToString()}"
            if (entries.isEmpty()) return "no golden inputs"
            if (!passed) return "the reference finds nothing on any golden input, and equal empty masks prove nothing"
            val error = entries.maxOf { it.comparison.maxProbabilityError }
            val agreement = entries.minOf { it.comparison.maskAgreement }
            return "${entries.size} inputs, largest error ${brief(error)}, agreement at least ${brief(agreement)}"
        }

    /** Median time of one golden input, or null. */
    val medianMilliseconds: Double? get() = entries.map { it.milliseconds }.sorted().let { it.getOrNull(it.size / 2) }
}

object SelfTest {
    /** Run every golden input and compare with what the reference gave. A failure is a red report, not an exception. */
    fun run(bundle: ModelBundle, runtime: SegmentationRuntime): SelfTestReport {
        val threshold = bundle.contract.threshold
        val entries = mutableListOf<SelfTestReport.Entry>()
        var failure: String? = null
        try {
            for (golden in bundle.golden) {
                // A check of this app's own arithmetic before the network is blamed.
                val own = golden.probabilities.decided(threshold).labels
                val same = own.indices.count { own[it] == golden.mask.labels[it] }
                if (same < bundle.gate.maskAgreement * own.size) {
                    throw S2MEdgeException(
                        "${golden.name}: the recorded mask does not follow from the recorded logits",
                        EXPORT_AGAIN,
                    )
                }
                val began = System.nanoTime()
                val edge = runtime.answer(golden.image, bundle.contract, golden.name)
                val milliseconds = (System.nanoTime() - began) / 1e6
                val comparison = Comparison.of(golden.probabilities, edge, threshold)
                entries += SelfTestReport.Entry(golden.name, comparison, comparison.breaches(bundle.gate), milliseconds)
            }
        } catch (error: Exception) {
            failure = error.message ?: error.javaClass.simpleName
        } catch (error: LinkageError) { // a native library that does not load is a red badge, too
            failure = "the runtime does not load on this device (${error.message})"
        }
        return SelfTestReport(runtime.title, entries, failure)
    }
}
