"""Probabilities in a form that XNNPACK takes."""

from __future__ import annotations

from torch import Tensor, nn

from s2m_edge.targets.deployed import gives_logits


class DelegableProbabilities(nn.Module):
    """Sigmoid of one class or softmax over several: B x classes x H x W of an image, equal to DeployedNetwork.

    XNNPACK's softmax is over the last axis, so classes go there. By way of one axis of H * W positions: a four-axis
    permute of a convolution's (channels-last) result followed by softmax lowers without complaint in executorch 1.5.1
    and computes something else.

    Args:
        network: the (rewritten) network; gives logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        logits = self.network(image)
        if not gives_logits(self.network):
            return logits
        if logits.shape[1] == 1:
            return logits.sigmoid()
        return logits.flatten(2).transpose(1, 2).softmax(dim=-1).transpose(1, 2).reshape(logits.shape)
