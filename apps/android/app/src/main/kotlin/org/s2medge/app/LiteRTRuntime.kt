package org.s2medge.app

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import org.s2medge.logic.FittedPicture
import org.s2medge.logic.ModelBundle
import org.s2medge.logic.ProbabilityMap
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.channelsLast

/**
 * LiteRT's compiled model on the CPU, that is with XNNPACK, from the stock AAR.
 *
 * A bundle with the spectral filter as an operator runs too: the operator is a composite that carries its decomposition.
 *
 * @param threads 0 for the runtime's own choice.
 * @throws S2MEdgeException the bundle is none for this runtime; the runtime throws its own exceptions.
 */
class LiteRTRuntime(private val bundle: ModelBundle, threads: Int) : DeviceRuntime {
    override val title = "LiteRT, XNNPACK, " + DeviceRuntime.threadsTitle(threads)
    private val model: CompiledModel
    private val inputs: List<TensorBuffer>
    private val outputs: List<TensorBuffer>

    init {
        DeviceRuntime.requireInput(bundle, "NHWC")
        val options = CompiledModel.Options(Accelerator.CPU)
        if (threads > 0) options.cpuOptions = CompiledModel.CpuOptions(numThreads = threads)
        model = CompiledModel.create(bundle.artifact.path, options)
        inputs = model.createInputBuffers()
        outputs = model.createOutputBuffers()
    }

    override fun probabilities(fitted: FittedPicture): ProbabilityMap {
        val contract = bundle.contract
        val planes = contract.preprocessing.normalise(fitted)
        inputs[0].writeFloat(channelsLast(planes, fitted.channels))
        model.run(inputs, outputs)
        val values = outputs[0].readFloat()
        val (_, channels, height, width) = contract.output.shape
        DeviceRuntime.requireOutput(values.size == channels * height * width)
        return ProbabilityMap(channels, height, width, values)
    }

    override fun close() {
        inputs.forEach { it.close() }
        outputs.forEach { it.close() }
        model.close()
    }
}
