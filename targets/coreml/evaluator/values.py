"""MIL types and constants as torch tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2m_edge.errors import ContractError, LoweringError
from s2m_edge.targets.coreml.evaluator.blob import WeightFile

# MIL.proto, enum DataType.
STRING = 2
_DTYPES: dict[int, tuple[str, torch.dtype, np.dtype]] = {
    1: ("bool", torch.bool, np.dtype("?")),
    10: ("fp16", torch.float16, np.dtype("<f2")),
    11: ("fp32", torch.float32, np.dtype("<f4")),
    21: ("int8", torch.int8, np.dtype("i1")),
    22: ("int16", torch.int16, np.dtype("<i2")),
    23: ("int32", torch.int32, np.dtype("<i4")),
    31: ("uint8", torch.uint8, np.dtype("u1")),
    32: ("uint16", torch.uint16, np.dtype("<u2")),
    33: ("uint32", torch.uint32, np.dtype("<u4")),
}
MIL_NAMES: dict[str, torch.dtype] = {name: dtype for name, dtype, _ in _DTYPES.values()}
_FIELDS = {"floats": np.dtype("<f4"), "ints": np.dtype("<i4"), "bools": np.dtype("?")}

Value = Tensor | str | list[Tensor]
OpenWeights = Callable[[str], WeightFile]


@dataclass(frozen=True)
class TensorType:
    """A declared tensor type. `dtype` is None for a string, which is always a scalar."""

    dtype: torch.dtype | None
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{'string' if self.dtype is None else str(self.dtype).removeprefix('torch.')}{list(self.shape)}"


def declared_type(value_type: Any, name: str) -> TensorType:
    """The static tensor type in a ValueType message.

    Raises:
        LoweringError: it is no tensor, its shape is not static, or the data type is unknown.
    """
    if value_type.WhichOneof("type") != "tensorType":
        raise LoweringError(f"the value {name} is not a tensor", "The evaluator runs programs of tensors only.")
    tensor = value_type.tensorType
    shape = []
    for dimension in tensor.dimensions:
        if dimension.WhichOneof("dimension") != "constant":
            raise LoweringError(f"the value {name} has no static shape", "Export with one input size.")
        shape.append(int(dimension.constant.size))
    if tensor.rank != len(shape):
        raise ContractError(f"the value {name} declares rank {tensor.rank} and {len(shape)} dimensions")
    if tensor.dataType == STRING:
        return TensorType(None, tuple(shape))
    if tensor.dataType not in _DTYPES:
        names = ", ".join(name for name, _, _ in _DTYPES.values())
        raise LoweringError(f"the value {name} has MIL data type {tensor.dataType}", f"The evaluator knows {names}.")
    return TensorType(_DTYPES[tensor.dataType][1], tuple(shape))


def constant(value: Any, name: str, open_weights: OpenWeights) -> Tensor | str:
    """The constant in a Value message: immediate, or in a weight file.

    Args:
        value: the message.
        name: for messages.
        open_weights: opens a weight file by the name that the program gives it.

    Raises:
        ContractError, LoweringError: it does not fit its declared type.
    """
    declared = declared_type(value.type, name)
    where = value.WhichOneof("value")
    if where == "blobFileValue":
        if declared.dtype is None:
            raise ContractError(f"the constant {name} is a string in the weight file")
        code = value.type.tensorType.dataType
        weights = open_weights(value.blobFileValue.fileName)
        return torch.from_numpy(weights.read(value.blobFileValue.offset, _DTYPES[code][2], declared.shape, name))
    if where != "immediateValue" or value.immediateValue.WhichOneof("value") != "tensor":
        raise LoweringError(f"the constant {name} is neither a tensor nor in the weight file")
    return _immediate(value.immediateValue.tensor, declared, value.type.tensorType.dataType, name)


def _immediate(tensor: Any, declared: TensorType, code: int, name: str) -> Tensor | str:
    field = tensor.WhichOneof("value")
    if declared.dtype is None:
        if field != "strings" or len(tensor.strings.values) != 1:
            raise ContractError(f"the constant {name} is declared a string and is none")
        return str(tensor.strings.values[0])
    numpy_dtype = _DTYPES[code][2]
    if field == "bytes":  # float16 and the small integers travel as raw bytes
        content = bytes(tensor.bytes.values)
        if len(content) % numpy_dtype.itemsize:
            raise ContractError(f"the constant {name} has {len(content)} bytes, no whole number of {numpy_dtype.name}")
        array = np.frombuffer(content, dtype=numpy_dtype)
    elif field in _FIELDS and _FIELDS[field] == numpy_dtype:
        array = np.asarray(getattr(tensor, field).values, dtype=numpy_dtype)
    else:
        raise ContractError(f"the constant {name} is declared {declared} and holds {field}")
    count = int(np.prod(declared.shape, dtype=np.int64))
    if array.size != count:
        raise ContractError(f"the constant {name} is declared {declared} and holds {array.size} values")
    return torch.from_numpy(array.reshape(declared.shape).copy())
