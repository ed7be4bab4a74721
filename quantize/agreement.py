"""The Dice that quantization looks at while it works; figures to report are MONAI's (`s2m-edge evaluate`, `gate`)."""

from __future__ import annotations

from torch import Tensor


def mean_dice(labels: Tensor, truth: Tensor) -> float:
    """Mean over the classes that occur in either of two label maps of one shape; 1 where none does."""
    scores = []
    for label in range(1, int(max(labels.max(), truth.max())) + 1):
        total = int((labels == label).sum()) + int((truth == label).sum())
        if total:
            scores.append(2.0 * int(((labels == label) & (truth == label)).sum()) / total)
    return sum(scores) / len(scores) if scores else 1.0
