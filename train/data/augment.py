"""Random changes of image and mask together, as data; MONAI makes them. Masks stay labels (nearest neighbour)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandCoarseDropoutd,
    RandFlipd,
    RandomizableTransform,
    RandScaleCropd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Resized,
)
from torch import Tensor

from s2m_edge.errors import ConfigurationError

PAIR = ("image", "mask")


@dataclass(frozen=True)
class Augmentation:
    """What training does to a picture; zero, or None, leaves a step out.

    Attributes:
        flip_rows, flip_columns: probabilities of an up-down and a left-right flip.
        affine: probability of one rotation, zoom and shift; reflected at the borders.
        rotation: largest angle in degrees, either way.
        zoom: largest relative change of size, per axis.
        shift: largest shift, as a fraction of the side.
        crop: probability of a random crop, stretched back to the full size.
        crop_area: smallest area of the crop, as a fraction.
        cut_out: probability of black holes in the image (not in the mask).
        holes: fewest and most.
        hole: smallest and largest side, as a fraction of the picture's.
        jitter: brightness, contrast, saturation (largest relative changes) and hue (largest shift, in turns).
        gamma: range of a random exponent, probability one half.
        gain, offset: largest relative change and shift of each channel of its own, probability 0.7.
    """

    flip_rows: float = 0.5
    flip_columns: float = 0.5
    affine: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    crop: float = 0.0
    crop_area: float = 1.0
    cut_out: float = 0.0
    holes: tuple[int, int] = (1, 8)
    hole: tuple[float, float] = (0.05, 0.14)
    jitter: tuple[float, float, float, float] | None = None
    gamma: tuple[float, float] | None = None
    gain: float = 0.0
    offset: float = 0.0


AUGMENTATIONS: Mapping[str, Augmentation] = {
    # Table 12 of the paper; how often, and how many holes, it does not say.
    "whole_image": Augmentation(
        affine=0.8,
        rotation=180,
        zoom=0.2,
        shift=0.2,
        crop=0.5,
        crop_area=0.5,
        cut_out=0.5,
        jitter=(0.4, 0.2, 0.1, 0.01),
    ),
    # Instruments keep their side of the picture, and nearly their angle.
    "mild": Augmentation(flip_rows=0.0, affine=0.7, rotation=15, zoom=0.1, shift=0.05, jitter=(0.2, 0.2, 0.1, 0.01)),
    # Scanners turn every heart the same way, and its side is what tells the left ventricle from the right: no flips,
    # small angles. Coils and sequences set the contrast, so gamma goes far.
    "magnetic_resonance": Augmentation(
        flip_rows=0.0,
        flip_columns=0.0,
        affine=0.8,
        rotation=30,
        zoom=0.2,
        shift=0.1,
        crop=0.3,
        crop_area=0.6,
        jitter=(0.3, 0.2, 0.0, 0.0),
        gamma=(0.5, 2.0),
    ),
    # A patch is a crop already, and a hole of one would cut vessels that the mask still has.
    "vessel": Augmentation(affine=0.8, rotation=180, zoom=0.2, jitter=(0.15, 0.15, 0.1, 0.01)),
    # For networks that have seen other pictures before, in short trainings: any turn, but neither holes nor crops.
    "turned": Augmentation(affine=0.8, rotation=180, zoom=0.3, shift=0.1, jitter=(0.3, 0.3, 0.2, 0.02)),
    # What the first bundled checkpoint was trained with.
    "first": Augmentation(affine=0.8, rotation=180, zoom=0.25, gamma=(0.7, 1.5), gain=0.2, offset=0.1),
}


def find_augmentation(name: str) -> Augmentation:
    """A variant by name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name not in AUGMENTATIONS:
        raise ConfigurationError(f"there is no augmentation {name!r}", f"Choose {', '.join(AUGMENTATIONS)}.")
    return AUGMENTATIONS[name]


