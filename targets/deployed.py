"""The module that is lowered: network, then probabilities, with the normalisation in front where a target embeds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.imaging.preprocess import Preprocessing


class DeployedNetwork(nn.Module):
    """Probabilities B x outputs x height x width of an image B x channels x height x width.

    Args:
        network: the (rewritten) network.
        preprocessing: None where the input is already normalised; else the input is 0..255 and scale, mean and
            standard deviation are applied inside.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, preprocessing: Preprocessing | None = None) -> None:
        super().__init__()
        self.network = network
        self.normalises = preprocessing is not None
        if preprocessing is not None:
            channels = preprocessing.channels
            deviation = torch.tensor(preprocessing.standard_deviation[:channels])
            mean = torch.tensor(preprocessing.mean[:channels])
            self.register_buffer("gain", (preprocessing.scale / deviation)[:, None, None])
            self.register_buffer("offset", (-mean / deviation)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        if self.normalises:
            image = image * self.gain + self.offset
        answer = self.network(image)
        return probabilities_from_logits(answer) if gives_logits(self.network) else answer


def gives_logits(network: nn.Module) -> bool:
    """Whether a network gives logits, as all do but one that says otherwise: a part of one, cut off to be looked at."""
    return getattr(network, "gives_logits", True)
