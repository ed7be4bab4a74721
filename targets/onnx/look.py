"""Looking into an ONNX model: its values made outputs of a copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.look import Look, Result, takes_of
from s2m_edge.targets.onnx.backend import import_onnxruntime
from s2m_edge.targets.onnx.run import EXPORT_AGAIN, PROVIDER, ONNXRunner


class ONNXLook(Look):
    """Values of the graph as ONNX Runtime computes them where they are outputs."""

    method: ClassVar[str] = (
        "the file's own values, made outputs of a copy; ONNX Runtime then fuses less than in a plain run"
    )

    def open(self) -> tuple[Result, ...]:
        import onnx

        # The same refusals as a plain run's, and its options.
        self._runner = ONNXRunner(self.artifact, self.interface, self.preprocessing, self.precision, self.threads)
        try:
            self._model = onnx.load(self.artifact)
            inferred = onnx.shape_inference.infer_shapes(self._model, data_prop=True)
        except Exception as error:  # protobuf's and the checker's own
            raise LoweringError(f"{self.artifact} cannot be read ({type(error).__name__})", EXPORT_AGAIN) from error
        floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
        ports = {entry.name: entry for entry in (*inferred.graph.value_info, *inferred.graph.output)}
        shapes = {
            name: tuple(dimension.dim_value for dimension in entry.type.tensor_type.shape.dim)
            for name, entry in ports.items()
            if entry.type.tensor_type.elem_type in floats
        }
        self._names: list[str] = []
        results: list[Result] = []
        origins: dict[str, tuple[int, ...]] = {}
        of_picture = {self.interface.input_name}
        for node in self._model.graph.node:
            if of_picture.isdisjoint(node.input):
                continue
            of_picture.update(node.output)
            takes = takes_of(node.input, origins)
            for name in node.output:
                origins[name] = takes
                if name in shapes and all(shapes[name]):
                    origins[name] = (len(results),)
                    results.append(Result(node.name or name, node.op_type, shapes[name], takes))
                    self._names.append(name)
        self.answer = self._names.index(self.interface.output_name)
        return tuple(results)

    def _read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Mapping[int, NDArray[np.float32]]:
        import onnx

        names = [self._names[index] for index in wanted]
        opened = onnx.ModelProto()
        opened.CopyFrom(self._model)
        del opened.graph.output[:]
        opened.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        session = import_onnxruntime().InferenceSession(
            opened.SerializeToString(), self._runner.session_options(), providers=[PROVIDER]
        )
        image = normalise(fitted, self.preprocessing)
        found: Any = session.run(names, {self.interface.input_name: image})
        return {index: value.astype(np.float32) for index, value in zip(wanted, found, strict=True)}