class RandColourJitterd(RandomizableTransform, MapTransform):
    """Brightness, contrast, saturation and hue of C x H x W in [0, 1], C 3 or 1, as one linear map of the channels.

    MONAI has none for colour. Brightness scales; contrast moves away from the mean luma; saturation moves away from
    each pixel's luma; hue turns the chrominance plane of YIQ. The result is clipped to [0, 1].
    """

    def __init__(self, keys: str, jitter: tuple[float, float, float, float], prob: float = 1.0) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        self.jitter = jitter

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        changed = dict(data)
        self.randomize(None)
        brightness, contrast, saturation = (1 + self.R.uniform(-most, most) for most in self.jitter[:3])
        hue = self.R.uniform(-self.jitter[3], self.jitter[3])
        if self._do_transform:
            for key in self.key_iterator(changed):
                changed[key] = jitter_colour(changed[key], brightness, contrast, saturation, hue)
        return changed


def jitter_colour(image: Tensor, brightness: float, contrast: float, saturation: float, hue: float) -> Tensor:
    """C x H x W in [0, 1], C 3 or 1: factors around 1, and a hue shift in turns around 0."""
    image = image * brightness
    if image.shape[0] != 3:
        return (image.mean() + (image - image.mean()) * contrast).clamp(0, 1)
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], dtype=torch.float64)
    angle = 2 * np.pi * hue
    turn = torch.tensor([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    scale = torch.diag(torch.tensor([1.0, saturation, saturation], dtype=torch.float64))
    colour = (torch.linalg.inv(to_yiq) @ turn.double() @ scale @ to_yiq).to(image)
    mean = (to_yiq[0].to(image) @ image.flatten(1)).mean()
    mixed = (colour @ image.flatten(1)).reshape(image.shape)
    return (mean + (mixed - mean) * contrast).clamp(0, 1)


def build_augmentation(chosen: Augmentation, size: int) -> Compose:
    """The MONAI transform of an augmentation; seed it with `set_random_state`.

    It takes {"image": C x size x size in [0, 1], "mask": 1 x size x size} of float32 on any device, and leaves other
    entries alone.
    """
    steps: list[Any] = [
        RandFlipd(PAIR, prob=chosen.flip_rows, spatial_axis=0),
        RandFlipd(PAIR, prob=chosen.flip_columns, spatial_axis=1),
    ]
    if chosen.affine:
        steps.append(
            RandAffined(
                PAIR,
                prob=chosen.affine,
                rotate_range=np.deg2rad(chosen.rotation),
                scale_range=(chosen.zoom, chosen.zoom),
                translate_range=(chosen.shift * size, chosen.shift * size),
                mode=("bilinear", "nearest"),
                padding_mode="reflection",
            )
        )
    if chosen.crop:
        steps.append(_RandResizedCropd(chosen.crop_area, size, chosen.crop))
    if chosen.jitter is not None:
        steps.append(RandColourJitterd("image", chosen.jitter))
    if chosen.gamma is not None:
        steps.append(RandAdjustContrastd("image", prob=0.5, gamma=chosen.gamma))
    if chosen.gain:
        steps.append(RandScaleIntensityd("image", prob=0.7, factors=chosen.gain, channel_wise=True))
    if chosen.offset:
        steps.append(RandShiftIntensityd("image", prob=0.7, offsets=chosen.offset))
    if chosen.cut_out:
        smallest, largest = (max(1, round(side * size)) for side in chosen.hole)
        steps.append(
            RandCoarseDropoutd(
                "image",
                holes=chosen.holes[0],
                max_holes=chosen.holes[1],
                spatial_size=smallest,
                max_spatial_size=largest,
                fill_value=0.0,
                prob=chosen.cut_out,
            )
        )
    return Compose(steps)


class _RandResizedCropd(RandomizableTransform, MapTransform):
    """A random crop of at least `area` of the picture, each side drawn by itself, stretched back to size x size."""

    def __init__(self, area: float, size: int, prob: float) -> None:
        MapTransform.__init__(self, PAIR)
        RandomizableTransform.__init__(self, prob)
        self.crop = RandScaleCropd(PAIR, roi_scale=area**0.5, max_roi_scale=1.0, random_size=True)
        self.stretch = Resized(PAIR, (size, size), mode=("bilinear", "nearest"))

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> _RandResizedCropd:
        super().set_random_state(seed, state)
        self.crop.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize(None)
        return self.stretch(self.crop(data)) if self._do_transform else dict(data)
