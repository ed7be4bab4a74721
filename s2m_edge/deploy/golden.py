"""The reference: the network in PyTorch, float32, that every artifact is compared with, and its golden outputs."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.contract import AGAIN, Contract
from s2m_edge.errors import ContractError
from s2m_edge.files import write_bytes
from s2m_edge.imaging.preprocess import Preprocessing, mask_from_probabilities, normalise
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

GOLDEN_FILE = "golden.safetensors"
MOST_GOLDEN = 1000
GOLDEN_CANDIDATES = 24
"""Images that are looked at before those that show the object are recorded; each costs one run of the reference."""
ROOM = 2**28
"""Bytes of answers that a `Reference` keeps: of one class at 352 x 352 five hundred."""


@dataclass(frozen=True)
class Golden:
    """One recorded input with the reference's outputs.

    Attributes:
        name: of the picture.
        image: the fitted picture, height x width x channels, uint8.
        logits: outputs x height x width, float32.
        mask: labels height x width, uint8.
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


def reference_logits(
    network: nn.Module, fitted: NDArray[np.uint8], preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Logits outputs x height x width of a fitted picture, by PyTorch, in the network's own precision and device.

    The spectral filter runs in its matrix form in plain torch, whether or not a native kernel is there: what edge
    artifacts are compared with must not depend on this machine's compiler, nor share their kernel.
    """
    import torch

    from s2m_edge.network.spectral.kernel import matrix_form

    weights = (
        tensor for tensor in itertools.chain(network.parameters(), network.buffers()) if tensor.is_floating_point()
    )
    with torch.inference_mode(), matrix_form():
        image = torch.from_numpy(normalise(fitted, preprocessing))
        return network(image.to(next(weights, image)))[0].float().cpu().numpy()


class Reference:
    """A network's answers to fitted pictures, each computed once while there is room. An export asks for the same ones
    when it chooses golden inputs and when it measures parity, and one to several targets for each target again.

    Args:
        network: that does not change meanwhile.
        room: bytes of answers that are kept.
    """

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, room: int = ROOM) -> None:
        self.network, self.preprocessing = network, preprocessing
        self._room = room
        self._kept: dict[bytes, NDArray[np.float32]] = {}

    def logits(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `reference_logits`."""
        key = hashlib.sha256(fitted.tobytes()).digest()
        found = self._kept.get(key)
        if found is None:
            found = reference_logits(self.network, fitted, self.preprocessing)
            if found.nbytes <= self._room:
                self._room -= found.nbytes
                self._kept[key] = found
        return found.copy()


def record_golden(
    reference: Reference, pictures: Sequence[tuple[str, NDArray[np.uint8]]], threshold: float
) -> list[Golden]:
    """Run the reference over fitted pictures."""
    recorded: list[Golden] = []
    for name, fitted in pictures:
        logits = reference.logits(fitted)
        mask = mask_from_probabilities(probabilities(logits), threshold)
        recorded.append(Golden(name, fitted, logits, mask))
    return recorded


def choose_golden(reference: Reference, spec: NetworkSpec, images: Sequence[Path], count: int) -> list[Golden]:
    """Record the pictures that prove most: a device whose masks stay empty must fail on them.

    First come those of `images` where the reference finds something, objects of different size if there are many. Where
    there are too few, bundled samples of the network's domain on which it finds something take the places of pictures
    on which it finds nothing.

    Args:
        spec: what the network says of itself; without a domain in its provenance no sample takes a place. Any sample
            fits any network: it is made grey where the network takes grey.
        images: files that `read_image` opens. Of many, the first `GOLDEN_CANDIDATES` are looked at, and more only until
            enough of them show something.
        count: how many are recorded; fewer where fewer images are given.

    Raises:
        ImageError: an image cannot be read.
    """
    from s2m_edge.imaging.inputs import read_input
    from s2m_edge.samples import sample_images

    preprocessing, places = spec.preprocessing, min(count, len(images))

    def found_in(path: Path) -> int:
        fitted = read_input(path, preprocessing)
        logits = reference.logits(fitted)
        return int((mask_from_probabilities(probabilities(logits), spec.threshold) > 0).sum())

    areas: dict[Path, int] = {}
    for path in images:
        if len(areas) >= GOLDEN_CANDIDATES and sum(area > 0 for area in areas.values()) >= places:
            break
        areas[path] = found_in(path)
    showing = sorted((path for path, area in areas.items() if area > 0), key=areas.__getitem__)
    # From the middle of each of `places` equal groups by area: neither the smallest object, whose Dice hangs on single
    # pixels, nor only the largest.
    middles = [showing[(2 * place + 1) * len(showing) // (2 * places)] for place in range(places)] if showing else []
    chosen = {path: None for path in images if path in set(middles)}
    domain = spec.provenance.get("domain")
    samples = sample_images(str(domain)) if domain else []
    for path in (*samples, *areas):
        if len(chosen) == places:
            break
        if path in areas or found_in(path):
            chosen.setdefault(path)
    pictures = [(path.name, read_input(path, preprocessing)) for path in chosen]
    return record_golden(reference, pictures, spec.threshold)


def write_golden(path: Path, golden: Sequence[Golden], metadata: dict[str, str]) -> None:
    """`golden.safetensors`, see `golden_content`."""
    write_bytes(path, golden_content(golden, metadata))


def golden_content(golden: Sequence[Golden], metadata: dict[str, str]) -> bytes:
    """A golden file: image.N, logits.N, mask.N, and as metadata the names, the device and the versions."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    names: dict[str, str] = {}
    for index, entry in enumerate(golden):
        tensors[f"image.{index}"] = entry.image
        tensors[f"logits.{index}"] = entry.logits
        tensors[f"mask.{index}"] = entry.mask
        names[f"name.{index}"] = printable(entry.name)
    return in_order(save(tensors, metadata={**metadata, **names, "count": str(len(golden))}))


def in_order(content: bytes) -> bytes:
    """A safetensors file with its header's keys in order: the library writes metadata in another one each time, and the
    same values would have another hash."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[start:]


def read_golden(path: Path, remedy: str = AGAIN) -> tuple[list[Golden], dict[str, str]]:
    """What `write_golden` wrote.

    Raises:
        ContractError: missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ContractError(f"there is no {path}", remedy, "missing-file")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            count = int(metadata["count"])
            if not 1 <= count <= MOST_GOLDEN:
                raise ValueError(f"it says that it holds {count} pictures")
            golden = [
                Golden(
                    metadata[f"name.{index}"],
                    file.get_tensor(f"image.{index}"),
                    file.get_tensor(f"logits.{index}"),
                    file.get_tensor(f"mask.{index}"),
                )
                for index in range(count)
            ]
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ContractError(f"{path} is damaged ({error})", remedy, "golden-damaged") from None
    return golden, metadata


def require_golden_of(path: Path, contract: Contract) -> list[Golden]:
    """The golden outputs of a bundle, if they can prove its artifact.

    Raises:
        ContractError: damaged, of another network or another shape, not finite, or showing nothing in any mask: an
            artifact that finds nothing anywhere would agree with them.
    """
    golden, metadata = read_golden(path)
    if metadata.get("weights_sha256") != contract.weights_sha256:
        raise ContractError(f"{path} was recorded with another network", AGAIN, "golden-foreign")
    outputs = tuple(contract.values["output"]["shape"][1:])
    require_sound_golden(path, golden, contract.preprocessing.fitted_shape, outputs, AGAIN)
    if not any(entry.mask.any() for entry in golden):
        raise ContractError(
            f"{path} shows no object in any picture, and proves nothing",
            "Export it with --images that do.",
            "golden-empty",
        )
    return golden


def require_sound_golden(
    path: Path, golden: Sequence[Golden], fitted: tuple[int, ...], outputs: tuple[int, ...], remedy: str
) -> None:
    """Raise ContractError unless every entry of a golden file has these shapes, its dtypes and finite outputs.

    Args:
        fitted: height, width, channels of the pictures; outputs: outputs, height, width of the logits.
    """
    wanted = {"image": (np.uint8, fitted), "logits": (np.float32, outputs), "mask": (np.uint8, outputs[1:])}
    for entry in golden:
        for name, (dtype, shape) in wanted.items():
            values: NDArray[Any] = getattr(entry, name)
            if values.dtype != dtype or values.shape != shape:
                raise ContractError(
                    f"{path} is damaged ({name} is {values.dtype} {values.shape}, not {dtype.__name__} {shape})",
                    remedy,
                    "golden-damaged",
                )
        if not np.isfinite(entry.logits).all():
            raise ContractError(f"{path} holds outputs that are no numbers", remedy, "golden-not-finite")
