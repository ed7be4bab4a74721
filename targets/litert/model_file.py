"""A .tflite as an object: what is stored in it, and what is added after the conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.errors import LoweringError
from s2m_edge.targets.half_storage import halved
from s2m_edge.targets.litert.backend import import_schema

REMEDY = "Export it again."
IDENTIFIER = b"TFL3"
METADATA_PREFIX = "s2m_edge."
ALIGNMENT = 16
"""Bytes; of every constant, as the schema asks (force_align of Buffer.data)."""
OPERATOR_VERSION = 3
"""Of QUANTIZE and DEQUANTIZE; the first of DEQUANTIZE that takes float16."""


class ModelFile:
    """A model's flatbuffer, unpacked.

    Args:
        model: `ModelT` of the schema.
    """

    def __init__(self, model: Any) -> None:
        self.schema = import_schema()
        self.model = model

    @classmethod
    def from_bytes(cls, content: bytes) -> ModelFile:
        schema = import_schema()
        return cls(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)))

    @classmethod
    def read(cls, path: Path) -> ModelFile:
        """A saved model.

        Raises:
            LoweringError: it is missing, foreign or damaged.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise LoweringError(f"{path} cannot be read ({error.strerror or error})", REMEDY) from error
        if content[4:8] != IDENTIFIER:
            raise LoweringError(f"{path} is not a LiteRT model, or an incomplete one", REMEDY)
        try:
            found = cls.from_bytes(content)
            found.operators()
        except Exception as error:  # the reader trusts every offset; a wrong one ends anywhere
            raise LoweringError(f"{path} is damaged ({type(error).__name__})", REMEDY) from error
        return found

    @property
    def main(self) -> Any:
        """The graph that is executed first; others are decompositions of composites."""
        return self.model.subgraphs[0]

    def operator_name(self, operator: Any) -> str:
        """For instance "CONV_2D"."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        value = max(code.builtinCode, code.deprecatedBuiltinCode)
        return next(name for name, number in vars(self.schema.BuiltinOperator).items() if number == value)

    def operators(self) -> Counter[str]:
        """How often each operator occurs in the main graph."""
        return Counter(self.operator_name(operator) for operator in self.main.operators)

    def type_name(self, index: int) -> str:
        """The type of a tensor of the main graph, for instance "FLOAT32"."""
        value = self.main.tensors[index].type
        return next(name for name, number in vars(self.schema.TensorType).items() if number == value)

    def operators_by_type(self) -> Counter[tuple[str, str]]:
        """How often each operator occurs with each type of its first input."""
        return Counter(
            (self.operator_name(operator), self.type_name(operator.inputs[0])) for operator in self.main.operators
        )

    def composites(self) -> list[str]:
        """The name of every StableHLO composite in the main graph."""
        options = (operator.builtinOptions2 for operator in self.main.operators)
        kind = self.schema.StableHLOCompositeOptionsT
        return [option.name.decode() for option in options if isinstance(option, kind)]

    def metadata(self) -> dict[str, str]:
        """What `add_metadata` stored."""
        found: dict[str, str] = {}
        for entry in self.model.metadata or ():
            name = entry.name.decode()
            if name.startswith(METADATA_PREFIX):
                found[name.removeprefix(METADATA_PREFIX)] = bytes(self.model.buffers[entry.buffer].data).decode()
        return found

    def add_metadata(self, texts: Mapping[str, str]) -> None:
        """Store texts, each in a buffer of its own, as "s2m_edge.<key>"."""
        self.model.description = texts.get("name", "").encode()
        entries = list(self.model.metadata or ())
        for key, value in texts.items():
            entry = self.schema.MetadataT()
            entry.name = f"{METADATA_PREFIX}{key}".encode()
            entry.buffer = self._add_buffer(np.frombuffer(value.encode(), dtype=np.uint8))
            entries.append(entry)
        self.model.metadata = entries

    def name_tensors(self, input_name: str, output_name: str) -> None:
        """Call the main graph's only input and only output by their names, and the others by numbers.

        The converter's names for what lies between say where in its own sources an operator was made.
        """
        for graph in self.model.subgraphs:
            for index, tensor in enumerate(graph.tensors):
                tensor.name = str(index).encode()
        (source,), (result,) = self.main.inputs, self.main.outputs
        self.main.tensors[source].name = input_name.encode()
        self.main.tensors[result].name = output_name.encode()

    def take_and_give_floats(self) -> None:
        """Put back the QUANTIZE behind an int8 input and the DEQUANTIZE before an int8 output; in place.

        The converter leaves both out, and the model then takes and gives integers.
        """
        codes, graph = self.schema.BuiltinOperator, self.main
        for index in [int(index) for index in graph.inputs if self.type_name(index) == "INT8"]:
            given = self._float_twin(graph, index)
            graph.operators = [self._operator(codes.QUANTIZE, given, index), *graph.operators]
            self._rename_port(given, index)
        for index in [int(index) for index in graph.outputs if self.type_name(index) == "INT8"]:
            result = self._float_twin(graph, index)
            graph.operators = [*graph.operators, self._operator(codes.DEQUANTIZE, index, result)]
            self._rename_port(result, index)

    def _rename_port(self, new: int, old: int) -> None:
        """Let the main graph's inputs, outputs and signatures name the tensor `new` where they named `old`."""
        graph = self.main
        graph.inputs = [new if int(index) == old else int(index) for index in graph.inputs]
        graph.outputs = [new if int(index) == old else int(index) for index in graph.outputs]
        for signature in self.model.signatureDefs or ():
            for port in (*signature.inputs, *signature.outputs):
                if port.tensorIndex == old:
                    port.tensorIndex = new

    def _float_twin(self, graph: Any, index: int) -> int:
        """A new float32 tensor of the shape of another; its index."""
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = graph.tensors[index].shape, self.schema.TensorType.FLOAT32, 0
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    def _operator(self, builtin: int, taken: int, given: int) -> Any:
        """An operator of one input and one output, without options."""
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._operator_code(builtin)
        operator.inputs, operator.outputs = [taken], [given]
        return operator

    def cancel_transposes(self) -> int:
        """Leave out transposes of a transpose that give its input back; in place.

        The converter leaves one where a tensor is used in both orders.

        Returns:
            How many there were.
        """
        cancelled = 0
        for graph in self.model.subgraphs:
            orders = {
                int(operator.outputs[0]): (int(operator.inputs[0]), self._integers(graph, operator.inputs[1]))
                for operator in graph.operators
                if self.operator_name(operator) == "TRANSPOSE"
            }
            same: dict[int, int] = {}
            for result, (between, second) in orders.items():
                source, first = orders.get(between, (None, ()))
                if source is not None and [first[axis] for axis in second] == list(range(len(second))):
                    same[result] = source
            results = {int(index) for index in graph.outputs}
            same = {result: source for result, source in same.items() if result not in results}
            for operator in graph.operators:
                operator.inputs = [same.get(int(index), int(index)) for index in operator.inputs]
            used = results.union(*(map(int, operator.inputs) for operator in graph.operators))
            graph.operators = [
                operator
                for operator in graph.operators
                if self.operator_name(operator) != "TRANSPOSE" or int(operator.outputs[0]) in used
            ]
            cancelled += len(same)
        return cancelled

    def _integers(self, graph: Any, index: int) -> list[int]:
        """The values of a constant of int32."""
        data = self.model.buffers[graph.tensors[index].buffer].data
        return np.frombuffer(np.asarray(data, dtype=np.uint8).tobytes(), dtype=np.int32).tolist()

    def store_weights_as_float16(self) -> int:
        """Round large float32 constants to float16, with a DEQUANTIZE to float32 behind each; in place.

        Returns:
            How many there were.
        """
        stored = 0
        shared: dict[int, int] = {}
        for graph in self.model.subgraphs:
            widenings = []
            for index in range(len(graph.tensors)):
                tensor = graph.tensors[index]
                data = self.model.buffers[tensor.buffer].data
                if tensor.type != self.schema.TensorType.FLOAT32 or data is None or len(data) == 0:
                    continue
                values = halved(np.frombuffer(np.asarray(data, dtype=np.uint8).tobytes(), dtype=np.float32))
                if values is None:
                    continue
                if tensor.buffer not in shared:
                    shared[tensor.buffer] = self._add_buffer(values.view(np.uint8))
                widenings.append(self._widened(graph, index, shared[tensor.buffer]))
                stored += 1
            graph.operators = [*widenings, *graph.operators]
        for buffer in shared:
            self.model.buffers[buffer].data = None
        return stored

    def _widened(self, graph: Any, index: int, buffer: int) -> Any:
        """A DEQUANTIZE that gives the tensor `index`, until now a constant, of a half constant in `buffer`."""
        tensor = graph.tensors[index]
        half = self.schema.TensorT()
        half.shape, half.type, half.buffer = tensor.shape, self.schema.TensorType.FLOAT16, buffer
        graph.tensors.append(half)
        tensor.buffer = 0  # the empty one
        return self._operator(self.schema.BuiltinOperator.DEQUANTIZE, len(graph.tensors) - 1, index)

    def _operator_code(self, builtin: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                code.version = max(code.version, OPERATOR_VERSION)
                return index
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = OPERATOR_VERSION
        codes.append(code)
        return len(codes) - 1

    def _add_buffer(self, data: np.ndarray) -> int:
        buffer = self.schema.BufferT()
        buffer.data = data
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def to_bytes(self) -> bytes:
        """The flatbuffer, constants aligned."""
        import flatbuffers

        self.model.buffers = [_aligned(self.schema, buffer) for buffer in self.model.buffers]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())


def _aligned(schema: Any, buffer: Any) -> Any:
    """A buffer that packs its data aligned; the generated code does not."""

    class AlignedBuffer(schema.BufferT):
        def Pack(self, builder: Any) -> Any:  # noqa: N802 - the name that the generated code calls
            data = None
            if self.data is not None:
                content = np.asarray(self.data, dtype=np.uint8).tobytes()
                builder.StartVector(1, len(content), ALIGNMENT)
                builder.head -= len(content)
                builder.Bytes[builder.head : builder.head + len(content)] = content
                data = builder.EndVector()
            schema.BufferStart(builder)
            if data is not None:
                schema.BufferAddData(builder, data)
            return schema.BufferEnd(builder)

    aligned = AlignedBuffer()
    aligned.data = buffer.data
    return aligned
