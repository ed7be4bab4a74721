"""Post-training int8 of any network, by the toolkit's own fake quantization: traced, folded, calibrated.

The network is captured by torch.export, so that no layer's class matters, only its operators. Convolutions get int8
weights, and every tensor between operators a scale and a zero point, as S2M-Net's blocks have them
(`s2m_edge.network.fake_quantized`): a rectifier is part of the convolution or sum before it, a curve (ELU, SiLU, ...)
takes and gives rounded values, and what a concatenation, a max pooling or a nearest upsampling takes and gives has one
scale, so that it is a copy. The last convolution, whose result is the answer, stays in float.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import CodeGen

from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import CapabilityError, in_one_line
from s2m_edge.network.fake_quantized import (
    ActivationQuantizer,
    QuantizationConfig,
    QuantizedConv2d,
    activation_quantizers,
    is_quantized,
)
from s2m_edge.network.fake_quantized.layers import quantized_convolutions
from s2m_edge.network.folding import fold_pair
from s2m_edge.quantize.calibrate import calibrate

aten = torch.ops.aten
CONVOLUTIONS = (aten.conv2d.default, aten.conv2d.padding)
"""The second has its padding as a word: "same" or "valid"."""
BATCH_NORM = aten._native_batch_norm_legit_no_training.default
RECTIFIERS = (
    aten.relu.default,
    aten.relu6.default,
    aten.hardtanh.default,
)
ELU = aten.elu.default
CURVES = (
    ELU,
    aten.leaky_relu.default,
    aten.silu.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.gelu.default,
)
ARITHMETIC = (
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
)
"""Sums, differences and products: computed in float, their result is rounded; a rectifier may be part of them."""
AVERAGES = (
    aten.avg_pool2d.default,
    aten.adaptive_avg_pool2d.default,
    aten.mean.dim,
    aten.upsample_bilinear2d.vec,
    aten.upsample_bilinear2d.default,
)
"""Computed in float; their result is rounded."""
NEAREST = (aten.upsample_nearest2d.vec, aten.upsample_nearest2d.default)
COPIES = (
    aten.cat.default,
    aten.max_pool2d.default,
    *NEAREST,
    aten.reshape.default,
    aten.permute.default,
    aten.transpose.int,
    aten.slice.Tensor,
    aten.pad.default,
    aten.constant_pad_nd.default,
)
"""What only moves or chooses values. Integer kernels of these have one scale for all that they take and give
(XNNPACK refuses a program in which they differ, others cut off what the smaller range does not hold), and then
rounding their result changes nothing."""
VIEWS = (aten.view.default, aten._unsafe_view.default)
"""Reshapes of tensors whose values lie in order, which some no longer do once clones are gone."""
NOTHING = (
    aten.clone.default,
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alias.default,
)
"""What does nothing to values in eval mode."""

Progress = Callable[[int, int], None]


def quantize_network(
    network: nn.Module,
    spec: NetworkSpec,
    pictures: Sequence[Tensor],
    config: QuantizationConfig | None = None,
    progress: Progress = lambda done, total: None,
) -> nn.Module:
    """A fake-quantized copy of `network`, which every target lowers to int8.

    Args:
        network: float32, eval mode, CPU.
        pictures: real ones, fitted and normalised, channels x height x width each; they set the ranges.
        config: `weight_limit` and `elu_floor` are used.

    Raises:
        CapabilityError: the network has an operator without an int8 form (named, with the layer that calls it).
        ImageError: no pictures, or answers that are not finite.
    """
    config = config or QuantizationConfig()
    if is_quantized(network):
        raise CapabilityError(f"the network {spec.name} is quantized already", "Give the float network.")
    quantized = _with_quantizers(_traced(network, spec), spec, config).eval()
    calibrate(quantized, pictures, progress)
    _round_scales(quantized)
    return quantized.requires_grad_(False)


def _round_scales(network: nn.Module) -> None:
    """Make every scale one that half precision holds, in place: by 0.05 % at most another, and Core ML's is the same.

    Those beyond half precision's normal numbers stay.
    """
    half = torch.finfo(torch.float16)
    tensors = [entry.scale for _, entry in activation_quantizers(network)]
    tensors += [entry.weight_scale for _, entry in quantized_convolutions(network)]
    for scale in tensors:
        held = (scale >= half.smallest_normal) & (scale <= half.max)
        scale.copy_(torch.where(held, scale.half().float(), scale))


def _traced(network: nn.Module, spec: NetworkSpec) -> fx.GraphModule:
    image = torch.zeros(1, *spec.preprocessing.image_shape)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # Copies of a program bring up a class of PyTorch's own, and PyTorch warns of it.
            warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
            program = torch.export.export(copy.deepcopy(network), (image,), strict=False)
            # No decompositions, and nothing written in place, so that a result may be rounded without touching another.
            module = program.run_decompositions({}).module(check_guards=False)
    except Exception as error:  # torch.export raises anything
        raise CapabilityError(
            f"the network {spec.name} cannot be traced ({in_one_line(error)})",
            "Remove what depends on values from its forward, or export it in float32.",
        ) from error
    assert isinstance(module, fx.GraphModule)
    return module


def _with_quantizers(traced: fx.GraphModule, spec: NetworkSpec, config: QuantizationConfig) -> nn.Module:
    """The traced graph with convolutions as modules, BatchNorm folded, and quantizers where tensors are rounded."""
    for node in list(traced.graph.nodes):
        if node.op != "call_function":
            continue
        if node.target in CONVOLUTIONS:
            _require_weights(node, traced, spec)
            _as_module(node, traced)
        elif node.target in NEAREST:
            _as_upsampling(node, traced)
        elif node.target in VIEWS:
            node.target = aten.reshape.default
        elif node.target in NOTHING:
            node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
            traced.graph.erase_node(node)
        elif "alpha" in node.kwargs and isinstance(node.args[1], fx.Node):
            _without_factor(node, traced)
    traced.graph.eliminate_dead_code()
    last = _last_convolution(traced)
    after_last = _reached(last)
    rounded: list[fx.Node] = []
    for node in list(traced.graph.nodes):
        kind = _kind(node, traced)
        if kind == "unknown":
            raise CapabilityError(
                f"the network {spec.name} calls {node.target}{_layer(node)}, which has no int8 form here",
                "Export it in float32 or float16, or replace that layer.",
            )
        if kind in ("output", "get_attr") or node in after_last:
            continue
        if kind == "convolution":
            convolution = traced.get_submodule(str(node.target))
            assert isinstance(convolution, nn.Conv2d)
            setattr(traced, str(node.target), QuantizedConv2d(convolution, config.weight_limit))
        if not _is_rectified(node, kind, traced):
            rounded.append(node)
    for name, group in enumerate(_of_one_scale(rounded, traced)):
        # A floor is of the values that only an ELU sees.
        floor = config.elu_floor if all(user.target == ELU for node in group for user in node.users) else None
        traced.add_submodule(f"quantizer_{name}", ActivationQuantizer(floor=floor))
        for node in group:
            users = list(node.users)
            with traced.graph.inserting_after(node):
                result = traced.graph.call_module(f"quantizer_{name}", (node,))
            for user in users:
                user.replace_input_with(node, result)
    traced.graph.lint()
    traced.recompile()
    return _Plain(traced)


def _is_rectified(node: fx.Node, kind: str, traced: fx.GraphModule) -> bool:
    """Whether a rectifier is part of this convolution, sum, difference or product: its result is rounded instead."""
    users = list(node.users)
    return kind in ("convolution", "arithmetic") and len(users) == 1 and _kind(users[0], traced) == "rectifier"


def _of_one_scale(rounded: Sequence[fx.Node], traced: fx.GraphModule) -> list[list[fx.Node]]:
    """The nodes whose results are rounded, together with those that have to have their scale.

    A copy has that of all it takes, and so has a rectifier that is no part of the operator before it.
    """
    leader = {node: node for node in rounded}

    def find(node: fx.Node) -> fx.Node:
        while leader[node] is not node:
            node = leader[node]
        return node

    for node in rounded:
        if _kind(node, traced) in ("copy", "rectifier"):
            for operand in node.all_input_nodes:
                if operand in leader:
                    leader[find(operand)] = find(node)
    groups: dict[fx.Node, list[fx.Node]] = {}
    for node in rounded:
        groups.setdefault(find(node), []).append(node)
    return list(groups.values())


class _Plain(nn.Module):
    """A traced graph as an ordinary module: torch.export's refuse `train` and `eval`."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__()
        # torch.export's code generator keeps trees of arguments, which PyTorch warns of when they are copied.
        traced.graph.set_codegen(CodeGen())
        self.graph_module = fx.GraphModule(traced, traced.graph)

    def forward(self, image: Tensor) -> Tensor:
        found: Any = self.graph_module(image)
        return found[0] if isinstance(found, list | tuple) else found


