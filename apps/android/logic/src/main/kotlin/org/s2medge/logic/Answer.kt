package org.s2medge.logic

/** Whether every value is a number. */
private val ProbabilityMap.isFinite: Boolean get() = values.all(Float::isFinite)

/**
 * What a network gives for one input, if a mask can be made of it. Labels are decided from nothing else.
 *
 * @param name of the picture, for messages.
 * @throws S2MEdgeException of another shape than the contract says, or a value that is not finite, which would pass for
 * background; and whatever the runtime throws.
 */
internal fun SegmentationRuntime.answer(fitted: FittedPicture, contract: Contract, name: String): ProbabilityMap {
    val found = probabilities(fitted)
    val due = contract.output.shape.drop(1)
    val given = listOf(found.channels, found.height, found.width)
    if (given != due) {
        throw S2MEdgeException(
            "${plain(name)}: the artifact gives ${given.joinToString(" x ")} values where ${due.joinToString(" x ")} were due",
            EXPORT_AGAIN,
        )
    }
    if (!found.isFinite) {
        throw S2MEdgeException(
            "${plain(name)}: the artifact failed on it, its answer is not a number (a value is not finite); no mask is made of it",
            "Export the bundle again, in float32 where it was not.",
        )
    }
    return found
}
