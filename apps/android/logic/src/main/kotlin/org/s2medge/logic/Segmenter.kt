package org.s2medge.logic

/**
 * Picture in, mask out, on a runtime whose self-test was green. There is no other way to one.
 *
 * @throws S2MEdgeException the self-test failed, or was another runtime's.
 */
class Segmenter(bundle: ModelBundle, private val runtime: SegmentationRuntime, val report: SelfTestReport) {
    val contract: Contract = bundle.contract
    private val guard = bundle.guard

    /** Whether the network slides over a picture at its own resolution: for single pictures, too slow for live video. */
    val slides: Boolean get() = contract.preprocessing.window != null

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

    /**
     * Segment a picture.
     *
     * @param name of the picture, for messages.
     * @param threshold what a network that slides is decided with, strip by strip. A stretched one's answer is kept, and
     * decided as often as wanted.
     * @param judged whether the bundle's guard, where it has one, says if the picture is like the training's.
     * @param progress called before every window and after the last; what it throws ends the work.
     * @throws S2MEdgeException the picture is too small, or the answer is no number; and whatever the runtime throws.
     */
    fun segment(
        picture: Picture,
        name: String,
        threshold: Double = contract.threshold,
        judged: Boolean = true,
        progress: Progress = { _, _ -> },
    ): Segmentation {
        picture.requireUsableSize()
        val window = contract.preprocessing.window
        val clock = Clock()
        var whole: FittedPicture? = null
        val answer = if (window == null) {
            Answer.Whole(clock.answer(clock.fit(picture).also { whole = it }, name))
        } else {
            slide(picture, window, threshold, progress) { clock.answer(clock.fit(it), name) }
        }
        // A guard knows stretched pictures, also of a network that slides.
        val verdict = guard?.takeIf { judged }?.judge(whole ?: contract.preprocessing.fitToNetwork(picture))
        return Segmentation(
            contract, runtime.title, picture.width, picture.height, answer, verdict,
            preparing = clock.preparing / 1e6, network = clock.network / 1e6,
        )
    }

    private fun slide(
        picture: Picture,
        window: Window,
        threshold: Double,
        progress: Progress,
        predict: (Picture) -> ProbabilityMap,
    ): Answer.Slid {
        val (height, width) = contract.preprocessing
        val strip = Strip(picture, contract.channelsOut, height, width, window)
        val labels = ByteArray(picture.width * picture.height)
        strip.run(predict, progress) { firstRow, found ->
            found.decided(threshold).labels.copyInto(labels, firstRow * picture.width)
        }
        return Answer.Slid(LabelMap(picture.width, picture.height, labels), threshold, strip.windows)
    }

    /** Nanoseconds of the resize and of the network, over all that was run. */
    private inner class Clock {
        var preparing = 0L
        var network = 0L

        fun fit(part: Picture): FittedPicture {
            val began = System.nanoTime()
            val fitted = contract.preprocessing.fitToNetwork(part)
            preparing += System.nanoTime() - began
            return fitted
        }

        fun answer(fitted: FittedPicture, name: String): ProbabilityMap {
            val began = System.nanoTime()
            val found = runtime.answer(fitted, contract, name)
            network += System.nanoTime() - began
            return found
        }
    }
}

/** What a network gave for a picture; every value was a number. */
sealed interface Answer {
    /** Of the stretched picture, in the network's size, before anything is decided. */
    class Whole(val probabilities: ProbabilityMap) : Answer

    /** Of a network that slid: decided already, because nobody can hold a large picture's probabilities. */
    class Slid(val mask: LabelMap, val threshold: Double, val windows: Int) : Answer
}

/**
 * The network's answer to one picture.
 *
 * @property verdict whether the picture is like the training's; null where the bundle does not say, or was not asked.
 * @property width of the picture. @property preparing milliseconds of the resize. @property network milliseconds of the
 * network, of all windows together.
 */
class Segmentation(
    val contract: Contract,
    val runtime: String,
    val width: Int,
    val height: Int,
    val answer: Answer,
    val verdict: GuardVerdict?,
    val preparing: Double,
    val network: Double,
) {
    /** How many windows were run; null where the picture was stretched. */
    val windows: Int? get() = (answer as? Answer.Slid)?.windows

    /** The threshold that nothing but another run can change; null where any can be tried. */
    val fixedThreshold: Double? get() = (answer as? Answer.Slid)?.threshold

    /** In the picture's size; null of a network that slid. */
    fun resized(): ProbabilityMap? = (answer as? Answer.Whole)?.probabilities?.resized(height, width)

    /**
     * Labels in the picture's size: probabilities are resized first, then decided.
     *
     * @throws S2MEdgeException the network slid with another threshold.
     */
    fun mask(threshold: Double): LabelMap = when (answer) {
        is Answer.Whole -> answer.probabilities.resized(height, width).decided(threshold)
        is Answer.Slid -> if (threshold == answer.threshold) {
            answer.mask
        } else {
            throw S2MEdgeException(
                "the picture was decided with a threshold of ${brief(answer.threshold)}", "Segment it again.",
            )
        }
    }
}
