"""What the evaluator knows of one MIL operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.values import MIL_NAMES

X, XY = frozenset({"x"}), frozenset({"x", "y"})

Result = Tensor | tuple[Tensor, ...]


def like(name: str) -> Callable[[Arguments], torch.dtype]:
    """The precision of one parameter, of the first tensor of several."""
    return lambda arguments: arguments.tensors(name)[0].dtype


def always(dtype: torch.dtype) -> Callable[[Arguments], torch.dtype]:
    return lambda arguments: dtype


def named(parameter: str, default: str = "") -> Callable[[Arguments], torch.dtype]:
    """The precision that a parameter names."""

    def result_dtype(arguments: Arguments) -> torch.dtype:
        name = arguments.text(parameter, default)
        if name not in MIL_NAMES:
            raise arguments.refuse(parameter, name, ", ".join(MIL_NAMES))
        return MIL_NAMES[name]

    return result_dtype


_LIKE_X = like("x")


@dataclass(frozen=True)
class Operation:
    """One entry of the table.

    Attributes:
        compute: the result in float32 (or in the input's type where nothing is computed); several as a tuple.
        required, optional: its parameters; any other is refused.
        result_dtype: the precision that the result has by the operation's definition.
        further_dtype: that of all results but the first, where it is another.
    """

    compute: Callable[[Arguments], Result]
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    result_dtype: Callable[[Arguments], torch.dtype] = _LIKE_X
    further_dtype: Callable[[Arguments], torch.dtype] | None = None

    def dtypes(self, arguments: Arguments, count: int) -> list[torch.dtype]:
        """The precision of each of the results."""
        first = self.result_dtype(arguments)
        further = first if self.further_dtype is None else self.further_dtype(arguments)
        return [first, *[further] * (count - 1)]
