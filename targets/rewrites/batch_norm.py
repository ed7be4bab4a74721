"""BatchNorm folded into the convolution before it."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from s2m_edge.network.blocks import ConvNorm
from s2m_edge.network.folding import fold_pair
from s2m_edge.targets.rewrites.replace import require_match

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network) -> Network:
    """A copy of `network`, in eval mode, in which no nn.Sequential has a BatchNorm behind a convolution; equal to
    rounding. What a network joins by hand in its `forward`, a runtime's own optimizer folds.

    Comes before every rewrite that changes a ConvNorm's convolution (`split_depthwise`).

    Raises:
        ValueError: the network is in training mode (its statistics are then those of the batch), or a ConvNorm does
            not start with a plain convolution.
    """
    rewritten = copy.deepcopy(network)
    matches = 0
    with torch.no_grad():
        for name, sequence in list(rewritten.named_modules()):
            if not isinstance(sequence, nn.Sequential):
                continue
            folded = _folded_pairs(sequence)
            matches += folded
            if folded and isinstance(sequence, ConvNorm):  # nothing indexes it: the place of the norm can go
                parent, _, attribute = name.rpartition(".")
                kept = [layer for layer in sequence if not isinstance(layer, nn.Identity)]
                setattr(rewritten.get_submodule(parent), attribute, nn.Sequential(*kept).train(sequence.training))
    require_match(network, "fold_batch_norm", matches)
    return rewritten


def _folded_pairs(sequence: nn.Sequential) -> int:
    """Fold every pair in a sequence, in place; an identity takes the norm's place. Returns how many there were."""
    pairs = 0
    for index in range(len(sequence) - 1):
        convolution, norm = sequence[index], sequence[index + 1]
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
            continue
        if isinstance(convolution, nn.Conv2d) and type(convolution).forward is nn.Conv2d.forward:
            if norm.training:
                raise ValueError("BatchNorm folds in eval mode only")
            sequence[index], sequence[index + 1] = fold_pair(convolution, norm), nn.Identity()
            pairs += 1
        elif isinstance(sequence, ConvNorm):
            raise ValueError("BatchNorm folds before any rewrite of the convolution in front of it")
    return pairs
