"""The reference: the network in PyTorch, float32, that every artifact is compared with, and its golden outputs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ContractError
from s2m_edge.files import write_bytes
from s2m_edge.imaging.preprocess import Preprocessing, mask_from_probabilities, normalise

if TYPE_CHECKING:
    from s2m_edge.model import S2MNet

GOLDEN_FILE = "golden.safetensors"


@dataclass(frozen=True)
class Golden:
    """One recorded input with the reference's outputs.

    Attributes:
        name: of the picture.
        image: the fitted picture, size x size x channels, uint8.
        logits: classes x size x size, float32.
        mask: labels size x size, uint8.
    """

    name: str
    image: NDArray[np.uint8]
    logits: NDArray[np.float32]
    mask: NDArray[np.uint8]


def reference_device(device: str = "cpu", precision: str = "float32") -> str:
    """What the reference runs on, for reports: kind and name of the device, with the driver of a GPU."""
    if device == "cpu":
        return f"PyTorch eager, {precision}, cpu ({platform.machine()})"
    import torch

    return f"PyTorch eager, {precision}, {device} ({torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda})"


def reference_logits(model: S2MNet, fitted: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Logits classes x size x size of a fitted picture, by PyTorch, in the model's own precision on its own device.

    The spectral filter runs in its matrix form in plain torch, whether or not a native kernel is there: what edge
    artifacts are compared with must not depend on this machine's compiler, nor share their kernel.
    """
    import torch

    from s2m_edge.spectral.kernel import matrix_form

    weight = next(model.parameters())
    with torch.inference_mode(), matrix_form():
        image = torch.from_numpy(normalise(fitted, preprocessing)).to(weight)
        return model(image)[0].float().cpu().numpy()


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sigmoid (one class) or softmax of logits classes x size x size."""
    import torch

    from s2m_edge.model import probabilities_from_logits

    return probabilities_from_logits(torch.from_numpy(logits)[None])[0].numpy()


def record_golden(
    model: S2MNet, pictures: Sequence[tuple[str, NDArray[np.uint8]]], preprocessing: Preprocessing, threshold: float
) -> list[Golden]:
    """Run the reference over fitted pictures."""
    recorded: list[Golden] = []
    for name, fitted in pictures:
        logits = reference_logits(model, fitted, preprocessing)
        mask = mask_from_probabilities(probabilities(logits), threshold)
        recorded.append(Golden(name, fitted, logits, mask))
    return recorded


def write_golden(path: Path, golden: Sequence[Golden], metadata: dict[str, str]) -> None:
    """`golden.safetensors`: image.N, logits.N, mask.N, and as metadata the names, the device and the versions."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    names: dict[str, str] = {}
    for index, entry in enumerate(golden):
        tensors[f"image.{index}"] = entry.image
        tensors[f"logits.{index}"] = entry.logits
        tensors[f"mask.{index}"] = entry.mask
        names[f"name.{index}"] = entry.name
    write_bytes(path, save(tensors, metadata={**metadata, **names, "count": str(len(golden))}))


def read_golden(path: Path, remedy: str = "Export the bundle again.") -> tuple[list[Golden], dict[str, str]]:
    """What `write_golden` wrote.

    Raises:
        ContractError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ContractError(f"there is no {path}", remedy)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            golden = [
                Golden(
                    metadata[f"name.{index}"],
                    file.get_tensor(f"image.{index}"),
                    file.get_tensor(f"logits.{index}"),
                    file.get_tensor(f"mask.{index}"),
                )
                for index in range(int(metadata["count"]))
            ]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ContractError(f"{path} is damaged ({error})", remedy) from None
    return golden, metadata
