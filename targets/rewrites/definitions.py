"""What PyTorch says of its composite operators in other words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch


def composite_definition(operator: Any) -> Callable[..., Any] | None:
    """PyTorch's definition of an operator that is made of others, for a table of decompositions; None of any other."""
    from torch._export.utils import _get_decomp_for_cia

    composite = torch._C.DispatchKey.CompositeImplicitAutograd
    if not isinstance(operator, torch._ops.OpOverload):
        return None
    if not torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), composite):
        return None
    return cast("Callable[..., Any]", _get_decomp_for_cia(operator))
