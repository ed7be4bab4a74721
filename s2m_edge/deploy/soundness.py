"""Whether a network does what its specification says, seen by running it once: before anything is lowered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2m_edge import interrupts
from s2m_edge.errors import ConfigurationError, S2MEdgeError, in_one_line

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec


def require_sound_network(network: nn.Module, spec: NetworkSpec) -> None:
    """Run the network on an image of noise, in eval mode and float32 on the CPU.

    Raises:
        ConfigurationError: it is in training mode, fails, gives no tensor of the shape that the specification says, or
            logits that are not finite, or differs from run to run.
    """
    import torch

    if network.training:
        raise ConfigurationError("the network is in training mode", "Call eval() on it first.")
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, *spec.preprocessing.image_shape, generator=generator)
    size = spec.preprocessing.title
    try:
        with torch.no_grad():
            first, second = network(image), network(image)
    except S2MEdgeError:
        raise
    except Exception as error:  # a stranger's code raises anything
        interrupts.heed(error)
        raise ConfigurationError(
            f"the network {spec.name} fails on an image of {size} with {spec.channels} channels ({in_one_line(error)})",
            "Give the input size and the channels that it takes.",
        ) from error
    if not isinstance(first, torch.Tensor):
        raise ConfigurationError(
            f"the network {spec.name} gives {type(first).__name__}, not one tensor of logits",
            "Wrap it in a module whose forward returns the logits alone.",
        )
    expected, found = (1, *spec.output_shape), tuple(first.shape)
    if len(found) != 4:
        raise ConfigurationError(
            f"the network {spec.name} gives {len(found)} axes {found}, not B x outputs x height x width {expected}",
            "Wrap it in a module whose forward returns logits of that shape.",
        )
    if found[1] != expected[1]:
        raise ConfigurationError(
            f"the network {spec.name} has {found[1]} output channels, its specification says {expected[1]} "
            f"({len(spec.classes)} classes with {spec.activation})",
            "Name its classes in the specification; softmax counts the background as the first channel.",
        )
    if found != expected:
        raise ConfigurationError(
            f"the network {spec.name} turns {size} into {found[2]} x {found[3]}",
            "Its output must have the input's size: choose an input size that it keeps, or resize inside the network.",
        )
    if first.dtype != torch.float32:
        raise ConfigurationError(f"the network {spec.name} computes in {first.dtype}", "Convert it to float32.")
    if not torch.isfinite(first).all():
        raise ConfigurationError(f"the network {spec.name} gives logits that are not finite", "Check its weights.")
    if not torch.allclose(first, second, rtol=1e-4, atol=1e-4):
        raise ConfigurationError(
            f"the network {spec.name} answers the same image differently each time",
            "Remove what is random in eval mode; parity would mean nothing.",
        )
