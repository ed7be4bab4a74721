package org.s2medge.app

import java.io.Closeable
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor
import org.s2medge.logic.FittedPicture
import org.s2medge.logic.ModelBundle
import org.s2medge.logic.ProbabilityMap
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.SegmentationRuntime

/**
 * ExecuTorch with XNNPACK, from the stock AAR: the bundle's spectral filter has to be matrices, not the custom op.
 *
 * @param threads 0 for the runtime's own choice. ExecuTorch has one thread pool for all programs, so only one of these
 * objects may be open at a time.
 * @throws S2MEdgeException the bundle is none for this runtime; the runtime throws its own exceptions.
 */
class ExecuTorchRuntime(private val bundle: ModelBundle, threads: Int) : SegmentationRuntime, Closeable {
    override val title = "ExecuTorch, XNNPACK, " + threadsTitle(threads)
    private val module: Module

    init {
        val contract = bundle.contract
        if (contract.spectral != "matmul") {
            throw S2MEdgeException(
                "the bundle needs the spectral filter as an operator, which the stock runtime lacks",
                "Export it with --spectral matmul.",
            )
        }
        if (contract.input.layout != "NCHW" || contract.input.dtype != "float32") {
            throw S2MEdgeException(
                "the bundle takes ${contract.input.dtype} ${contract.input.layout}",
                "Export it with --target executorch.",
            )
        }
        module = Module.load(bundle.artifact.path, Module.LOAD_MODE_MMAP, threads)
    }

    override fun probabilities(fitted: FittedPicture): ProbabilityMap {
        val contract = bundle.contract
        val size = fitted.size.toLong()
        val shape = longArrayOf(1, fitted.channels.toLong(), size, size)
        val input = Tensor.fromBlob(contract.preprocessing.normalise(fitted), shape)
        val output = module.forward(EValue.from(input))[0].toTensor()
        if (!output.shape().contentEquals(contract.output.shape.map(Int::toLong).toLongArray())) {
            throw S2MEdgeException(
                "the model's output is not what its contract says",
                "Export the bundle again with s2m-edge export.",
            )
        }
        val (_, channels, height, width) = contract.output.shape
        return ProbabilityMap(channels, height, width, output.getDataAsFloatArray())
    }

    override fun close() = module.destroy()

    companion object {
        /** What a person can choose; 0 is the runtime's own. */
        val THREADS = listOf(0, 1, 2, 4)

        fun threadsTitle(threads: Int) = when (threads) {
            0 -> "threads as the runtime chooses"
            1 -> "1 thread"
            else -> "$threads threads"
        }
    }
}
