"""The images that ranges are calibrated on: chosen, read, hashed and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2m_edge.errors import ImageError
from s2m_edge.files import file_sha256
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.read import DEFAULT_INTENSITY
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.train.data.items import load_sample
from s2m_edge.train.data.layouts import load_training_data
from s2m_edge.train.data.patches import build_patch_sampler
from s2m_edge.train.data.sample import Labelling, Sample

DEFAULT_COUNT = 64
MINIMUM_COUNT = 8
SEED = 42


@dataclass(frozen=True)
class LabelledImage:
    """A picture as the network takes it.

    Attributes:
        name: of the file, without its suffix.
        image: C x size x size, float32 in [0, 1].
        mask: 1 x size x size, labels, uint8.
    """

    name: str
    image: Tensor
    mask: Tensor


@dataclass(frozen=True)
class CalibrationSet:
    """The images, and what is written down of them.

    Attributes:
        provenance: data set, split, count, SHA-256 of every file, and per class the number of images that show it and
            its share of all pixels (JSON values).
    """

    images: tuple[LabelledImage, ...]
    provenance: dict[str, Any]


def read_calibration_set(
    data: Path,
    config: S2MNetConfig,
    *,
    preset: str | None = None,
    count: int = DEFAULT_COUNT,
    patches: bool = False,
    intensity: Intensity = DEFAULT_INTENSITY,
    labelling: Labelling | None = None,
) -> CalibrationSet:
    """Images of the training split, evenly spaced in its order; the same ones each time.

    Args:
        data: an image folder, or with `preset` a published data set.
        config: of the network.
        count: how many at most.
        patches: one random window of the network's size of each at native resolution, for networks trained so.
        intensity: how values of more than 8 bits become 8.
        labelling: of the masks, instead of the preset's.

    Raises:
        ImageError: too few different images, no foreground in any, or a file that cannot be read or does not fit.
    """
    samples = _spaced(load_training_data(data, preset, labelling)[0], count)
    hashes = {sample.stem: file_sha256(sample.image) for sample in samples}
    different = len({(digest, sample.slice_index) for sample, digest in zip(samples, hashes.values(), strict=True)})
    if different < MINIMUM_COUNT:
        raise ImageError(
            f"{data} has {different} different training image{'' if different == 1 else 's'}, and ranges that hold for "
            f"other images need at least {MINIMUM_COUNT}",
            "Give more images of the kind that the network was trained on.",
        )
    images = tuple(_read(sample, config, patches, index, intensity) for index, sample in enumerate(samples))
    coverage = class_coverage(images, config.classes)
    if not any(entry["images"] for entry in coverage):
        raise ImageError(
            f"the masks of all {len(images)} calibration images in {data} are empty",
            "Ranges would hold for background alone: give images that show what is to be found.",
        )
    provenance = {
        "dataset": preset or data.resolve().name,
        "split": "train",
        "count": len(images),
        "windows": patches,
        "coverage": coverage,
        "sha256": hashes,
    }
    return CalibrationSet(images, provenance)


def read_validation_images(
    data: Path,
    config: S2MNetConfig,
    *,
    preset: str | None = None,
    count: int,
    patches: bool = False,
    intensity: Intensity = DEFAULT_INTENSITY,
    labelling: Labelling | None = None,
) -> tuple[LabelledImage, ...]:
    """Images of the validation split, evenly spaced, read as the calibration images are."""
    samples = _spaced(load_training_data(data, preset, labelling)[1], count)
    return tuple(_read(sample, config, patches, index, intensity) for index, sample in enumerate(samples))


def class_coverage(images: Sequence[LabelledImage], classes: int) -> list[dict[str, Any]]:
    """Per foreground class: its label, the images that show it, and its share of all pixels."""
    found = []
    for label in range(1, max(2, classes)):
        shares = [float((entry.mask == label).float().mean()) for entry in images]
        found.append({"label": label, "images": sum(s > 0 for s in shares), "pixels": round(float(np.mean(shares)), 6)})
    return found


def _spaced(samples: Sequence[Sample], count: int) -> list[Sample]:
    if len(samples) <= count:
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, count).round().astype(int)]


def _read(sample: Sample, config: S2MNetConfig, patches: bool, index: int, intensity: Intensity) -> LabelledImage:
    item: Any = load_sample(
        sample, config.size, config.in_channels, config.classes, native=patches, intensity=intensity
    )
    if patches:
        sampler = build_patch_sampler(config.size)
        sampler.set_random_state(SEED + index)
        cut: Any = sampler(item)
        item = {**item, **(cut[0] if isinstance(cut, list) else cut)}
    image, mask = (item[key].as_subclass(torch.Tensor) for key in ("image", "mask"))
    return LabelledImage(sample.stem, image.float() / 255.0, mask.to(torch.uint8))
