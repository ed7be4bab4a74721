"""What coreai-torch is told about operators: which to keep whole, and how to lower those that it does not know.

It has no lowering for ELU. And PyTorch's decomposition of a matrix product expands a constant factor over the batch:
each matrix of the transform would be stored once for every channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from s2m_edge.targets.coreai.backend import import_operations

KEPT = (torch.ops.aten.matmul.default, torch.ops.aten.elu.default)


def decomposition_table() -> dict[Any, Any]:
    """coreai-torch's own table without the operators that `register_lowerings` lowers whole."""
    from coreai_torch import get_decomp_table

    return {operator: rule for operator, rule in get_decomp_table().items() if operator not in KEPT}


def register_lowerings(converter: Any) -> None:
    """Teach a `coreai_torch.TorchConverter` the operators of `KEPT`."""
    converter.register_torch_lowering("aten::matmul.default")(_lower_matmul)
    converter.register_torch_lowering("aten::elu.default")(_lower_elu)


def _lower_matmul(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    coreai = import_operations()

    left, right = (values[argument.name] for argument in node.args)
    return coreai.broadcasting_batch_matmul(left, right, loc=location)


def _lower_elu(values: Mapping[str, Any], node: Any, location: Any) -> Any:
    """relu(x) + (exp(min(x, 0)) - 1): no comparison, no selection, and exp stays in half precision's range."""
    coreai = import_operations()

    if any(parameter != 1 for parameter in (*node.args[1:], *node.kwargs.values())):
        raise NotImplementedError(f"ELU with {node.args[1:]}, {node.kwargs}")
    x = values[node.args[0].name]
    zero, one = (coreai.constant(value, dtype=x.type.element_type, loc=location) for value in (0.0, 1.0))
    falling = coreai.exp(coreai.broadcasting_minimum(x, zero, loc=location), loc=location)
    negative = coreai.broadcasting_sub(falling, one, loc=location)
    return coreai.broadcasting_add(coreai.relu(x, loc=location), negative, loc=location)
