"""Running a .tflite with LiteRT's interpreter and its XNNPACK delegate."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.devices import usable_cores
from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import Runner
from s2m_edge.targets.litert.backend import import_interpreter, quiet_litert
from s2m_edge.targets.litert.model_file import REMEDY, ModelFile

DELEGATE = "DELEGATE"


class LiteRTRunner(Runner):
    """The interpreter on the CPU; the caller's picture is normalised here, in numpy.

    Attributes:
        operators: of the main graph, with how often each occurs.
    """

    @classmethod
    def import_backend(cls) -> None:
        import_interpreter()

    def load(self) -> None:
        self.operators = ModelFile.read(self.artifact).operators()
        module = import_interpreter()
        threads = self.threads or usable_cores()  # its own default is one, where the other runtimes take all
        with quiet_litert():
            self._interpreter = module.Interpreter(model_path=str(self.artifact), num_threads=threads)
            self._interpreter.allocate_tensors()
        self._check_interface()
        self.device = f"XNNPACK on the CPU (LiteRT, threads: {threads})"

    def _check_interface(self) -> None:
        ports = [*self._interpreter.get_input_details(), *self._interpreter.get_output_details()]
        names = [port["name"] for port in ports]
        expected = [self.interface.input_name, self.interface.output_name]
        if names != expected:
            raise LoweringError(f"{self.artifact} has the tensors {names}, not {expected}", REMEDY)
        wanted = [1, *self.preprocessing.fitted_shape]
        found = [int(length) for length in ports[0]["shape"]]
        if found != wanted or ports[0]["dtype"] is not np.float32:
            raise LoweringError(
                f"{self.artifact} takes {np.dtype(ports[0]['dtype'])} {found}, its contract says float32 {wanted}",
                "Use the contract and the artifact of one export.",
            )
        self._input, self._output = (port["index"] for port in ports)

    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        image = normalise(fitted, self.preprocessing).transpose(0, 2, 3, 1)
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(image))
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0]

    def observations(self) -> dict[str, Any]:
        nodes = self._interpreter._get_ops_details()
        return {
            "delegate calls": sum(node["op_name"] == DELEGATE for node in nodes),
            "operators not delegated": dict(sorted(self._left_over(nodes).items())),
            "operators": dict(sorted(self.operators.items())),
        }

    def _left_over(self, nodes: list[dict[str, Any]]) -> Counter[str]:
        """Operators outside the delegates. The interpreter lists what it replaced too; what no delegate gives and
        something takes was not replaced."""
        delegates = [node for node in nodes if node["op_name"] == DELEGATE]
        given = {int(index) for node in delegates for index in node["outputs"]}
        needed = {int(index) for node in delegates for index in node["inputs"]} | {self._output}
        left = Counter[str]()
        for node in reversed([node for node in nodes if node["op_name"] != DELEGATE]):
            outputs = {int(index) for index in node["outputs"]}
            if outputs & (needed - given):
                left[node["op_name"]] += 1
                needed |= {int(index) for index in node["inputs"]}
        return left
