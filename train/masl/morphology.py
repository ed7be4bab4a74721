"""What MASL asks of a true mask: compactness, tubularity, irregularity and relative size, each in [0, 1].

The outside of the picture counts as background, so that an object cut by the frame is a closed shape and a full mask
is a rectangle. All is vectorised over samples and classes, and no descriptor waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.errors import ConfigurationError

MINIMUM_SIDE = 5
SLOPE_EPSILON = 1e-8
# In square pixels, against the squared perimeter: what is fainter than one pixel has no shape yet. It bounds the
# gradient of the compactness where a prediction is nearly empty.
PERIMETER_FLOOR = 1.0
LITERAL_EPSILON = 1e-6  # the paper's
# Half the side of the window that irregularity smooths by, in mean half-widths of the object (2 area / perimeter,
# which is the radius of a disc and the width of a vessel).
SMOOTHING = 0.5


class Morphology(NamedTuple):
    """Descriptors of the true masks of a batch: B values each, float, in [0, 1]; 0 where a sample has no object.

    Attributes:
        compactness: 4 pi area / perimeter^2. A disc 1, a square 0.79, a vessel near 0.
        tubularity: skeleton area / area. 1 for a line one pixel wide, 1/3 at three pixels, near 0 for a disc.
        irregularity: share of the boundary's length that is lost when the object is smoothed at half its own mean
            half-width. A disc of any size 0.05, a smooth vessel 0.1, a ragged blob or a star 0.2 and more.
        relative_size: area / area of the picture.
    """

    compactness: Tensor
    tubularity: Tensor
    irregularity: Tensor
    relative_size: Tensor


@dataclass(frozen=True)
class TrueMasks:
    """True masks, B x C x H x W of 0 and 1 (float), and what several components ask of them, computed once."""

    masks: Tensor

    @cached_property
    def area(self) -> Tensor:
        """Pixels, B x C."""
        return self.masks.sum(dim=(-2, -1))

    @cached_property
    def occurs(self) -> Tensor:
        """Whether a class occurs in a sample, B x C of 0 and 1."""
        return (self.area > 0).to(self.masks.dtype)

    @cached_property
    def perimeter(self) -> Tensor:
        """Length of the boundary in pixels, B x C."""
        with torch.no_grad():
            return perimeter(self.masks)

    @cached_property
    def compactness(self) -> Tensor:
        """kappa, B x C."""
        return compactness(self.masks, self.perimeter)

    @cached_property
    def relative_size(self) -> Tensor:
        """Area over the area of the picture, B x C."""
        return self.area / (self.masks.shape[-2] * self.masks.shape[-1])


def check_masks(masks: Tensor, name: str) -> None:
    """Refuse what is not B x C x H x W with sides of at least 5.

    Raises:
        ConfigurationError: naming the tensor and its shape.
    """
    if masks.dim() != 4 or 0 in masks.shape or min(masks.shape[-2:]) < MINIMUM_SIDE:
        raise ConfigurationError(
            f"{name} has the shape {tuple(masks.shape)}",
            f"MASL takes batch x channels x height x width, none empty, sides of at least {MINIMUM_SIDE} pixels.",
        )


def describe_morphology(target: Tensor) -> Morphology:
    """Descriptors per sample. With several classes: per class, then averaged over the classes that occur.

    Args:
        target: B x C x H x W of 0 and 1, any dtype, foreground classes only.

    Returns:
        B values each, without gradient; all 0 for a sample in which no class occurs.

    Raises:
        ConfigurationError: wrong shape.
    """
    check_masks(target, "target")
    with torch.autocast(target.device.type, enabled=False):
        return describe(TrueMasks(target.to(torch.float64 if target.dtype == torch.float64 else torch.float32)))


@torch.no_grad()
def describe(true: TrueMasks) -> Morphology:
    """`describe_morphology` of masks that have been checked."""
    count = true.occurs.sum(dim=1).clamp(min=1.0)

    def average(values: Tensor) -> Tensor:
        return (values * true.occurs).sum(dim=1) / count

    return Morphology(
        average(true.compactness),
        average(hard_skeleton(true.masks).sum(dim=(-2, -1)) / true.area.clamp(min=1.0)),
        average(_irregularity(true)),
        average(true.relative_size),
    )


def perimeter(image: Tensor) -> Tensor:
    """Length of the boundary in pixels, B x C: the total variation, differentiable.

    Slopes are taken after smoothing by (1, 2, 1) / 4 along both axes: otherwise the staircase of a rasterised slanted
    edge would count as up to 8 % more length than it has, and a hard edge as more than the same edge a little softer.
    A flat region adds nothing, for what the epsilon adds under the root is taken off again. Lines of one and two
    pixels count as half and three quarters of their length.

    Args:
        image: B x C x H x W in [0, 1], float.
    """
    smoothed = F.pad(image, (3, 3, 3, 3))
    for axis in (-2, -1):
        for _ in range(2):
            smoothed = _neighbours(smoothed, axis, torch.add)
    across, along = _slopes(smoothed / 16.0)
    length = (across.square() + along.square() + SLOPE_EPSILON).sqrt() - math.sqrt(SLOPE_EPSILON)
    return length.sum(dim=(-2, -1))


def compactness(image: Tensor, length: Tensor | None = None) -> Tensor:
    """kappa = 4 pi area / perimeter^2 in [0, 1], B x C: 1 for a disc, pi / 4 for a square, near 0 for a vessel.

    The area of probabilities is the sum of their squares. For a hard mask that is the area; for a soft one it makes
    kappa independent of how sure the prediction is, and by the isoperimetric (Sobolev) inequality at most 1, where the
    plain sum would call a faint haze more compact than a disc. Differentiable, its gradient bounded even at 0.

    Args:
        image: B x C x H x W in [0, 1], float.
        length: its perimeter, if already known.
    """
    length = perimeter(image) if length is None else length
    area = image.square().sum(dim=(-2, -1))
    return (4.0 * math.pi * area / (length.square() + PERIMETER_FLOOR)).clamp(max=1.0)


def literal_compactness(image: Tensor) -> Tensor:
    """kappa as the paper writes it, 4 pi sum(p) / (sum of sqrt(dx^2 + dy^2 + 1e-6))^2, B x C; not bounded by 1.

    dx and dy are differences to the next pixel, 0 in the last column and row. Every pixel of a flat region adds 1e-3 to
    the perimeter, so that it grows with the picture; what that does is in docs/masl.md.

    Args:
        image: B x C x H x W in [0, 1], float.
    """
    across = F.pad(image.diff(dim=-1), (0, 1))
    along = F.pad(image.diff(dim=-2), (0, 0, 0, 1))
    length = (across.square() + along.square() + LITERAL_EPSILON).sqrt().sum(dim=(-2, -1))
    return 4.0 * math.pi * image.sum(dim=(-2, -1)) / length.square()


def soft_skeleton(masks: Tensor, iterations: int | None = None) -> Tensor:
    """The soft skeleton by iterated min- and max-pooling (clDice: Shit et al., CVPR 2021, algorithm 1).

    Args:
        masks: B x C x H x W in [0, 1], float. Differentiable.
        iterations: erosions; by default until nothing is left, which waits for the device once per erosion.

    Returns:
        B x C x H x W in [0, 1]. A line one pixel wide is its own skeleton.

    Raises:
        ConfigurationError: wrong shape.
    """
    check_masks(masks, "masks")
    most = (min(masks.shape[-2:]) + 1) // 2
    image = F.pad(masks, (1, 1, 1, 1))
    skeleton = torch.zeros_like(image)
    for _ in range(most if iterations is None else min(iterations, most) + 1):
        eroded = torch.minimum(
            -F.max_pool2d(-image, (3, 1), stride=1, padding=(1, 0)),
            -F.max_pool2d(-image, (1, 3), stride=1, padding=(0, 1)),
        )
        ridge = F.relu(image - F.max_pool2d(eroded, 3, stride=1, padding=1))
        skeleton = skeleton + F.relu(ridge - skeleton * ridge)
        image = eroded
        if iterations is None and not bool(image.detach().any()):
            break
    return skeleton[..., 1:-1, 1:-1]


def hard_skeleton(masks: Tensor) -> Tensor:
    """`soft_skeleton` of masks of 0 and 1, iterated to the end, without iterating.

    The pixels left after k erosions are those farther than k steps from the background, so that the ridge which
    algorithm 1 takes in round k is where the distance is k + 1 and nowhere greater among the eight neighbours: the
    skeleton is the local maxima of the city-block distance. Its cost does not grow with the object's thickness.

    Args:
        masks: B x C x H x W of 0 and 1, float.
    """
    distance = _city_block_distance(masks)
    highest = F.max_pool2d(distance, 3, stride=1, padding=1)
    return ((distance > 0) & (distance == highest)).to(masks.dtype)


def _city_block_distance(masks: Tensor) -> Tensor:
    """Steps along rows and columns from each pixel to the background (0 there, and outside the picture)."""
    distance = F.pad(masks, (1, 1, 1, 1)) * float(sum(masks.shape[-2:]))
    for axis in (-2, -1):
        index = torch.arange(distance.shape[axis], device=masks.device, dtype=masks.dtype)
        index = index[:, None] if axis == -2 else index
        before = (distance - index).cummin(dim=axis).values + index
        after = (distance + index).flip(axis).cummin(dim=axis).values.flip(axis) - index
        distance = torch.minimum(before, after)
    return distance[..., 1:-1, 1:-1]


def _irregularity(true: TrueMasks) -> Tensor:
    """1 - boundary length of the smoothed object / boundary length, in [0, 1], B x C.

    Where the boundary turns to and fro within the window, opposite slopes cancel and length is lost; where it runs
    evenly, none is. Both lengths are total variations of the same masks, and the window follows the object's mean
    half-width, so that neither size nor the number of objects matters.
    """
    length = true.perimeter.clamp(min=1.0)
    half = (SMOOTHING * 2.0 * true.area / length).clamp(min=1.0)
    across, along = _slopes(F.pad(_box_mean(true.masks, half), (1, 1, 1, 1)))
    return (1.0 - torch.hypot(across, along).sum(dim=(-2, -1)) / length).clamp(0.0, 1.0)


def _box_mean(masks: Tensor, half: Tensor) -> Tensor:
    """Mean over a window of 2 half x 2 half around each corner between pixels, from a summed-area table.

    Args:
        masks: B x C x H x W of 0 and 1, float.
        half: B x C, in pixels, fractions too, at least 1.

    Returns:
        B x C x (H + 1) x (W + 1). The outside counts as 0.
    """
    # Counted in integers: a float cumsum is not deterministic on a GPU, and is refused where determinism is asked for.
    counts = F.pad(masks, (1, 0, 1, 0)).int().cumsum(dim=-1, dtype=torch.int32).cumsum(dim=-2, dtype=torch.int32)
    table = counts.to(masks.dtype)
    reach = half[..., None, None]
    whole, rest = reach.long(), reach.frac()
    for axis in (-2, -1):
        # Between two whole reaches the table is linear, for pixels are of one value each.
        near, far = (_shift(table, axis, step) - _shift(table, axis, -step) for step in (whole, whole + 1))
        table = near + rest * (far - near)
    return table / (4.0 * reach.square())


def _shift(table: Tensor, axis: int, step: Tensor) -> Tensor:
    """The entries `step` (B x C x 1 x 1, int64) further along an axis, the last one beyond the end."""
    count = table.shape[axis]
    index = torch.arange(count, device=table.device).view((-1, 1) if axis == -2 else (1, -1))
    return table.gather(axis, (index + step).clamp(0, count - 1).expand(table.shape))


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical slope at each corner between four pixels, B x C x (H - 1) x (W - 1)."""
    across = _neighbours(_neighbours(image, -2, torch.add), -1, torch.sub) / 2.0
    along = _neighbours(_neighbours(image, -1, torch.add), -2, torch.sub) / 2.0
    return across, along


def _neighbours(image: Tensor, axis: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`combine` each pixel with the one before it along an axis."""
    count = image.shape[axis] - 1
    return combine(image.narrow(axis, 1, count), image.narrow(axis, 0, count))
