"""Lowering without LiteRT's last trace of a network, where all it would do is to make four numbers of another type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

INT32 = torch.iinfo(torch.int32)


def narrow_ranges(program: ExportedProgram) -> bool:
    """Cast every range of int64 to int32 where it is made, if all that is computed of them is a float; in place.

    Resizing by interpolation makes such ranges, of rows and of columns. The type of a float does not depend on theirs,
    so that nothing behind them has to be traced again.

    Returns:
        Whether that was done. If not, nothing was changed.
    """
    ranges = [node for node in program.graph.nodes if _is_wide_range(node)]
    if not all(_gives_float(user) for node in ranges for user in node.users):
        return False
    for node in ranges:
        users = list(node.users)
        with program.graph.inserting_after(node):
            cast = program.graph.call_function(torch.ops.aten._to_copy.default, (node,), {"dtype": torch.int32})
        cast.meta = dict(node.meta)
        cast.meta["val"] = node.meta["val"].to(torch.int32)
        cast.meta["tensor_meta"] = node.meta["tensor_meta"]._replace(dtype=torch.int32)
        for user in users:
            user.replace_input_with(node, cast)
    if ranges:
        program.graph_module.recompile()
    return True


def _is_wide_range(node: Node) -> bool:
    if node.target != torch.ops.aten.arange.start_step:
        return False
    known = node.meta.get("tensor_meta")
    ends: Any = node.args[:2]
    return known is not None and known.dtype == torch.int64 and all(INT32.min <= end <= INT32.max for end in ends)


def _gives_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()


@contextmanager
def last_trace_left_out() -> Iterator[None]:
    """The converter (litert-torch 0.10) traces a network a last time within only where `narrow_ranges` cannot do it.

    What is changed is the whole process's; `quiet_litert` lets one thread in.
    """
    from litert_torch.backend import export

    honest: Callable[[Any], Any] = export._convert_i64_to_i32

    def convert(program: ExportedProgram) -> Any:
        return narrow_ranges(program) or honest(program)

    with patch.object(export, "_convert_i64_to_i32", convert):
        yield
