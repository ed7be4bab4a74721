"""Comparing one image's edge output with the reference's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.preprocess import mask_from_probabilities


@dataclass(frozen=True)
class ImageParity:
    """How far an edge output lies from the reference on one image.

    Attributes:
        name: the image.
        max_probability_error, mean_probability_error: absolute, over all pixels and classes.
        mask_agreement: fraction of pixels with the same label.
        mask_dice: Dice between the two masks, the mean over the classes that occur in either; 1 when none does.
        mask_fraction: fraction of the reference mask that is foreground, so that empty masks show.
        milliseconds: of the edge prediction.
    """

    name: str
    max_probability_error: float
    mean_probability_error: float
    mask_agreement: float
    mask_dice: float
    mask_fraction: float
    milliseconds: float

    @property
    def shows_object(self) -> bool:
        """Whether the reference's mask has any foreground."""
        return self.mask_fraction > 0


def dice_between(reference: NDArray[np.uint8], edge: NDArray[np.uint8]) -> float:
    """Dice of two label maps, the mean over the foreground classes that occur in either; 1 when both are empty."""
    scores: list[float] = []
    for label in range(1, int(max(reference.max(), edge.max())) + 1):
        in_reference, in_edge = reference == label, edge == label
        total = int(in_reference.sum()) + int(in_edge.sum())
        if total:
            scores.append(2.0 * int((in_reference & in_edge).sum()) / total)
    return float(np.mean(scores)) if scores else 1.0


def compare(
    name: str,
    reference: NDArray[np.float32],
    edge: NDArray[np.float32],
    threshold: float,
    milliseconds: float,
) -> ImageParity:
    """Compare probabilities classes x size x size.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != edge.shape:
        raise ValueError(f"the reference gives {reference.shape}, the artifact {edge.shape}")
    with np.errstate(invalid="ignore"):  # infinity less infinity is not a number, and stays one
        difference = np.abs(reference.astype(np.float64) - edge.astype(np.float64))
    masks = mask_from_probabilities(reference, threshold), mask_from_probabilities(edge, threshold)
    return ImageParity(
        name=name,
        # A NaN anywhere must not vanish in a maximum: numpy's max propagates it, as the mean does NaN and infinity, and
        # every gate refuses them.
        max_probability_error=float(difference.max()),
        mean_probability_error=float(difference.mean()),
        mask_agreement=float((masks[0] == masks[1]).mean()),
        mask_dice=dice_between(*masks),
        mask_fraction=float((masks[0] > 0).mean()),
        milliseconds=milliseconds,
    )
