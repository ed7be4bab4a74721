"""The arguments of one operation, typed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator.values import Value


class Arguments:
    """Values by parameter name; a parameter that is absent takes the default that the caller gives.

    Args:
        values: by parameter.
        label: of the operation, for messages.
    """

    def __init__(self, values: Mapping[str, Value], label: str) -> None:
        self._values, self.label = values, label

    def refuse(self, parameter: str, value: object, supported: str) -> LoweringError:
        """The error for a value of a known parameter that the evaluator does not implement."""
        return LoweringError(
            f"the operation {self.label} has {parameter} = {value}", f"The evaluator implements {supported}."
        )

    def has(self, name: str) -> bool:
        return name in self._values

    def has_minus_infinity(self) -> bool:
        """Whether a number of any of the tensors is minus infinity."""
        given = [value for value in self._values.values() if not isinstance(value, str)]
        tensors = [tensor for value in given for tensor in (value if isinstance(value, list) else [value])]
        return any(bool(tensor.isneginf().any()) for tensor in tensors)

    def tensor(self, name: str) -> Tensor:
        value = self._values[name]
        if not isinstance(value, Tensor):
            raise LoweringError(f"the operation {self.label} has no tensor as {name}")
        return value

    def tensors(self, name: str) -> list[Tensor]:
        value = self._values[name]
        if isinstance(value, str):
            raise LoweringError(f"the operation {self.label} has a text as {name}")
        return value if isinstance(value, list) else [value]

    def floating(self, name: str) -> Tensor:
        """A float tensor, in float32: every operation computes there and rounds its result once."""
        value = self.tensor(name)
        if value.dtype not in (torch.float32, torch.float16):
            raise LoweringError(f"the operation {self.label} has {name} of {value.dtype}, not a float")
        return value.float()

    def numeric(self, name: str) -> Tensor:
        """A tensor of numbers: floats in float32, whole numbers in int64."""
        value = self.tensor(name)
        if value.dtype == torch.bool:
            raise LoweringError(f"the operation {self.label} has {name} of truth values, not of numbers")
        return self.floating(name) if value.is_floating_point() else value.long()

    def truth(self, name: str) -> Tensor:
        """A tensor of truth values."""
        value = self.tensor(name)
        if value.dtype != torch.bool:
            raise LoweringError(f"the operation {self.label} has {name} of {value.dtype}, not of truth values")
        return value

    def optional_floating(self, name: str) -> Tensor | None:
        return self.floating(name) if name in self._values else None

    def integers(self, name: str, default: list[int] | None = None) -> list[int]:
        if name not in self._values:
            return list(default or [])
        return [int(value) for value in self.tensor(name).flatten().tolist()]

    def flags(self, name: str, count: int) -> list[bool]:
        """One truth value per axis; all false where absent."""
        return [bool(flag) for flag in self.tensor(name).flatten()] if name in self._values else [False] * count

    def number(self, name: str, default: float) -> float:
        return float(self.tensor(name)) if name in self._values else default

    def integer(self, name: str, default: int) -> int:
        return int(self.tensor(name)) if name in self._values else default

    def flag(self, name: str, default: bool) -> bool:
        return bool(self.tensor(name)) if name in self._values else default

    def text(self, name: str, default: str) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise LoweringError(f"the operation {self.label} has no text as {name}")
        return value
