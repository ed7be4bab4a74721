"""Running a .pte with ExecuTorch's own runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError, LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import Runner
from s2m_edge.targets.executorch.operator_library import OPERATOR, load_kernel
from s2m_edge.targets.executorch.program import ProgramContents, check_file, read_contents
from s2m_edge.targets.quiet import quiet_native

if TYPE_CHECKING:
    from executorch.runtime import Runtime

METHOD = "forward"
FLOAT32 = 6  # executorch/runtime/core/portable_type/scalar_type.h


class ExecuTorchRunner(Runner):
    """Runs the method `forward` of a .pte; the caller's picture is normalised here.

    The runtime has one thread pool per process, and loaded programs keep a pointer to it. So `threads` may differ from
    the present number only while no other runner is alive.

    A program that holds the spectral filter as one op gets its native kernel built, once, and loaded.
    """

    _alive: ClassVar[WeakSet[ExecuTorchRunner]] = WeakSet()

    @classmethod
    def import_backend(cls) -> None:
        with quiet_native():
            import executorch.exir._serialize._program
            import executorch.extension.pybindings.portable_lib
            import executorch.runtime  # noqa: F401

    def program_options(self) -> dict[str, Any]:
        """Arguments of the runtime that the program is loaded with."""
        return {}

    def load(self) -> None:
        check_file(self.artifact)
        with quiet_native():
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime

            self._set_threads(portable_lib)
            self._program = Runtime.get().load_program(self.artifact, **self.program_options())
            if METHOD not in self._program.method_names:
                raise LoweringError(f"{self.artifact} has no method {METHOD!r}", "Export it again.")
            self._check_interface()
        contents = read_contents(self.artifact)
        if OPERATOR in contents.operators:
            load_kernel()
        with quiet_native():
            self._check_operators(contents, Runtime.get())
            self._method = self._program.load_method(METHOD)
        self._alive.add(self)

    def _set_threads(self, runtime: Any) -> None:
        present = runtime._threadpool_get_thread_count()
        if self.threads is not None and self.threads != present:
            if len(self._alive):
                raise ConfigurationError(
                    f"ExecuTorch already runs a program on {present} threads in this process, not {self.threads}",
                    "Use one number of threads, or another process.",
                )
            # "Unsafe" for programs that are loaded already; there are none.
            runtime._unsafe_reset_threadpool(self.threads)
        self._threads_used = runtime._threadpool_get_thread_count()

    def _check_interface(self) -> None:
        meta = self._program.metadata(METHOD)
        expected = (1, *self.preprocessing.image_shape)
        found = tuple(meta.input_tensor_meta(0).sizes()) if meta.num_inputs() == 1 else None
        if found != expected:
            raise LoweringError(
                f"{self.artifact} takes {found or f'{meta.num_inputs()} inputs'}, its contract says {expected}",
                "Use the contract and the artifact of one export.",
            )
        if meta.input_tensor_meta(0).dtype() != FLOAT32:
            raise LoweringError(f"{self.artifact} does not take float32", "Export it again.")

    def _check_operators(self, contents: ProgramContents, runtime: Runtime) -> None:
        """The runtime itself would give a number (0x14) and no name."""
        missing = sorted(set(contents.operators) - runtime.operator_registry.operator_names)
        if missing:
            raise LoweringError(
                f"{self.artifact} calls {', '.join(missing)}, which the ExecuTorch runtime here does not have",
                "Load the library that registers it, or export again with --spectral matmul, which needs none.",
            )

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert self._method is not None
        image = torch.from_numpy(normalise(fitted, self.preprocessing))
        (probabilities,) = self._method.execute([image])
        return probabilities.numpy()[0]

    def observations(self) -> dict[str, Any]:
        contents = read_contents(self.artifact)
        return {
            "delegate calls": contents.delegates,
            "operators not delegated": contents.operators,
            "threads": self._threads_used,
        }
