"""MASL: the five components, weighed by learned scalars and by each sample's own morphology."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.masl.components import COMPONENTS, STRUCTURES, compare
from s2m_edge.train.masl.morphology import Morphology, check_masks, describe

INITIAL_WEIGHTS = {"core": 1.0, "boundary": 1.0, "structure": 1.0, "scale": 0.5, "texture": 0.5}
LOWEST_WEIGHT, HIGHEST_WEIGHT = 0.1, 10.0
EPSILON = 1e-6
# Room for the rounding of a half-precision softmax, in the check that probabilities are no logits.
TOLERANCE = 1e-2


class LossParts(NamedTuple):
    """One evaluation of MASL.

    Attributes:
        loss: the scalar to minimise.
        components: B values of each component, before any weight, detached.
        morphology: the descriptors of the true masks, or None without modulation.
    """

    loss: Tensor
    components: dict[str, Tensor]
    morphology: Morphology | None


class MorphologyAwareLoss(nn.Module):
    """L = sum_i w_i a_i(y) L_i(y, p) / (sum_i w_i a_i(y) + eps) per sample, then the mean over samples.

    The network's channels decide between the two forms:

    - one channel: probabilities after a sigmoid, B x 1 x H x W; target B x 1 x H x W of 0 and 1;
    - K > 1 channels: probabilities after a softmax, B x K x H x W, channel 0 the background, which no component
      takes for a class; target B x 1 x H x W of labels 0 to K - 1.

    All is computed in float32, with autocast off. Under autocast take the sigmoid or softmax in float32 too
    (`logits.float()`): in bfloat16 a probability above 0.998 is 1, and passes no gradient on.

    A caution: the minimum of a weighted mean over its own weights lies with the components that are already small,
    so that learned weights drift towards those; only the bounds stop them. The core's does so most, for Dice is the
    last to fall: the loss then falls while the masks get no better. Log `weights()` every epoch, give the module's
    parameters no higher a learning rate than the network's, and keep them out of weight decay, which would pull every
    weight towards 1.

    Args:
        components: which of core, boundary, structure, scale and texture to use.
        learned_weights: learn w; otherwise it stays at its initial values (1, 1, 1, 0.5, 0.5).
        modulation: let each sample's morphology multiply the weights (a_i); otherwise a_i = 1.

        structure: "bounded", or "literal", the paper's formula as it stands (docs/masl.md).

    Raises:
        ConfigurationError: an unknown component or structure, or no component.
    """

    def __init__(
        self,
        components: Iterable[str] = tuple(COMPONENTS),
        *,
        learned_weights: bool = True,
        modulation: bool = True,
        structure: str = "bounded",
    ) -> None:
        super().__init__()
        chosen = [components] if isinstance(components, str) else list(components)
        unknown = [name for name in chosen if name not in COMPONENTS]
        if unknown or not chosen:
            cause = f"unknown loss component {unknown[0]!r}" if unknown else "no loss component was chosen"
            raise ConfigurationError(cause, f"Choose some of {', '.join(COMPONENTS)}.")
        self.components = tuple(name for name in COMPONENTS if name in chosen)
        self.modulation = modulation
        if structure not in STRUCTURES:
            raise ConfigurationError(f"unknown structure {structure!r}", f"Choose one of {', '.join(STRUCTURES)}.")
        self.measures = {**COMPONENTS, "structure": STRUCTURES[structure]}
        initial = torch.tensor([INITIAL_WEIGHTS[name] for name in self.components], dtype=torch.float64)
        share = (initial / LOWEST_WEIGHT).log() / math.log(HIGHEST_WEIGHT / LOWEST_WEIGHT)
        # w = 0.1 * 100^sigmoid(v): even in the logarithm, and inside its bounds for every v.
        self.weight_logits = nn.Parameter(share.logit().float(), requires_grad=learned_weights)

    def _weights(self) -> Tensor:
        share = self.weight_logits.float().sigmoid()
        weights = LOWEST_WEIGHT * (math.log(HIGHEST_WEIGHT / LOWEST_WEIGHT) * share).exp()
        return weights.clamp(LOWEST_WEIGHT, HIGHEST_WEIGHT)

    def weights(self) -> dict[str, float]:
        """The present weight of each component, in [0.1, 10], for the log. Waits for the device."""
        return dict(zip(self.components, self._weights().detach().tolist(), strict=True))

    def forward(self, probabilities: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar of float32; see `forward_with_parts`."""
        return self.forward_with_parts(probabilities, target).loss

    def forward_with_parts(self, probabilities: Tensor, target: Tensor) -> LossParts:
        """The loss with what it is made of.

        Args:
            probabilities: B x 1 x H x W or B x K x H x W in [0, 1], any floating dtype.
            target: B x 1 x H x W, any dtype: 0 and 1, or labels 0 to K - 1.

        Raises:
            ConfigurationError: wrong shapes; on the CPU also values outside their range (on a GPU that check would
                wait for the device, and is left to the data).
        """
        with torch.autocast(probabilities.device.type, enabled=False):
            pair = compare(*_foreground(probabilities, target))
            values = {name: self.measures[name](pair) for name in self.components}
            morphology = describe(pair.true) if self.modulation else None
            stacked = torch.stack(list(values.values()))
            weights = self._weights().to(stacked.dtype)[:, None]
            if morphology is not None:
                factors = modulation_factors(morphology)
                weights = weights * torch.stack([factors[name] for name in self.components])
            per_sample = (weights * stacked).sum(dim=0) / (weights.expand_as(stacked).sum(dim=0) + EPSILON)
        return LossParts(per_sample.mean(), {name: value.detach() for name, value in values.items()}, morphology)


