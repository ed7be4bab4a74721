"""One training step of S2M-Net under MASL, for measurements: real masks, random pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.train.interleaved import interleaved_milliseconds

if TYPE_CHECKING:
    from s2m_edge.train.masl import MorphologyAwareLoss


@dataclass(frozen=True)
class TrainingStep:
    """What a step works on: bfloat16 autocast on a GPU, float32 on the CPU, channels last, as in training.

    Attributes:
        image: B x C x size x size.
        target: B x 1 x size x size of labels.
    """

    network: nn.Module
    masl: MorphologyAwareLoss
    optimizer: torch.optim.Optimizer
    image: Tensor
    target: Tensor

    @property
    def device(self) -> torch.device:
        return self.image.device

    def run(self, loss: Callable[[Tensor], Tensor] | None = None) -> None:
        """Forward, backward and update under a loss over probabilities; MASL by default."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits = self.network(self.image)
        probabilities = probabilities_from_logits(logits.float())
        (self.masl(probabilities, self.target) if loss is None else loss(probabilities)).backward()
        self.optimizer.step()

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def make_step(size: int, batch: int, classes: int, device: torch.device) -> TrainingStep:
    """A step with random weights; masks of the bundled samples of all kinds in turn."""
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet
    from s2m_edge.samples import sample_images, sample_mask
    from s2m_edge.train.data.folders import read_binary_mask
    from s2m_edge.train.masl import MorphologyAwareLoss

    torch.manual_seed(0)
    config = S2MNetConfig.preset("paper", size=size, classes=classes)
    network = S2MNet(config).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    masl = MorphologyAwareLoss().to(device)
    optimizer = torch.optim.AdamW([*network.parameters(), *masl.parameters()], lr=1e-4)
    # The thickness of their objects is what a skeleton could depend on.
    masks = [torch.from_numpy(read_binary_mask(sample_mask(path), size)) for path in sample_images(None)]
    target = torch.stack([masks[index % len(masks)] for index in range(batch)])[:, None].to(device)
    shape = (batch, config.in_channels, size, size)
    image = torch.rand(shape, device=device).contiguous(memory_format=torch.channels_last)
    return TrainingStep(network, masl, optimizer, image, target)


def masl_times(step: TrainingStep, classes: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of a step with MASL, of one with the plain mean of the probabilities in its place, and of MASL alone
    (forward, and backward down to the probabilities), `rounds` of each, in turn."""
    batch, _, *sides = step.image.shape
    leaf = probabilities_from_logits(torch.randn(batch, classes, *sides, device=step.device))
    leaf.requires_grad_()
    contenders: dict[str, Callable[[], object]] = {
        "step with MASL": step.run,
        "step without": lambda: step.run(lambda probabilities: probabilities.mean()),
        "MASL alone": lambda: step.masl(leaf, step.target).backward(),
    }
    return interleaved_milliseconds(contenders, rounds, warm_up=1, wait=step.wait)
