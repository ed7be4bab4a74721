"""How far a network's answers and features are from another's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def divergence(logits: Tensor, taught: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the teacher's distribution from the other's, mean over pixels; at least 0.

    Its gradient is that of the cross-entropy with the teacher's probabilities.

    Args:
        logits, taught: B x classes x H x W, the second of the teacher; one class is a sigmoid.
    """
    found, expected = (_log_probabilities(x) for x in (logits, taught))
    return F.kl_div(found, expected, reduction="none", log_target=True).sum(dim=1).mean()


def mean_prediction(answers: Sequence[Tensor]) -> Tensor:
    """Logits of the mean of the probabilities of several answers, B x classes x H x W like each of them."""
    if len(answers) == 1:
        return answers[0]
    # The mean's missing divisor is the same for every class: it leaves the distribution as it is.
    summed = torch.stack([_log_probabilities(x) for x in answers]).logsumexp(dim=0)
    return summed[:, :1] - summed[:, 1:] if answers[0].shape[1] == 1 else summed


def feature_error(found: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Mean over the blocks of the squared error of what they compute, as a share of its variance.

    Args:
        found, taught: of each block B x C x h x w, the second of the teacher.
    """
    errors = [(a - b).square().mean() / b.var().clamp(min=1e-12) for a, b in zip(found, taught, strict=True)]
    return torch.stack(errors).mean()


def _log_probabilities(logits: Tensor) -> Tensor:
    """B x 2 x H x W (foreground, background) of one class, else B x classes x H x W."""
    if logits.shape[1] == 1:
        return torch.cat((F.logsigmoid(logits), F.logsigmoid(-logits)), dim=1)
    return logits.log_softmax(dim=1)