def _kind(node: fx.Node, traced: fx.GraphModule) -> str:
    if node.op == "placeholder":
        return "picture"
    if node.op in ("output", "get_attr"):
        return node.op
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        return "convolution" if isinstance(module, nn.Conv2d) else "copy"
    kinds = {
        "rectifier": RECTIFIERS,
        "curve": CURVES,
        "arithmetic": ARITHMETIC,
        "average": AVERAGES,
        "copy": COPIES,
    }
    return next((kind for kind, operators in kinds.items() if node.target in operators), "unknown")


def _require_weights(node: fx.Node, traced: fx.GraphModule, spec: NetworkSpec) -> None:
    weight = node.args[1]
    if not (isinstance(weight, fx.Node) and weight.op == "get_attr"):
        raise CapabilityError(
            f"the network {spec.name} computes the weights of a convolution{_layer(node)}",
            "Fold them into a plain convolution, or export it in float32.",
        )


def _tensor(node: Any, traced: fx.GraphModule) -> Tensor | None:
    """The tensor behind a node that reads one; None of an argument that is None."""
    if not isinstance(node, fx.Node):
        return None
    value: Any = traced
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value.detach()


def _as_module(node: fx.Node, traced: fx.GraphModule) -> None:
    """Replace a convolution of the graph, and a BatchNorm that alone follows it, by a module."""
    weight = _tensor(node.args[1], traced)
    assert weight is not None
    given = [*node.args[2:], *[None] * 7][:5]
    bias = _tensor(given[0], traced)
    stride, padding, dilation, groups = (
        given[1] or [1, 1],
        given[2] or [0, 0],
        given[3] or [1, 1],
        given[4] or 1,
    )
    convolution = nn.Conv2d(
        weight.shape[1] * groups,  # type: ignore[operator]
        weight.shape[0],
        tuple(weight.shape[2:]),  # type: ignore[arg-type]
        tuple(stride),  # type: ignore[arg-type]
        padding if isinstance(padding, str) else tuple(padding),  # type: ignore[arg-type]
        tuple(dilation),  # type: ignore[arg-type]
        groups,  # type: ignore[arg-type]
        bias=bias is not None,
    ).eval()
    with torch.no_grad():
        convolution.weight.copy_(weight)
        if bias is not None and convolution.bias is not None:
            convolution.bias.copy_(bias)
        users = list(node.users)
        if len(users) == 1 and users[0].target == BATCH_NORM:
            convolution = fold_pair(convolution, _norm(users[0], traced))
            (result,) = users[0].users  # the operator gives three, of which the others are empty
            result.replace_all_uses_with(node)
            traced.graph.erase_node(result)
            traced.graph.erase_node(users[0])
    _replace_by_module(node, traced, "convolution", convolution)


