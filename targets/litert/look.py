"""Looking into a .tflite: its tensors made outputs of a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.devices import usable_cores
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.litert.backend import import_interpreter, quiet_litert
from s2m_edge.targets.litert.model_file import ModelFile
from s2m_edge.targets.litert.run import LiteRTRunner
from s2m_edge.targets.look import Look, Result, takes_of


class LiteRTLook(Look):
    """Tensors of the main graph as XNNPACK computes them where they are outputs; integers are given as what they
    stand for."""

    method: ClassVar[str] = "the file's own tensors, made outputs of a copy"

    def open(self) -> tuple[Result, ...]:
        LiteRTRunner(self.artifact, self.interface, self.preprocessing, self.precision, self.threads)  # its refusals
        file = ModelFile.read(self.artifact)
        self._tensors: list[int] = []
        results: list[Result] = []
        (source,), (answer,) = file.main.inputs, file.main.outputs
        origins: dict[str, tuple[int, ...]] = {str(int(source)): ()}
        for operator in file.main.operators:
            inputs = [str(int(index)) for index in operator.inputs]
            if not any(name in origins for name in inputs):
                continue  # of constants alone
            takes = takes_of(inputs, origins)
            for index in map(int, operator.outputs):
                origins[str(index)] = takes
                if file.type_name(index) in ("FLOAT32", "INT8"):
                    kind, shape = file.operator_name(operator), tuple(map(int, file.main.tensors[index].shape))
                    origins[str(index)] = (len(results),)
                    results.append(Result(f"tensor {index}", kind, shape, takes))
                    self._tensors.append(index)
        self.answer = self._tensors.index(int(answer))
        return tuple(results)

    def _read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Mapping[int, NDArray[np.float32]]:
        opened = ModelFile.read(self.artifact)
        tensors = [self._tensors[index] for index in wanted]
        known = [int(index) for index in opened.main.outputs]
        opened.main.outputs = [*known, *(index for index in tensors if index not in known)]
        image = np.ascontiguousarray(normalise(fitted, self.preprocessing).transpose(0, 2, 3, 1))
        with quiet_litert():
            interpreter = import_interpreter().Interpreter(
                model_content=opened.to_bytes(), num_threads=self.threads or usable_cores()
            )
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
            interpreter.invoke()
            ports = {port["index"]: port for port in interpreter.get_output_details()}
            return {
                index: _numbers(interpreter.get_tensor(tensor), ports[tensor])
                for index, tensor in zip(wanted, tensors, strict=True)
            }


def _numbers(stored: NDArray[Any], port: Mapping[str, Any]) -> NDArray[np.float32]:
    """What a tensor's values stand for."""
    scale, zero_point = port["quantization"]
    if stored.dtype == np.int8 and scale:
        return (stored.astype(np.float32) - zero_point) * np.float32(scale)
    return stored.astype(np.float32)
