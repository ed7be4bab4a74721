"""A network that is not S2M-Net: a plain U-Net for rectangles, with the mean and deviation of ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from networks import IMAGENET_DEVIATION, IMAGENET_MEAN, PlainUNet
from s2m_edge.deploy.spec import NetworkSpec, make_spec
from s2m_edge.imaging.preprocess import fit_to_network, mask_from_probabilities, normalise
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.resample import resample

HEIGHT, WIDTH = 100, 68
"""Pixels: not alike, and no multiples of 32."""


def foreign_spec(classes: Sequence[str] = ("polyp",), channels: int = 3) -> NetworkSpec:
    """What the network says of itself; nothing of where it was trained."""
    return make_spec(
        "plain-unet",
        height=HEIGHT,
        width=WIDTH,
        channels=channels,
        classes=classes,
        mean=IMAGENET_MEAN[:channels],
        standard_deviation=IMAGENET_DEVIATION[:channels],
        architecture="plain U-Net",
    )


def foreign_network(spec: NetworkSpec, images: Sequence[Path], seed: int = 5) -> PlainUNet:
    """A random network in eval mode whose masks on `images` have foreground and background, and few close decisions.

    Its statistics are those of the images, so that a forgotten mean or deviation would show.
    """
    torch.manual_seed(seed)
    network = PlainUNet(spec.channels, spec.outputs)
    given = spec.preprocessing
    batch = torch.cat([torch.from_numpy(normalise(fit_to_network(read_image(path), given), given)) for path in images])
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean
        network(batch)
        network.eval()
        logits = network(batch)
        gain = 4.0 / logits.std(dim=(0, 2, 3))
        assert network.head.bias is not None
        network.head.bias.copy_((network.head.bias - logits.mean(dim=(0, 2, 3))) * gain)
        network.head.weight.mul_(gain[:, None, None, None])
    return network.requires_grad_(False)


def assert_same_decisions(
    labels: NDArray[np.uint8], found: NDArray[np.float32], threshold: float, margin: float
) -> None:
    """Labels are those of probabilities C x h x w in the labels' size, wherever these are not within `margin` of a tie.

    Nearly everywhere they are not.
    """
    resized = resample(found, *labels.shape)
    expected = mask_from_probabilities(resized, threshold)
    if resized.shape[0] == 1:
        decided = np.abs(resized[0] - threshold) > margin
    else:
        ordered = np.sort(resized, axis=0)
        decided = ordered[-1] - ordered[-2] > margin
    assert decided.mean() > 0.99
    assert (labels == expected)[decided].all()
