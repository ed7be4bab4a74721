"""Tiles of a recorded input: the picture, the reference's outline, the artifact's, and the difference of both."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.overlay import outline, outline_thickness
from s2m_edge.imaging.preprocess import mask_from_probabilities
from s2m_edge.targets.measure.page.facts import ShownInput

LARGEST = 320
"""Pixels of a tile's longer side."""
DIFFERS = (255, 0, 255)


@dataclass(frozen=True)
class Tile:
    """A picture in the page: what it shows, in words, and its content."""

    title: str
    alternative: str
    address: str


def tiles(shown: ShownInput, classes: tuple[SegmentClass, ...], threshold: float) -> list[Tile]:
    """The picture, the reference's mask, and, where the artifact was run, its mask and the difference of both."""
    image = shown.golden.image
    picture = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    masks = mask_from_probabilities(shown.reference, threshold)
    name = shown.golden.name
    found = [
        Tile("picture", f"{name}, as the network sees it", _photo(picture)),
        Tile("reference", f"{name} with the reference's mask outlined", _photo(_outlined(picture, masks, classes))),
    ]
    if shown.edge is None:
        return found
    edge_mask = mask_from_probabilities(np.nan_to_num(shown.edge), threshold)
    difference = np.abs(shown.reference.astype(np.float64) - shown.edge.astype(np.float64)).max(axis=0)
    highest = float(np.nanmax(difference)) if np.isfinite(difference).any() else 0.0
    changed = edge_mask != masks
    count = int(changed.sum())
    scale = f"white: {highest:.1e}" if highest > 0 else "no difference anywhere"
    pixels = "no pixel has another label" if count == 0 else f"{count} pixels with another label, in magenta"
    return [
        *found,
        Tile("artifact", f"{name} with the artifact's mask outlined", _photo(_outlined(picture, edge_mask, classes))),
        Tile(
            f"difference ({scale})",
            f"Difference of the probabilities on {name}; {scale}; {pixels}",
            _drawing(_difference(difference, highest, changed)),
        ),
    ]


def _outlined(
    picture: NDArray[np.uint8], labels: NDArray[np.uint8], classes: tuple[SegmentClass, ...]
) -> NDArray[np.uint8]:
    drawn = picture.copy()
    thickness = 2 * outline_thickness(*labels.shape)
    for index, entry in enumerate(classes, start=1):
        drawn[outline(labels == index, thickness)] = entry.colour
    return drawn


def _difference(values: NDArray[np.float64], highest: float, changed: NDArray[np.bool_]) -> NDArray[np.uint8]:
    from scipy.ndimage import binary_dilation

    levels = np.nan_to_num(values / highest if highest > 0 else values * 0, nan=1.0)
    grey = np.clip(np.round(levels * 255), 0, 255).astype(np.uint8)
    drawn = np.repeat(grey[..., None], 3, axis=2)
    drawn[np.asarray(binary_dilation(changed), dtype=bool)] = DIFFERS  # a single pixel has to be seen
    return drawn


def _photo(pixels: NDArray[np.uint8]) -> str:
    return _address(pixels, "JPEG", quality=88)


def _drawing(pixels: NDArray[np.uint8]) -> str:
    return _address(pixels, "PNG", optimize=True)


def _address(pixels: NDArray[np.uint8], kind: str, **options: object) -> str:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((LARGEST, LARGEST))
    buffer = BytesIO()
    picture.save(buffer, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
