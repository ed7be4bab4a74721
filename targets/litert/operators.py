"""Operators that LiteRT has and that litert-torch 0.10 takes apart: as one node from torch to the artifact."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

NAMESPACE = "s2m_edge_litert"

_library = torch.library.Library(NAMESPACE, "DEF")
_library.define("elu(Tensor x) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
_library.impl("elu", lambda x: torch.nn.functional.elu(x), "CompositeExplicitAutograd")
_library.define("apart(Tensor x) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
_library.impl("apart", lambda x: x.clone(), "CompositeExplicitAutograd")


def apart(x: Tensor) -> Tensor:
    """x itself, which keeps the converter from seeing what lies before and behind as one: nothing in the artifact."""
    return torch.ops.s2m_edge_litert.apart(x)


def elu(x: Tensor) -> Tensor:
    """ELU with alpha 1 as one node: `tfl.elu`. By itself it would become EXP, SUB, GREATER and SELECT."""
    return torch.ops.s2m_edge_litert.elu(x)


@cache
def register_lowerings() -> None:
    """Tell litert-torch how these operators are lowered, and that none of them minds the order of the axes."""
    from litert_converter.mlir.dialects import stablehlo
    from litert_torch._convert.fx_passes.optimize_layout_transposes_pass import layout_rewrite
    from litert_torch.backend.experimental.torch_tfl._lowerings import _ir_operation
    from litert_torch.backend.lowerings import registry, utils

    operations = torch.ops.s2m_edge_litert

    def lower_elu(context: Any, x: Any) -> Any:
        return _ir_operation("tfl.elu", results=utils.node_meta_to_ir_types(context.node), operands=[x])

    def lower_apart(context: Any, x: Any) -> Any:
        return stablehlo.optimization_barrier([x])

    for operation, lowering in ((operations.elu.default, lower_elu), (operations.apart.default, lower_apart)):
        registry.lower(operation)(lowering)
        layout_rewrite.rewriters.register(operation)(layout_rewrite.noop)
