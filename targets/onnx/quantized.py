"""What ONNX Runtime wants of a QDQ graph before it runs integer kernels, and what the exporter leaves out."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

_SIGNED_TO_UNSIGNED = 128


def complete_quantization(model: onnx.ModelProto) -> None:
    """Bring a graph of QuantizeLinear and DequantizeLinear into the form that ONNX Runtime fuses; in place.

    - Biases of quantized convolutions become int32 with the scale input times weight, one per channel.
    - Every user of a dequantized activation gets a DequantizeLinear of its own.
    - Activations become uint8: the same levels counted from 0, which is what the x86 kernels take.
    - Scales and zero points become initializers, each float32 or of its tensor's type.
    """
    graph = _Graph(model)
    for node in graph.nodes:
        if node.op_type == "Conv" and len(node.input) == 3:
            graph.quantize_bias(node)
    graph.separate_dequantizations()
    graph.make_activations_unsigned()
    graph.store()


class _Graph:
    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self.graph = model.graph
        self.values: dict[str, NDArray[Any]] = {
            entry.name: numpy_helper.to_array(entry) for entry in self.graph.initializer
        }
        self.nodes = list(self.graph.node)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.added: dict[str, NDArray[Any]] = {}
        self.inserted: dict[int, list[onnx.NodeProto]] = {}

    def value(self, name: str) -> NDArray[Any] | None:
        """A constant, by way of the Casts and Constants that the exporter leaves."""
        from onnx import helper, numpy_helper

        if name in self.values:
            return self.values[name]
        node = self.producers.get(name)
        if node is None:
            return None
        if node.op_type == "Constant":
            return numpy_helper.to_array(node.attribute[0].t)
        if node.op_type == "Cast":
            value = self.value(node.input[0])
            to = helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
            return None if value is None else value.astype(to)
        return None

    def add(self, name: str, value: NDArray[Any]) -> str:
        self.added[name] = value
        return name

    def _insert_before(self, user: onnx.NodeProto, node: onnx.NodeProto) -> None:
        self.inserted.setdefault(id(user), []).append(node)

    def dequantization(self, name: str) -> onnx.NodeProto | None:
        node = self.producers.get(name)
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def quantize_bias(self, convolution: onnx.NodeProto) -> None:
        from onnx import helper

        x, weight = self.dequantization(convolution.input[0]), self.dequantization(convolution.input[1])
        bias = self.value(convolution.input[2])
        if x is None or weight is None or bias is None:
            return
        scales = [self.value(node.input[1]) for node in (x, weight)]
        assert scales[0] is not None
        assert scales[1] is not None
        scale = scales[0].astype(np.float64) * scales[1].astype(np.float64)
        name = f"{convolution.name}.bias"
        limits = np.iinfo(np.int32)
        integers = np.clip(np.round(bias / scale), limits.min, limits.max).astype(np.int32)
        inputs = [
            self.add(f"{name}.int32", integers),
            self.add(f"{name}.scale", scale.astype(np.float32)),
            self.add(f"{name}.zero_point", np.zeros(scale.shape, np.int32)),
        ]
        self._insert_before(convolution, helper.make_node("DequantizeLinear", inputs, [name], name=name, axis=0))
        convolution.input[2] = name

    def separate_dequantizations(self) -> None:
        from onnx import helper

        seen: Counter[str] = Counter()
        for node in self.nodes:
            for index, name in enumerate(node.input):
                source = self.dequantization(name)
                if source is None or self.value(source.input[0]) is not None:
                    continue
                seen[name] += 1
                if seen[name] > 1:
                    own = f"{name}.{seen[name]}"
                    copy = helper.make_node("DequantizeLinear", list(source.input), [own], name=own)
                    copy.attribute.extend(source.attribute)
                    self._insert_before(node, copy)
                    node.input[index] = own

    def make_activations_unsigned(self) -> None:
        for node in [*self.nodes, *(node for nodes in self.inserted.values() for node in nodes)]:
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                continue
            scale, zero_point = self._known(node.input[1]), self._known(node.input[2])
            assert scale is not None
            assert zero_point is not None
            constant = self._known(node.input[0]) is not None
            name = f"{node.name or node.output[0]}"
            if not constant and zero_point.dtype == np.int8:
                zero_point = (zero_point.astype(np.int16) + _SIGNED_TO_UNSIGNED).astype(np.uint8)
            node.input[1] = self.add(f"{name}.scale", scale.astype(np.float32))
            node.input[2] = self.add(f"{name}.zero_point", zero_point)

    def _known(self, name: str) -> NDArray[Any] | None:
        found = self.added.get(name)
        return self.value(name) if found is None else found

    def store(self) -> None:
        """Write nodes and initializers back, without what nobody uses any more."""
        from onnx import numpy_helper

        ordered: list[onnx.NodeProto] = []
        for node in self.nodes:
            ordered.extend(self.inserted.get(id(node), ()))
            ordered.append(node)
        wanted = {entry.name for entry in self.graph.output}
        kept: list[onnx.NodeProto] = []
        for node in reversed(ordered):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        del self.graph.node[:]
        self.graph.node.extend(reversed(kept))
        initializers = [entry for entry in self.graph.initializer if entry.name in wanted]
        initializers += [numpy_helper.from_array(value, name) for name, value in self.added.items() if name in wanted]
        del self.graph.initializer[:]
        self.graph.initializer.extend(initializers)
        kinds = {name for node in kept for name in node.output}
        described = [entry for entry in self.graph.value_info if entry.name in kinds and not self._is_quantized(entry)]
        del self.graph.value_info[:]
        self.graph.value_info.extend(described)

    def _is_quantized(self, entry: onnx.ValueInfoProto) -> bool:
        node = self.producers.get(entry.name)
        return node is not None and node.op_type == "QuantizeLinear"
