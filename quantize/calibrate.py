"""Post-training calibration: ranges from histograms of what the float network computes on real images."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from s2m_edge.errors import ImageError
from s2m_edge.network.fake_quantized.config import HIGHEST, LOWEST
from s2m_edge.network.fake_quantized.layers import activation_quantizers, rounding_off

Progress = Callable[[int, int], None]

TOWARDS_EXTREMES = 0.5
"""How far each end of a range is moved from the one of least squared error towards the most extreme value observed.

Least squared error cuts off what few pixels of few images reach, which may be all of one image's lesion. Extremes alone
give steps half as wide again. docs/quantization.md has the figures.
"""


def histogram_observer() -> Callable[[], torch.nn.Module]:
    """Makes torchao's observers of int8 activations; importing it logs of its own optional libraries."""
    disabled = logging.root.manager.disable
    logging.disable(max(disabled, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torchao.quantization.pt2e import HistogramObserver
    finally:
        logging.disable(disabled)
    return lambda: HistogramObserver(
        dtype=torch.int8, qscheme=torch.per_tensor_affine, quant_min=LOWEST, quant_max=HIGHEST
    )


def observed_range(observer: torch.nn.Module) -> tuple[float, float]:
    """The range that a histogram of real values suggests."""
    scale, zero_point = (float(value) for value in observer.calculate_qparams())  # type: ignore[operator]
    narrow = ((LOWEST - zero_point) * scale, (HIGHEST - zero_point) * scale)
    extremes = (float(observer.min_val), float(observer.max_val))  # type: ignore[arg-type]
    low, high = (inner + TOWARDS_EXTREMES * (outer - inner) for inner, outer in zip(narrow, extremes, strict=True))
    return low, high


def calibrate(network: nn.Module, images: Sequence[Tensor], progress: Progress = lambda done, total: None) -> None:
    """Set every scale and zero point of a fake-quantized network, in place.

    A range lies half way (TOWARDS_EXTREMES) between the one with the least squared rounding error (torchao's
    HistogramObserver) and the extremes of the values that the network computes in float. Quantizers that are off, or
    have a range by construction, are left alone.

    Args:
        network: of `quantized_network`, eval mode.
        images: each channels x height x width, normalised; at least one.
        progress: called with images done and in all.

    Raises:
        ImageError: no images, or a value that is not finite.
    """
    observer = histogram_observer()
    if not images:
        raise ImageError("there are no images to calibrate with", "Give a folder of pictures.")
    chosen = [(name, q) for name, q in activation_quantizers(network) if q.mode == "quantize" and q.fixed is None]
    try:
        with rounding_off(network), torch.inference_mode():
            for _, quantizer in chosen:
                quantizer.mode, quantizer.observer = "observe", observer()
            for index, image in enumerate(images):
                progress(index, len(images))
                if not torch.isfinite(network(image[None])).all():
                    raise ImageError("the network's answer to a calibration image is not finite", "Train again.")
        progress(len(images), len(images))
        for name, quantizer in chosen:
            assert quantizer.observer is not None
            low, high = observed_range(quantizer.observer)
            if not math.isfinite(high - low):
                raise ImageError(f"the range of {name} is not finite", "Train again.")
            quantizer.set_range(low, high)
    finally:
        for _, quantizer in chosen:
            quantizer.observer = None
