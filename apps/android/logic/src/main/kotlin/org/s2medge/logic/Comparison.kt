package org.s2medge.logic

import java.util.Locale
import kotlin.math.abs

/** Limits that a comparison must keep; null where a precision promises nothing. From `parity.json`, entry `gate`. */
data class Gate(
    val probabilityError: Double?,
    val meanProbabilityError: Double?,
    val maskAgreement: Double,
    val maskDice: Double?,
) {
    internal companion object {
        fun read(fields: Fields) = Gate(
            fields.optionalNumber("probability_error"),
            fields.optionalNumber("mean_probability_error"),
            fields.number("mask_agreement"),
            fields.optionalNumber("mask_dice"),
        )
    }
}

/**
 * How far this device's probabilities lie from the reference's.
 *
 * @property maxProbabilityError largest absolute difference; not finite when any value is not.
 * @property meanProbabilityError mean absolute difference over pixels and outputs; alike.
 * @property maskAgreement fraction of pixels with the same label.
 * @property maskDice mean over the foreground labels that occur in either; 1 where none does.
 * @property maskFraction foreground in the reference's mask.
 */
data class Comparison(
    val maxProbabilityError: Double,
    val meanProbabilityError: Double,
    val maskAgreement: Double,
    val maskDice: Double,
    val maskFraction: Double,
) {
    /** Whether the reference finds anything: equal empty masks prove nothing. */
    val showsObject: Boolean get() = maskFraction > 0

    /** What is outside the gate, as sentences; empty when it holds. What is not finite is outside every gate. */
    fun breaches(gate: Gate): List<String> = buildList {
        fun error(title: String, value: Double, limit: Double?) {
            if (!value.isFinite()) {
                add("$title $value: a probability is not finite")
            } else if (limit != null && value > limit) {
                add("$title ${brief(value)} above ${brief(limit)}")
            }
        }
        error("largest probability error", maxProbabilityError, gate.probabilityError)
        error("mean probability error", meanProbabilityError, gate.meanProbabilityError)
        if (!(maskAgreement >= gate.maskAgreement)) {
            add("mask agreement ${brief(maskAgreement)} below ${brief(gate.maskAgreement)}")
        }
        if (gate.maskDice != null && !(maskDice >= gate.maskDice)) {
            add("Dice between masks ${brief(maskDice)} below ${brief(gate.maskDice)}")
        }
    }

    companion object {
        /**
         * Compare two maps of the same shape at the contract's threshold.
         *
         * @throws S2MEdgeException the shapes differ.
         */
        fun of(reference: ProbabilityMap, edge: ProbabilityMap, threshold: Double): Comparison {
            if (reference.channels != edge.channels || reference.height != edge.height || reference.width != edge.width) {
                throw S2MEdgeException(
                    "the model gives ${edge.channels} x ${edge.height} x ${edge.width} probabilities, the reference " +
                        "${reference.channels} x ${reference.height} x ${reference.width}",
                    EXPORT_AGAIN,
                )
            }
            var largest = 0.0
            var sum = 0.0
            for (place in reference.values.indices) {
                val difference = abs(reference.values[place].toDouble() - edge.values[place].toDouble())
                largest = Math.max(largest, difference) // which keeps a value that is not a number, as the sum does
                sum += difference
            }
            val known = reference.decided(threshold).labels
            val found = edge.decided(threshold).labels
            val knownCount = IntArray(256)
            val foundCount = IntArray(256)
            val bothCount = IntArray(256)
            for (place in known.indices) {
                knownCount[known[place].toInt() and 255]++
                foundCount[found[place].toInt() and 255]++
                if (known[place] == found[place]) bothCount[known[place].toInt() and 255]++
            }
            val scores = (1..255).filter { knownCount[it] + foundCount[it] > 0 }
                .map { 2.0 * bothCount[it] / (knownCount[it] + foundCount[it]) }
            val area = known.size.toDouble()
            return Comparison(
                maxProbabilityError = largest,
                meanProbabilityError = sum / reference.values.size,
                maskAgreement = bothCount.sum() / area,
                maskDice = if (scores.isEmpty()) 1.0 else scores.average(),
                maskFraction = (area - knownCount[0]) / area,
            )
        }
    }
}

/** Six significant digits at most, as people write numbers. */
internal fun brief(value: Double): String {
    if (value == 0.0 || !value.isFinite()) return if (value == 0.0) "0" else value.toString()
    val text = if (abs(value) < 1e-4) String.format(Locale.ROOT, "%.3e", value) else String.format(Locale.ROOT, "%.6f", value)
    return if ('e' in text) text else text.trimEnd('0').trimEnd('.')
}
