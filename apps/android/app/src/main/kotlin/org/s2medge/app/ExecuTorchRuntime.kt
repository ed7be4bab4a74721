package org.s2medge.app

import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import org.s2medge.logic.FittedPicture
import org.s2medge.logic.ModelBundle
import org.s2medge.logic.ProbabilityMap
import org.s2medge.logic.S2MEdgeException

/**
 * ExecuTorch with XNNPACK, from the stock AAR: a spectral filter, where the network has one, has to be matrices, not
 * the custom op.
 *
 * @param threads 0 for the runtime's own choice. ExecuTorch has one thread pool for all programs, so only one of these
 * objects may be open at a time.
 * @throws S2MEdgeException the bundle is none for this runtime; the runtime throws its own exceptions.
 */
class ExecuTorchRuntime(private val bundle: ModelBundle, threads: Int) : DeviceRuntime {
    override val title = "ExecuTorch, XNNPACK, " + DeviceRuntime.threadsTitle(threads)
    private val module: Module

    init {
        val contract = bundle.contract
        if (contract.spectral == "custom") {
            throw S2MEdgeException(
                "the bundle needs the spectral filter as an operator, which the stock runtime lacks",
                "Export it with --spectral matmul.",
            )
        }
        DeviceRuntime.requireInput(bundle, "NCHW")
        module = Module.load(bundle.artifact.path, Module.LOAD_MODE_MMAP, threads)
    }

    override fun probabilities(fitted: FittedPicture): ProbabilityMap {
        val contract = bundle.contract
        val shape = longArrayOf(1, fitted.channels.toLong(), fitted.height.toLong(), fitted.width.toLong())
        val input = Tensor.fromBlob(contract.preprocessing.normalise(fitted), shape)
        val output = module.forward(EValue.from(input))[0].toTensor()
        val expected = contract.output.shape.map(Int::toLong).toLongArray()
        DeviceRuntime.requireOutput(output.shape().contentEquals(expected))
        val (_, channels, height, width) = contract.output.shape
        return ProbabilityMap(channels, height, width, output.getDataAsFloatArray())
    }

    override fun close() = module.destroy()
}
