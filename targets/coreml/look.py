"""Looking into a saved package: the reference evaluator's results, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator import Evaluator, open_package
from s2m_edge.targets.coreml.run import pytorch_threads
from s2m_edge.targets.look import Look, Result, takes_of


class CoreMLLook(Look):
    """Results of the saved program as the reference evaluator computes them, on every system: Core ML itself shows
    none. A run ends at the first value that is not finite; what comes after it is not read."""

    method: ClassVar[str] = "the saved program, evaluated operation by operation; Core ML itself shows nothing of them"

    def open(self) -> tuple[Result, ...]:
        self._evaluator = Evaluator(open_package(self.artifact))
        self._names: list[str] = []
        results: list[Result] = []
        origins: dict[str, tuple[int, ...]] = {self._evaluator.image.name: ()}
        for entry in self._evaluator.operations:
            if not any(name in origins for name in entry.inputs):
                continue  # of constants alone
            takes = takes_of(entry.inputs, origins)
            origins[entry.name] = takes
            if entry.declared.dtype is not None and entry.declared.dtype.is_floating_point:
                origins[entry.name] = (len(results),)
                results.append(Result(entry.name, entry.kind, entry.declared.shape, takes))
                self._names.append(entry.name)
        self.answer = self._names.index(self._evaluator.output_name)
        return tuple(results)

    def _read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Mapping[int, NDArray[np.float32]]:
        places = {self._names[index]: index for index in wanted}
        found: dict[int, NDArray[np.float32]] = {}

        def observe(name: str, result: Tensor) -> None:
            if name in places:
                found[places[name]] = result.float().numpy().copy()

        with pytorch_threads(self.threads), suppress(LoweringError):  # of a value that is not finite
            self._evaluator.run(fitted, observe)
        return found
