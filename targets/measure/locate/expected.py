"""What the network in PyTorch computes for one picture, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.network.fake_quantized import activation_quantizers
from s2m_edge.network.fake_quantized.config import HIGHEST, LOWEST
from s2m_edge.targets.measure.locate.blocks import Border, block_paths, catching, dependents
from s2m_edge.targets.measure.locate.deviation import Values, span_of


@dataclass(frozen=True)
class Levels:
    """The ends of an int8 range, as what they stand for."""

    lowest: float
    highest: float

    def saturated(self, values: NDArray[Any]) -> float:
        """The share of values at an end; one that stands for zero is left out, as a rectifier gives it."""
        step = (self.highest - self.lowest) / (HIGHEST - LOWEST)
        ends = np.zeros(values.shape, bool)
        if self.lowest != 0:
            ends |= values <= self.lowest + step / 2
        if self.highest != 0:
            ends |= values >= self.highest - step / 2
        return float(ends.mean())


@dataclass
class Reference:
    """A network's results for one picture.

    Attributes:
        network: float32, eval mode; fitted: the picture, height x width x channels, uint8.
        values: what each block gives, in the order of computation, with the batch.
        answer: probabilities, 1 x outputs x height x width.
        levels: the int8 range of a block's result, where a quantizer gives it.
    """

    network: nn.Module
    preprocessing: Preprocessing
    fitted: NDArray[np.uint8]
    paths: tuple[str, ...]
    values: Mapping[Border, Values]
    answer: Values
    levels: Mapping[Border, Levels]
    spans: dict[Border, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spans = {border: span_of(value) for border, value in self.values.items()}

    def run(self, network: nn.Module) -> None:
        """Call the network with the picture, as `reference_logits` does."""
        reference_logits(network, self.fitted, self.preprocessing)

    def dependents(self, border: Border) -> frozenset[Border]:
        """The borders whose values follow from this one's."""
        return dependents(self.network, self.paths, border, self.run)

    def operator_results(self, path: str) -> list[Values]:
        """Every floating-point tensor that PyTorch's operators give inside a block."""
        recorder = Recorder()
        module = self.network.get_submodule(path)
        with ExitStack() as stack:
            inside = ExitStack()
            stack.callback(module.register_forward_pre_hook(lambda *_: _enter(inside, recorder)).remove)
            stack.callback(module.register_forward_hook(lambda *_: inside.close()).remove)
            stack.callback(inside.close)
            self.run(self.network)
        return recorder.found


def _enter(inside: ExitStack, recorder: Recorder) -> None:
    inside.enter_context(recorder)


class Recorder(TorchDispatchMode):
    """Keeps what the operators give."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Values] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, list | tuple) else [result]:
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                self.found.append(tensor.detach().float().cpu().numpy().copy())
        return result


def compute_reference(network: nn.Module, preprocessing: Preprocessing, fitted: NDArray[np.uint8]) -> Reference:
    """Run a network over a fitted picture and keep what its blocks give."""

    def run(called: nn.Module) -> NDArray[np.float32]:
        return reference_logits(called, fitted, preprocessing)

    paths = block_paths(network, run)
    levels: dict[Border, Levels] = {}
    rounded: list[tuple[Tensor, Levels]] = []  # what the latest quantizer gave

    def note_border(border: Border, given: Tensor) -> None:
        for tensor, ends in rounded:
            if tensor is given:
                levels[border] = ends

    with ExitStack() as hooks:
        for _, quantizer in activation_quantizers(network):
            if quantizer.mode == "quantize":
                hook = quantizer.register_forward_hook(lambda m, _, out: _note_rounded(rounded, m, out))
                hooks.callback(hook.remove)
        with catching(network, paths, note_border) as caught:
            logits = run(network)
    return Reference(
        network,
        preprocessing,
        fitted,
        paths,
        {border: tensor.float().cpu().numpy() for border, tensor in caught.items()},
        probabilities(logits)[None],
        levels,
    )


def _note_rounded(rounded: list[tuple[Tensor, Levels]], quantizer: Any, given: Any) -> None:
    scale, zero_point = float(quantizer.scale), int(quantizer.zero_point)
    rounded[:] = [(given, Levels((LOWEST - zero_point) * scale, (HIGHEST - zero_point) * scale))]
