package org.s2medge.app

import java.io.Closeable
import org.s2medge.logic.ModelBundle
import org.s2medge.logic.S2MEdgeException
import org.s2medge.logic.SegmentationRuntime

/** A runtime of this device: what a bundle is loaded into, and closed again. */
interface DeviceRuntime : SegmentationRuntime, Closeable {
    companion object {
        /** The targets whose bundles the app opens, the preferred first. */
        val TARGETS = listOf("executorch", "litert")

        /** What a person can choose; 0 is the runtime's own. */
        val THREADS = listOf(0, 1, 2, 4)

        /**
         * Load a bundle into the runtime of its target.
         *
         * @throws S2MEdgeException there is none, or the bundle is not as this app feeds it; runtimes throw their own too.
         */
        fun open(bundle: ModelBundle, threads: Int): DeviceRuntime = when (val target = bundle.contract.target) {
            "executorch" -> ExecuTorchRuntime(bundle, threads)
            "litert" -> LiteRTRuntime(bundle, threads)
            else -> throw S2MEdgeException(
                "the app has no runtime for $target",
                "Export the bundle with --target ${TARGETS.joinToString(" or ")}.",
            )
        }

        fun threadsTitle(threads: Int) = when (threads) {
            0 -> "threads as the runtime chooses"
            1 -> "1 thread"
            else -> "$threads threads"
        }

        /** @throws S2MEdgeException the bundle's input is another than this runtime's. */
        fun requireInput(bundle: ModelBundle, layout: String) {
            val input = bundle.contract.input
            if (input.layout != layout || input.dtype != "float32") {
                throw S2MEdgeException(
                    "the bundle takes ${input.dtype} ${input.layout}",
                    "Export it with --target ${bundle.contract.target}.",
                )
            }
        }

        /** @throws S2MEdgeException a model gave something else than its contract says. */
        fun requireOutput(asItSays: Boolean) {
            if (!asItSays) {
                throw S2MEdgeException(
                    "the model's output is not what its contract says",
                    "Export the bundle again with s2m-edge export.",
                )
            }
        }
    }
}
