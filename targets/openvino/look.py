"""Looking into OpenVINO IR: its nodes' outputs made results of a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.targets.look import Look, Result, takes_of
from s2m_edge.targets.openvino.run import OpenVINORunner


class OpeningRunner(OpenVINORunner):
    """A runner that opens its model and compiles nothing yet."""

    def load(self) -> None:
        self.core, self.model = self.opened()


class OpenVINOLook(Look):
    """Outputs of the IR's nodes as the plugin computes them where they are results."""

    method: ClassVar[str] = (
        "the file's own values, made results of a copy; OpenVINO then fuses less than in a plain run"
    )

    def open(self) -> tuple[Result, ...]:
        runner = OpeningRunner(self.artifact, self.interface, self.preprocessing, self.precision, self.threads)
        self._core, self._model = runner.core, runner.model
        self._plugin, self._options = runner.plugin, runner.plugin_options()
        self._ports: list[tuple[int, int]] = []
        results: list[Result] = []
        origins: dict[str, tuple[int, ...]] = {}
        for place, node in enumerate(self._model.get_ordered_ops()):
            kind = node.get_type_name()
            inputs = [_key(value) for value in node.input_values()]
            if kind == "Parameter":
                origins[_key(node.output(0))] = ()
                continue
            if kind == "Result":
                (self.answer,) = origins[inputs[0]]
                continue
            if not any(name in origins for name in inputs):
                continue  # of constants alone
            takes = takes_of(inputs, origins)
            for number, port in enumerate(node.outputs()):
                origins[_key(port)] = takes
                if port.get_element_type().is_real() and port.get_partial_shape().is_static:
                    origins[_key(port)] = (len(results),)
                    results.append(Result(node.get_friendly_name(), kind, tuple(port.get_shape()), takes))
                    self._ports.append((place, number))
        return tuple(results)

    def _read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Mapping[int, NDArray[np.float32]]:
        opened = self._model.clone()
        nodes = opened.get_ordered_ops()
        added = [index for index in wanted if index != self.answer]
        opened.add_outputs([nodes[place].output(number) for place, number in (self._ports[index] for index in added)])
        compiled = self._core.compile_model(opened, self._plugin, self._options)
        found = compiled.create_infer_request().infer([np.ascontiguousarray(fitted)[None]])
        # The answer is a result already, the first.
        return {index: np.array(found[number], np.float32) for number, index in enumerate([self.answer, *added])}


def _key(port: Any) -> str:
    """Of an output: its node's unique name, and its number there."""
    return f"{port.get_node().get_name()}:{port.get_index()}"
