"""The five components of MASL: losses over probabilities, one value per sample.

All take probabilities and target B x C x H x W, foreground classes only (C = 1: binary), compute in float32 whatever
the dtype and autocast (float64 stays), and return B values. With several classes a value is taken per class and
averaged over the classes that occur in the sample's target; in a sample where none occurs, over all classes.

One addition to that average: a class that does not occur has no overlap, boundary or shape to match, but its false
positives must cost something, or the network could put it on the background for nothing. It therefore adds its
cross-entropy (core) and its focal loss (scale) to those of the classes that occur.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.masl.morphology import TrueMasks, check_masks, compactness, literal_compactness

EPSILON = 1e-6
DICE_SHARE, IOU_SHARE, CROSS_ENTROPY_SHARE = 0.4, 0.3, 0.3
BOUNDARY_KERNEL, BOUNDARY_EMPHASIS = 5, 5.0
BOUNDARY_SCALES = {1: 0.5, 2: 0.3, 4: 0.2}
# Relative sizes below which an object is small or medium, and the focal exponents of small, medium and large.
SMALL, MEDIUM = 0.05, 0.20
SMALL_GAMMA, MEDIUM_GAMMA, LARGE_GAMMA = 3.0, 2.0, 1.5


@dataclass(frozen=True)
class Comparison:
    """Probabilities beside their true masks, both B x C x H x W float, and what several components share."""

    probabilities: Tensor
    true: TrueMasks

    @cached_property
    def difference(self) -> Tensor:
        """Probabilities - target."""
        return self.probabilities - self.true.masks

    @cached_property
    def agreement(self) -> Tensor:
        """p_t: the probability given to what is true at each pixel."""
        return torch.where(self.true.masks > 0.5, self.probabilities, 1.0 - self.probabilities)

    @cached_property
    def class_shares(self) -> tuple[Tensor, Tensor]:
        """B x C: shares of the classes that occur, 0 for the others; the same without leaving the others out."""
        occurs = self.true.occurs
        count = occurs.sum(dim=1, keepdim=True)
        nothing = count == 0
        every = torch.where(nothing, 1.0 / occurs.shape[1], 1.0 / count.clamp(min=1.0)).expand_as(occurs)
        return torch.where(nothing, every, occurs * every), every

    def average(self, values: Tensor) -> Tensor:
        """B x C to B: the average over the classes that occur."""
        return (values * self.class_shares[0]).sum(dim=1)

    def total(self, values: Tensor) -> Tensor:
        """B x C to B: the average over the classes that occur, plus the others' values in the same measure."""
        return (values * self.class_shares[1]).sum(dim=1)


def compare(probabilities: Tensor, target: Tensor) -> Comparison:
    """Check the shapes and convert to float32 (float64 stays).

    Raises:
        ConfigurationError: wrong or different shapes, or probabilities that are not floating-point.
    """
    check_masks(probabilities, "probabilities")
    if not probabilities.is_floating_point():
        raise ConfigurationError(f"probabilities are {probabilities.dtype}", "Give floating-point values in [0, 1].")
    if target.shape != probabilities.shape:
        raise ConfigurationError(
            f"target has the shape {tuple(target.shape)}, probabilities {tuple(probabilities.shape)}",
            "Both must be batch x foreground classes x height x width.",
        )
    dtype = torch.float64 if probabilities.dtype == torch.float64 else torch.float32
    return Comparison(probabilities.to(dtype), TrueMasks(target.to(dtype)))


def core(pair: Comparison) -> Tensor:
    """See `core_loss`."""
    true = pair.true
    with torch.no_grad():
        weight = 1.0 + BOUNDARY_EMPHASIS * _boundary_band(true.masks)
    # The offset keeps the logarithm finite at 0; dividing by 1 + offset makes certainty of the truth cost exactly 0.
    cross_entropy = -((pair.agreement + EPSILON) / (1.0 + EPSILON)).log()
    common = (pair.probabilities * true.masks).sum(dim=(-2, -1))
    both = pair.probabilities.sum(dim=(-2, -1)) + true.area
    dice = 1.0 - (2.0 * common + EPSILON) / (both + EPSILON)
    iou = 1.0 - (common + EPSILON) / (both - common + EPSILON)
    overlap = pair.average(DICE_SHARE * dice + IOU_SHARE * iou)
    return overlap + CROSS_ENTROPY_SHARE * pair.total((weight * cross_entropy).mean(dim=(-2, -1)))


