"""The arithmetic of a network: its parameters, and its multiply-adds, counted once for the float network."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

COUNTED = (
    "multiply-adds of the float32 network's convolutions and matrix products for one picture, the spectral filter as "
    "matrix products; rewrites and quantization do not change the count; 2 FLOP each"
)


def parameter_count(network: nn.Module) -> int:
    """Trainable values, also of a network whose gradients are off."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of any network's convolutions and matrix products for one image.

    Only shapes are followed; `network` is not changed.

    Args:
        image_shape: channels, height and width.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from s2m_edge.network.fake_quantized.layers import rounding_off
    from s2m_edge.network.spectral import spectral_filter  # noqa: F401 - registers the op

    # A copy, because a network may keep what it makes on its way. Tensors without values rather than the meta device,
    # where what a network makes without naming a device (a grid of coordinates) would meet what lies there.
    copied, shapes_only = copy.deepcopy(network), FakeTensorMode(allow_non_fake_inputs=True)
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.s2m_edge.spectral_filter: _filter_operations})
    with rounding_off(copied), shapes_only, counter, torch.no_grad():
        copied(torch.empty(1, *image_shape))
    return counter.get_total_flops() // 2


def _filter_operations(x: Any, weight: Any, *rest: Any, out_shape: Any = None, **others: Any) -> int:
    """Floating-point operations of one spectral filter as its four matrix products, by shapes.

    Along the width, then along the height of the spectrum, and back again.
    """
    from s2m_edge.network.spectral.dft import frequency_count

    batch, channels, height, width = x
    rows, columns = (
        2 * frequency_count(min(kept, side)) for kept, side in zip(weight[-2:], (height, width), strict=True)
    )
    return 2 * 2 * batch * channels * (height * width * columns + height * rows * columns)
