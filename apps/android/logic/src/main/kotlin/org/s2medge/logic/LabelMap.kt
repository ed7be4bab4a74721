package org.s2medge.logic

/** Labels of a picture: 0 for background, n for the contract's class n - 1; one byte a pixel, unsigned. */
class LabelMap(val width: Int, val height: Int, val labels: ByteArray) {
    init {
        require(labels.size == width * height)
    }

    /** Pixels of each label from 0 on; at least [count] entries. */
    fun areas(count: Int): List<Int> {
        val areas = IntArray(256)
        for (label in labels) areas[label.toInt() and 255]++
        val highest = areas.indexOfLast { it > 0 }
        return areas.take(maxOf(count, highest + 1))
    }

    /** As an 8-bit grey picture, 0xFFggg.. one integer a pixel: black and white for one class, the labels themselves for more. */
    fun maskPixels(classes: Int): IntArray = IntArray(labels.size) {
        val label = labels[it].toInt() and 255
        val grey = if (classes == 1) (if (label == 0) 0 else 255) else label
        OPAQUE or (grey shl 16) or (grey shl 8) or grey
    }

    internal companion object {
        const val OPAQUE = 255 shl 24
    }
}

/** Probabilities channels x height x width as a network gives them. */
class ProbabilityMap(val channels: Int, val height: Int, val width: Int, val values: FloatArray) {
    init {
        require(values.size == channels * height * width)
    }

    /** Resized by the contract's rule. */
    fun resized(newHeight: Int, newWidth: Int) =
        ProbabilityMap(channels, newHeight, newWidth, resample(values, channels, height, width, newHeight, newWidth))

    /** One class: 1 where p >= threshold, in float32. More: the first of the largest. */
    fun decided(threshold: Double): LabelMap {
        val area = height * width
        val limit = threshold.toFloat()
        val labels = ByteArray(area)
        if (channels == 1) {
            for (place in 0 until area) labels[place] = if (values[place] >= limit) 1 else 0
        } else {
            for (place in 0 until area) {
                var best = 0
                for (label in 1 until channels) {
                    if (values[label * area + place] > values[best * area + place]) best = label
                }
                labels[place] = best.toByte()
            }
        }
        return LabelMap(width, height, labels)
    }

    /** Probabilities of a map of logits: sigmoid of one channel, softmax over more. */
    fun activated(): ProbabilityMap {
        val area = height * width
        val result = FloatArray(values.size)
        for (place in 0 until area) {
            if (channels == 1) {
                result[place] = (1.0 / (1.0 + Math.exp(-values[place].toDouble()))).toFloat()
                continue
            }
            var largest = Float.NEGATIVE_INFINITY
            for (label in 0 until channels) largest = maxOf(largest, values[label * area + place])
            var sum = 0.0
            for (label in 0 until channels) sum += Math.exp((values[label * area + place] - largest).toDouble())
            for (label in 0 until channels) {
                val raised = Math.exp((values[label * area + place] - largest).toDouble())
                result[label * area + place] = (raised / sum).toFloat()
            }
        }
        return ProbabilityMap(channels, height, width, result)
    }
}