def _norm(node: fx.Node, traced: fx.GraphModule) -> nn.BatchNorm2d:
    gain, offset, mean, variance = (_tensor(argument, traced) for argument in node.args[1:5])
    assert mean is not None
    assert variance is not None
    norm = nn.BatchNorm2d(mean.numel(), eps=float(node.args[6])).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        norm.weight.copy_(torch.ones_like(mean) if gain is None else gain)
        norm.bias.copy_(torch.zeros_like(mean) if offset is None else offset)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
    return norm


def _last_convolution(traced: fx.GraphModule) -> fx.Node | None:
    convolutions = [node for node in traced.graph.nodes if _kind(node, traced) == "convolution"]
    return convolutions[-1] if convolutions else None


def _reached(start: fx.Node | None) -> set[fx.Node]:
    """A node and all that comes after it: of the last convolution, what stays in float."""
    seen: set[fx.Node] = set()
    stack = [] if start is None else [start]
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            stack.extend(current.users)
    return seen


def _as_upsampling(node: fx.Node, traced: fx.GraphModule) -> None:
    """Replace a nearest upsampling by whole factors by a module, which targets have forms of their own for."""
    taken, given = node.args[0].meta["val"].shape[2:], node.meta["val"].shape[2:]  # type: ignore[union-attr]
    factors = tuple(float(new // old) for new, old in zip(given, taken, strict=True))
    if any(new % old for new, old in zip(given, taken, strict=True)):
        return
    _replace_by_module(node, traced, "upsampling", nn.Upsample(scale_factor=factors, mode="nearest"))  # type: ignore[arg-type]


def _without_factor(node: fx.Node, traced: fx.GraphModule) -> None:
    """Make a sum x + alpha y a product and a sum: not every target reads the factor."""
    x, y = node.args
    with traced.graph.inserting_before(node):
        scaled = traced.graph.call_function(aten.mul.Tensor, (y, node.kwargs["alpha"]))
        scaled.meta = dict(node.meta)
    node.args, node.kwargs = (x, scaled), {}


def _replace_by_module(node: fx.Node, traced: fx.GraphModule, kind: str, module: nn.Module) -> None:
    name = f"{kind}_{sum(key.startswith(kind) for key, _ in traced.named_children())}"
    traced.add_submodule(name, module)
    with traced.graph.inserting_before(node):
        replaced = traced.graph.call_module(name, (node.args[0],))
        replaced.meta = dict(node.meta)
    node.replace_all_uses_with(replaced)
    traced.graph.erase_node(node)


def _layer(node: fx.Node) -> str:
    """The layer that calls an operator, by its path, where the trace knows it."""
    stack = node.meta.get("nn_module_stack")
    if not stack:
        return ""
    path, kind = list(stack.values())[-1]
    name = kind.rsplit(".", 1)[-1] if isinstance(kind, str) else getattr(kind, "__name__", "")
    return f" in {path} ({name})" if path else ""