def modulation_factors(morphology: Morphology) -> dict[str, Tensor]:
    """a_i of each component, B values in [1, 3.5]: what a sample's morphology multiplies its weight by."""
    return {
        "core": 1.0 + 0.5 * morphology.compactness,
        "boundary": 1.0 + 1.5 * morphology.tubularity + morphology.compactness,
        "structure": 1.0 + morphology.tubularity,
        "scale": 1.0 + 1.5 * morphology.irregularity,
        "texture": 1.0 + morphology.irregularity,
    }


def _foreground(probabilities: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and masks of the foreground classes, B x C x H x W each."""
    check_masks(probabilities, "probabilities")
    check_masks(target, "target")
    expected = (probabilities.shape[0], 1, *probabilities.shape[-2:])
    if tuple(target.shape) != expected:
        raise ConfigurationError(
            f"target has the shape {tuple(target.shape)}, and {expected} fits probabilities of "
            f"{tuple(probabilities.shape)}",
            "Give one channel of labels, not one per class.",
        )
    channels = probabilities.shape[1]
    if not probabilities.is_cuda:
        _check_values(probabilities, target, channels)
    if channels == 1:
        return probabilities, target
    labels = torch.arange(1, channels, device=target.device).view(1, -1, 1, 1)
    return probabilities[:, 1:], target == labels


def _check_values(probabilities: Tensor, target: Tensor, channels: int) -> None:
    lowest, highest = (float(value) for value in probabilities.detach().aminmax())
    if lowest < -TOLERANCE or highest > 1.0 + TOLERANCE:
        raise ConfigurationError(
            f"the probabilities reach from {lowest:.3g} to {highest:.3g}", "Give them after the sigmoid or softmax."
        )
    lowest, highest = (float(value) for value in target.detach().float().aminmax())
    allowed = max(channels - 1, 1)
    if lowest < 0.0 or highest > allowed:
        raise ConfigurationError(
            f"the target holds the value {highest if highest > allowed else lowest:g}, and labels are 0 to {allowed}",
            "Relabel the masks (object 1, not 255), or give the network their number of classes.",
        )
