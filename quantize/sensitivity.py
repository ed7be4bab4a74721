"""Which blocks int8 hurts: the network with only one block quantized, for every block, against the float network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2m_edge.deploy.activation import probabilities_from_logits
from s2m_edge.network.fake_quantized import QuantizationConfig
from s2m_edge.network.fake_quantized.config import block_names
from s2m_edge.network.fake_quantized.network import set_blocks
from s2m_edge.network.model import S2MNet
from s2m_edge.notice import NOTICE
from s2m_edge.quantize.agreement import mean_dice
from s2m_edge.quantize.images import CalibrationSet, LabelledImage
from s2m_edge.train.losses import labels_from_logits
from s2m_edge.versions import computing_versions

Progress = Callable[[str, int, int], None]
DEFAULT, EVERYTHING = "the default", "everything"


@dataclass(frozen=True)
class BlockSensitivity:
    """What quantizing these blocks alone does.

    Attributes:
        name: of the block, or of the set.
        float_by_default: whether `QuantizationConfig` leaves it in float.
        error: root mean square difference of the probabilities from the float network's, over pixels and images.
        dice: mean Dice with the masks; dice_moved: minus the float network's; worst_moved: on the worst image.
        agreement: share of pixels with the float network's label.
    """

    name: str
    float_by_default: bool
    error: float
    dice: float
    dice_moved: float
    worst_moved: float
    agreement: float


def measure_sensitivity(
    model: S2MNet,
    calibration: CalibrationSet,
    images: Sequence[LabelledImage],
    *,
    weight_limit: int,
    notify: Progress = lambda step, done, total: None,
) -> tuple[float, list[BlockSensitivity]]:
    """Calibrate with every block quantizable, then quantize one at a time, then the default set, then all.

    Biases are not corrected: a correction belongs to one set of blocks, and would hide what a block costs.

    Args:
        model: the float network, eval mode.
        images: labelled, other than those of `calibration`; at least one.

    Returns:
        The float network's mean Dice, and one entry per block and set.
    """
    from s2m_edge.quantize.quantize import calibrated_network

    everything = QuantizationConfig(weight_limit, float_blocks=())
    network = calibrated_network(model, calibration, everything, notify, corrected=False)
    standard = QuantizationConfig()
    chosen = [(name, {name}) for name in block_names() if _exists(network, name)]
    every = {name for name, _ in chosen}
    chosen.append((DEFAULT, {name for name in every if standard.quantizes(name)}))
    chosen.append((EVERYTHING, every))
    expected = [_outputs(model, entry) for entry in images]
    scores = [mean_dice(labels, entry.mask) for (_, labels), entry in zip(expected, images, strict=True)]
    found: list[BlockSensitivity] = []
    for index, (name, blocks) in enumerate(chosen):
        notify(name, index, len(chosen))
        set_blocks(network, blocks)
        in_float = name in standard.float_blocks or name == EVERYTHING
        found.append(_measure(network, name, in_float, images, expected, scores))
    notify("", len(chosen), len(chosen))
    return float(np.mean(scores)), found


def _exists(network: S2MNet, name: str) -> bool:
    """Whether quantizing a block changes anything in this layout."""
    from s2m_edge.network.fake_quantized.layers import activation_quantizers

    set_blocks(network, {name})
    return any(quantizer.mode == "quantize" for _, quantizer in activation_quantizers(network))


def _outputs(network: S2MNet, entry: LabelledImage) -> tuple[Tensor, Tensor]:
    """Probabilities classes x size x size and labels 1 x size x size."""
    with torch.inference_mode():
        logits = network(entry.image[None])
        return probabilities_from_logits(logits)[0], labels_from_logits(logits)[0]


def _measure(
    network: S2MNet,
    name: str,
    in_float: bool,
    images: Sequence[LabelledImage],
    expected: Sequence[tuple[Tensor, Tensor]],
    scores: Sequence[float],
) -> BlockSensitivity:
    squares, dice, agreement = [], [], []
    for entry, (probabilities, labels) in zip(images, expected, strict=True):
        found, found_labels = _outputs(network, entry)
        squares.append(float((found - probabilities).square().mean()))
        agreement.append(float((found_labels == labels).float().mean()))
        dice.append(mean_dice(found_labels, entry.mask))
    moved = np.subtract(dice, scores)
    return BlockSensitivity(
        name,
        in_float,
        math.sqrt(float(np.mean(squares))),
        float(np.mean(dice)),
        float(moved.mean()),
        float(moved.min()),
        float(np.mean(agreement)),
    )


def report_values(
    checkpoint: dict[str, Any], float_dice: float, blocks: Sequence[BlockSensitivity], images: int, data: str
) -> dict[str, Any]:
    """The JSON object of the report."""
    return {
        "checkpoint": checkpoint,
        "data": {"name": data, "split": "val", "images": images},
        "float_dice": float_dice,
        "blocks": [asdict(entry) for entry in blocks],
        "tools": computing_versions("torchao"),
        "notice": NOTICE,
    }
