"""The losses that a recipe can name, over logits, for one class and for several."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.train.recipe import LossName


class _MorphologyAware(nn.Module):
    """MASL over logits: probabilities are taken in float32, where a saturated sigmoid still has a gradient."""

    def __init__(self, learned_weights: bool, structure: str) -> None:
        super().__init__()
        from s2m_edge.train.masl import MorphologyAwareLoss

        self.masl = MorphologyAwareLoss(learned_weights=learned_weights, structure=structure)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.masl(probabilities_from_logits(logits.float()), target)

    def figures(self) -> dict[str, float]:
        """The learned weights, for the log."""
        return {f"masl_weight/{name}": float(weight) for name, weight in self.masl.weights().items()}


class _DiceCrossEntropy(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        from monai.losses import DiceCELoss

        several = classes > 1
        # The background is most of every picture and would be most of the Dice.
        options: dict[str, Any] = (
            {"softmax": True, "to_onehot_y": True, "include_background": False} if several else {"sigmoid": True}
        )
        self.loss = DiceCELoss(batch=False, **options)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.loss(logits.float(), target)

    def figures(self) -> dict[str, float]:
        return {}


def make_loss(
    name: LossName, classes: int, *, learned_weights: bool = True, structure: str = "bounded"
) -> _MorphologyAware | _DiceCrossEntropy:
    """A module of (logits B x classes x H x W, labels B x 1 x H x W as float) giving a scalar."""
    return _MorphologyAware(learned_weights, structure) if name == "masl" else _DiceCrossEntropy(classes)


def labels_from_logits(logits: Tensor) -> Tensor:
    """Labels B x 1 x H x W: 1 where the probability is at least one half, or the largest class."""
    return (logits >= 0).long() if logits.shape[1] == 1 else torch.argmax(logits, dim=1, keepdim=True)