def boundary(pair: Comparison) -> Tensor:
    """See `boundary_loss`."""
    values = torch.zeros_like(pair.true.area)
    for distance, share in BOUNDARY_SCALES.items():
        for axis in (-2, -1):
            count = pair.difference.shape[axis] - distance
            step = pair.difference.narrow(axis, distance, count) - pair.difference.narrow(axis, 0, count)
            values = values + share * step.abs().mean(dim=(-2, -1))
    return pair.average(values)


def structure(pair: Comparison) -> Tensor:
    """See `structure_loss`."""
    return pair.average((compactness(pair.probabilities) - pair.true.compactness).abs() * pair.true.occurs)


def literal_structure(pair: Comparison) -> Tensor:
    """The paper's |kappa(y) - kappa(p)|, also where a class does not occur and its kappa is 0."""
    return pair.average((literal_compactness(pair.probabilities) - literal_compactness(pair.true.masks)).abs())


def scale(pair: Comparison) -> Tensor:
    """See `scale_loss`."""
    size = pair.true.relative_size
    gamma = torch.where(size < SMALL, SMALL_GAMMA, torch.where(size < MEDIUM, MEDIUM_GAMMA, LARGE_GAMMA))
    missing = pair.difference.abs()
    focal = -missing.pow(gamma[..., None, None]) * (pair.agreement + EPSILON).log()
    return pair.total(focal.mean(dim=(-2, -1)))


def texture(pair: Comparison) -> Tensor:
    """See `texture_loss`."""
    values = [pair.difference.diff(n=2, dim=axis).abs().mean(dim=(-2, -1)) for axis in (-2, -1)]
    return pair.average(values[0] + values[1])


def _boundary_band(masks: Tensor) -> Tensor:
    """B(y) = dilation - erosion of the target: 1 within two pixels of a boundary, 0 elsewhere."""
    wide = masks
    narrow = -masks
    for kernel in ((BOUNDARY_KERNEL, 1), (1, BOUNDARY_KERNEL)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        wide = F.max_pool2d(wide, kernel, stride=1, padding=padding)
        narrow = F.max_pool2d(narrow, kernel, stride=1, padding=padding)
    return (wide + narrow).clamp(0.0, 1.0)


COMPONENTS: dict[str, Callable[[Comparison], Tensor]] = {
    "core": core,
    "boundary": boundary,
    "structure": structure,
    "scale": scale,
    "texture": texture,
}


STRUCTURES: dict[str, Callable[[Comparison], Tensor]] = {"bounded": structure, "literal": literal_structure}
"""The structure component as this code takes it, and as the paper writes it (docs/masl.md)."""


def _measure(component: Callable[[Comparison], Tensor], probabilities: Tensor, target: Tensor) -> Tensor:
    with torch.autocast(probabilities.device.type, enabled=False):
        return component(compare(probabilities, target))


def core_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """0.4 Dice + 0.3 IoU + 0.3 cross-entropy, the last weighted by 1 + 5 B(y) near the true boundary.

    Dice and IoU have 1e-6 in numerator and denominator: on an empty mask they are 1 less nearly nothing for any
    prediction but an empty one, and the cross-entropy is what pushes false positives down.

    Args:
        probabilities: B x C x H x W in [0, 1], any floating dtype.
        target: B x C x H x W of 0 and 1, any dtype.

    Returns:
        B values, at least 0; 0 where the target is met.

    Raises:
        ConfigurationError: wrong or different shapes, or probabilities that are not floating-point.
    """
    return _measure(core, probabilities, target)


def boundary_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the vertical and of the horizontal finite differences, over three distances.

    Distances 1, 2 and 4 pixels weigh 0.5, 0.3 and 0.2. In [0, 4]. Arguments and errors as for `core_loss`.
    """
    return _measure(boundary, probabilities, target)


def structure_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """|kappa(y) - kappa(p)|, the difference in compactness (see `morphology.compactness`).

    In [0, 1]; 0 for an empty mask, which has no shape to match. Arguments and errors as for `core_loss`.
    """
    return _measure(structure, probabilities, target)


def scale_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Focal loss whose exponent follows the object: 3 below 5 % of the picture, 2 below 20 %, 1.5 from there up.

    Each class has its own exponent. At least 0. Arguments and errors as for `core_loss`.
    """
    return _measure(scale, probabilities, target)


def texture_loss(probabilities: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the second differences, vertical plus horizontal.

    In [0, 8]. Arguments and errors as for `core_loss`.
    """
    return _measure(texture, probabilities, target)
