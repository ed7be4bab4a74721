"""From a float checkpoint to an int8 one."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from s2m_edge.checkpoint import (
    CheckpointHeader,
    figures_of,
    load_model,
    require_float,
    save_quantized_checkpoint,
    without_figures,
)
from s2m_edge.errors import MissingBackendError
from s2m_edge.installation import install_command
from s2m_edge.network.fake_quantized import QuantizationConfig, quantized_network
from s2m_edge.network.model import S2MNet
from s2m_edge.quantize.agreement import mean_dice
from s2m_edge.quantize.calibrate import calibrate
from s2m_edge.quantize.correct import correct_biases
from s2m_edge.quantize.images import CalibrationSet
from s2m_edge.versions import computing_versions

Method = Literal["ptq", "qat"]
Notify = Callable[[str, int, int], None]


def require_torchao() -> None:
    """Raise MissingBackendError unless torchao is installed, whose observers choose the ranges."""
    import importlib.util

    if importlib.util.find_spec("torchao") is None:
        raise MissingBackendError("torchao is not installed", install_command("quantize"))


def calibrated_network(
    model: S2MNet,
    images: CalibrationSet,
    quantization: QuantizationConfig,
    notify: Notify = lambda step, done, total: None,
    *,
    corrected: bool = True,
) -> S2MNet:
    """The fake-quantized network of `model`, its ranges from `images`.

    Args:
        corrected: whether biases are corrected too, for all that `quantization` quantizes.
    """
    network = quantized_network(model, quantization).requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchao's advice on its own interfaces
        pictures = [entry.image for entry in images.images]
        calibrate(network, pictures, lambda done, total: notify("calibration", done, total))
        if corrected:
            notify("bias correction", 0, 1)
            correct_biases(network, pictures)
            notify("bias correction", 1, 1)
    return network


def save_calibrated(
    path: Path, network: S2MNet, header: CheckpointHeader, images: CalibrationSet, quantization: QuantizationConfig
) -> None:
    """Write the int8 checkpoint of post-training quantization."""
    save_quantized_checkpoint(path, network, quantization, quantized_provenance(header, images, "ptq"))


def quantized_provenance(header: CheckpointHeader, images: CalibrationSet, method: Method) -> dict[str, Any]:
    """The float checkpoint's provenance, and where the int8 one comes from. Figures of the float network go under
    `float`: they are not this network's."""
    return {
        **without_figures(header.provenance),
        "method": method,
        "float": {"file": header.path.name, "weights_sha256": header.weights_sha256, **figures_of(header.provenance)},
        "calibration": images.provenance,
        "quantized_with": computing_versions("torchao"),
    }


def float_dice(model: S2MNet, images: CalibrationSet) -> float:
    """Mean Dice of the float network on the calibration images that show a class: images of another kind show here."""
    from s2m_edge.train.losses import labels_from_logits

    shown = [entry for entry in images.images if entry.mask.any()]
    with torch.inference_mode():
        scores = [mean_dice(labels_from_logits(model(entry.image[None]))[0], entry.mask) for entry in shown]
    return sum(scores) / len(scores) if scores else 0.0


def publish(best: Path, out: Path, folder: Path) -> None:
    """Move the fine-tuned checkpoint to its place and remove the run's folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    best.replace(out)
    shutil.rmtree(folder, ignore_errors=True)


def load_float(header: CheckpointHeader) -> S2MNet:
    """The float network of a header's file."""
    require_float(header)
    return load_model(header.path)
