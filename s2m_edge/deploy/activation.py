"""From logits to probabilities, in torch and in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor


def probabilities_from_logits(logits: Tensor) -> Tensor:
    """Sigmoid for one class, softmax over the channels for more; B x classes x H x W to the same."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same of logits classes x H x W."""
    import torch

    return probabilities_from_logits(torch.from_numpy(logits)[None])[0].numpy()


def require_threshold(threshold: float, outputs: int) -> None:
    """Raise ConfigurationError unless a network with so many outputs is decided by a threshold, and this is one."""
    if outputs > 1:
        raise ConfigurationError(
            f"the network has {outputs} classes, of which the most probable is taken", "Leave --threshold out."
        )
    if not 0 <= threshold <= 1:
        raise ConfigurationError(f"the threshold is {threshold}", "Give a probability from 0 to 1.")
