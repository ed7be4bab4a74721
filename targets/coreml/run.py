"""Running a saved package: Core ML itself on macOS, the reference evaluator elsewhere."""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.base import Runner
from s2m_edge.targets.coreml.evaluator import Evaluator, open_package
from s2m_edge.targets.quiet import quiet_backend

UNITS_VARIABLE = "S2M_EDGE_COREML_UNITS"
COMPUTE_UNITS: Mapping[str, tuple[str, str]] = {
    "all": ("ALL", "all compute units"),
    "cpu": ("CPU_ONLY", "the CPU alone"),
    "gpu": ("CPU_AND_GPU", "CPU and GPU allowed"),
    "ane": ("CPU_AND_NE", "CPU and Neural Engine allowed"),
}
"""What the environment variable may say: Core ML's own name of it, and what a report says of the device."""


def compute_units() -> tuple[str, str]:
    """Where Core ML may run, a value of `COMPUTE_UNITS`; the first of them where the environment says nothing.

    Core ML itself decides, operation by operation, which of the allowed units takes it.

    Raises:
        ConfigurationError: the environment says something else.
    """
    name = os.environ.get(UNITS_VARIABLE) or next(iter(COMPUTE_UNITS))
    if name not in COMPUTE_UNITS:
        raise ConfigurationError(
            f"{UNITS_VARIABLE} is {name!r}", f"Set it to {', '.join(COMPUTE_UNITS)}, or leave it out."
        )
    return COMPUTE_UNITS[name]


_CHANGING_THREADS = threading.Lock()


class CoreMLRunner(Runner):
    """On macOS the package is compiled and executed. Elsewhere the reference evaluator establishes artifact parity:
    graph, weights and preprocessing as saved, not Apple's kernels."""

    _model: Any = None
    _evaluator: Evaluator | None = None

    @classmethod
    def import_backend(cls) -> None:
        if sys.platform == "darwin":
            with quiet_backend():
                import coremltools  # noqa: F401

    def load(self) -> None:
        """Open the package.

        Raises:
            ContractError: it is missing or damaged.
            LoweringError: the evaluator does not implement something in it.
            ConfigurationError: on macOS, the environment names units that there are not.
        """
        if sys.platform == "darwin":
            units, words = compute_units()
            with quiet_backend():
                import coremltools as ct

                self._model = ct.models.MLModel(str(self.artifact), compute_units=ct.ComputeUnit[units])
            self.verdict = "executed"
            self.device = f"Core ML, {words} (macOS {platform.mac_ver()[0]}, {platform.machine()})"
        else:
            self._evaluator = Evaluator(open_package(self.artifact))
            self.verdict = "artifact parity"
            self.device = "reference evaluator (cpu)"

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._evaluator is None:
            return self._predict_with_core_ml(fitted)
        with pytorch_threads(self.threads):
            return self._evaluator.run(fitted)[0]

    def _predict_with_core_ml(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        from PIL import Image

        picture = Image.fromarray(fitted[..., 0] if fitted.shape[-1] == 1 else fitted)
        output = self._model.predict({self.interface.input_name: picture})[self.interface.output_name]
        return np.asarray(output, dtype=np.float32)[0]

    def observations(self) -> dict[str, Any]:
        """What the evaluator saw: operations, how many in float16, the float16 peak of the latest prediction and the
        operation that gave it, and LayerNorm epsilons that half precision stores as subnormal numbers."""
        if self._evaluator is None:
            return {}
        peak = self._evaluator.peak
        return {
            "operations": self._evaluator.counts.total(),
            "operation_kinds": dict(sorted(self._evaluator.counts.items())),
            "float16_operations": self._evaluator.float16_operations,
            "float16_peak": None if peak is None else peak.value,
            "float16_peak_operation": None if peak is None else peak.operation,
            "subnormal_epsilons": self._evaluator.subnormal_epsilons,
        }


@contextmanager
def pytorch_threads(number: int | None) -> Iterator[None]:
    """PyTorch computes on this many threads inside, and on as many as before afterwards; None leaves it alone.

    The number is the whole process's. Whoever changes it waits for the others that do, or the last of them to leave
    would restore what another had set.
    """
    if number is None:
        yield
        return
    with _CHANGING_THREADS:
        before = torch.get_num_threads()
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)
