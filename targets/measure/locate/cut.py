"""A network that ends at the border of a block: what every target can lower and run."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from s2m_edge.targets.measure.locate.blocks import Border, tensors_of


class CutNetwork(nn.Module):
    """Gives what a block gives. It still calls the whole network: rewrites of exporters have to meet every module, and
    what the answer does not follow from is left out by the backends.

    Args:
        network: is not changed.
        border: where it ends.

    Attributes:
        gives_logits: False: what lowers it puts no sigmoid or softmax behind.
    """

    gives_logits = False

    def __init__(self, network: nn.Module, border: Border) -> None:
        super().__init__()
        self.network, self.border = network, border
        self.changed_in_place = any(getattr(module, "inplace", False) for module in network.modules())
        self.train(network.training)

    def forward(self, image: Tensor) -> Tensor:
        caught: list[Tensor] = []

        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = tensors_of(output)[self.border.number]
            caught.append(tensor.clone() if self.changed_in_place else tensor)

        handle = self.network.get_submodule(self.border.path).register_forward_hook(note)
        try:
            self.network(image)
        finally:
            handle.remove()
        return caught[self.border.call]
