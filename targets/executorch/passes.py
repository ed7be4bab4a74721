"""Lowering without the passes of XNNPACK that have nothing to do for a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.fx import Node

LARGEST_CONCATENATION = 5
"""Tensors that XNNPACK concatenates at once; a pass takes larger concatenations apart."""

BATCH_NORMS = ("aten.native_batch_norm.default", "aten._native_batch_norm_legit_no_training.default")


def _one_of(*names: str) -> Callable[[Node], bool]:
    return lambda node: node.op == "call_function" and getattr(node.target, "__name__", "") in names


def _large_concatenation(node: Node) -> bool:
    parts: Any = node.args[0] if node.args else ()
    return _one_of("aten.cat.default")(node) and len(parts) > LARGEST_CONCATENATION


def _convolution_over_one_axis(node: Node) -> bool:
    if not _one_of("aten.convolution.default")(node):
        return False
    weight: Any = node.args[1]
    shape = getattr(weight.meta.get("val"), "shape", None)
    return shape is None or len(shape) != 4


LOOKS_FOR: dict[str, Callable[[Node], bool]] = {
    "ConvertToUpsampleBilinear2d": _one_of("aten.upsample_bilinear2d.vec"),
    "ConvertToLinearPass": _one_of("aten.mm.default", "aten.addmm.default", "aten.bmm.default"),
    "ConvertToSDPAPass": _one_of("aten._softmax.default"),
    "FuseBatchNormPass": _one_of(*BATCH_NORMS),
    "DecomposeBatchNorm": _one_of(*BATCH_NORMS),
    "DecomposeConcatenate": _large_concatenation,
    "RemoveGetItemPass": _one_of("aten.max_pool2d_with_indices.default", "aten.max.dim"),
    "Conv1dUnsqueezePass": _convolution_over_one_axis,
    "PReLUReshapePass": _one_of("aten._prelu_kernel.default"),
}
"""A node without which a pass changes nothing, by the pass's name (ExecuTorch 1.5.1). Each traces the whole network
anew, and two first compile the patterns that they look for, whether there is such a node or not."""


def has_work(name: str, program: ExportedProgram) -> bool:
    """Whether a pass of this name may change a program; True for a pass that is not known here."""
    looks_for = LOOKS_FOR.get(name)
    return looks_for is None or any(map(looks_for, program.graph.nodes))


@contextmanager
def idle_passes_left_out() -> Iterator[None]:
    """XNNPACK's passes run within only where they have something to do; the program is the same to the byte.

    What is changed is the whole process's; `quiet_backend` lets one thread in.
    """
    from executorch.backends.xnnpack import _passes

    honest = _passes._transform

    def transform(program: ExportedProgram, transform_pass: Any) -> ExportedProgram:
        return honest(program, transform_pass) if has_work(type(transform_pass).__name__, program) else program

    with patch.object(_passes, "_transform", transform):
        yield
