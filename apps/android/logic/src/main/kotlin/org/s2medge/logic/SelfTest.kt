package org.s2medge.logic

/** A loaded network: fitted pictures in, probabilities out. ExecuTorch in the app, a stand-in in tests. */
interface SegmentationRuntime {
    /** For people, for instance "ExecuTorch, XNNPACK, 4 threads". */
    val title: String

    /** Probabilities classes x size x size. Throws whatever the runtime throws. */
    fun probabilities(fitted: FittedPicture): ProbabilityMap
}

/**
 * What came of running a bundle's golden inputs.
 *
 * @property failure why it ended early, or null.
 */
data class SelfTestReport(val runtime: String, val entries: List<Entry>, val failure: String?) {
    data class Entry(val name: String, val comparison: Comparison, val breaches: List<String>, val milliseconds: Double)

    /** Green: every golden input ran, and every figure is inside the gate. Anything else is red, and shows no masks. */
    val passed: Boolean get() = failure == null && entries.isNotEmpty() && entries.all { it.breaches.isEmpty() }

    /** One sentence for the badge. */
    val verdict: String
        get() {
            if (failure != null) return failure
            val worst = entries.firstOrNull { it.breaches.isNotEmpty() }
            if (worst != null) return "${worst.name}: ${worst.breaches.joinToString()}"
            if (entries.isEmpty()) return "no golden inputs"
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
                val edge = runtime.probabilities(golden.image)
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

/**
 * Picture in, mask out, on a runtime whose self-test was green. There is no other way to one.
 *
 * @throws S2MEdgeException the self-test failed, or was another runtime's.
 */
class Segmenter(bundle: ModelBundle, private val runtime: SegmentationRuntime, val report: SelfTestReport) {
    val contract: Contract = bundle.contract

    init {
        if (report.runtime != runtime.title) {
            throw S2MEdgeException("the self-test was run on ${report.runtime}", "Run it on ${runtime.title}.")
        }
        if (!report.passed) {
            throw S2MEdgeException(
                "the self-test failed (${report.verdict}), so no mask is shown",
                "Run it again, or export the bundle again with s2m-edge export.",
            )
        }
    }

    /** @throws S2MEdgeException for a picture that is too small; and whatever the runtime throws. */
    fun segment(picture: Picture): Segmentation {
        picture.requireUsableSize()
        val began = System.nanoTime()
        val fitted = contract.preprocessing.fitToNetwork(picture)
        val prepared = System.nanoTime()
        val probabilities = runtime.probabilities(fitted)
        val done = System.nanoTime()
        return Segmentation(
            contract, runtime.title, picture.width, picture.height, probabilities,
            preparing = (prepared - began) / 1e6, network = (done - prepared) / 1e6,
        )
    }
}

/**
 * The network's answer to one picture, before anything is decided, so that a threshold can be moved without running it again.
 *
 * @property width of the picture. @property probabilities in the network's size.
 * @property preparing milliseconds of the resize. @property network milliseconds of the network.
 */
class Segmentation(
    val contract: Contract,
    val runtime: String,
    val width: Int,
    val height: Int,
    val probabilities: ProbabilityMap,
    val preparing: Double,
    val network: Double,
) {
    /** Labels in the picture's size: probabilities are resized first, then decided. */
    fun mask(threshold: Double): LabelMap = probabilities.resized(height, width).decided(threshold)
}
