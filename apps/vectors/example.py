"""An example bundle, tiny and without a network, for tests of what apps do with a bundle before running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.vectors.pictures import smooth_field
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import draft_contract, seal_contract
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.golden import GOLDEN_FILE, Golden, write_golden
from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.deploy.spec import DEFAULT_THRESHOLD, make_spec
from s2m_edge.files import write_bytes, write_json
from s2m_edge.imaging.preprocess import mask_from_probabilities
from s2m_edge.imaging.window import Window
from s2m_edge.targets.export import parity_entry
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.measure.parity.report import PARITY_FILE, ParityReport

WEIGHTS_SHA256 = "0" * 64
PACKAGE = {
    "example.package/manifest.json": b'{"example": true}\n',
    "example.package/weights/weight.bin": bytes(range(256)),
}


@dataclass(frozen=True)
class Example:
    """What an example bundle is of.

    Attributes:
        height, width: of the network.
        target: that it says it is for.
        artifact: content by path; the first segment is the artifact's name.
        pictures: number of golden inputs.
        window: of a network that slides.
    """

    height: int = 96
    width: int = 96
    target: str = "coreml"
    artifact: Mapping[str, bytes] = field(default_factory=lambda: PACKAGE)
    pictures: int = 2
    window: Window | None = None

    @property
    def stamp(self) -> dict[str, str]:
        """What its golden file says of itself."""
        return {"device": "example, no network ran", "weights_sha256": WEIGHTS_SHA256, "s2m-edge": "0"}

    def golden(self) -> list[Golden]:
        """Its inputs; no logit is zero, so that no pixel's label is a matter of rounding."""
        return [_golden(f"golden-{index}", self.height, self.width) for index in range(self.pictures)]


def write_example(folder: Path, example: Example = Example()) -> None:
    """Contract, parity report, golden file, and the artifact in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in example.artifact.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, content)
    spec = make_spec(
        "example",
        height=example.height,
        width=example.width,
        classes=("example",),
        architecture="none",
        window=example.window,
        file="example.safetensors",
        weights_sha256=WEIGHTS_SHA256,
    )
    image = example.target == "coreml"
    interface = TensorInterface("uint8", "image" if image else "NCHW")
    artifact = folder / next(iter(example.artifact)).split("/")[0]
    draft = draft_contract(example.target, interface, spec, "float32", "matmul", artifact)
    draft = type(draft)(
        {**draft.values, "s2m_edge_version": "0.0.0", "exported_at": "2026-01-01T00:00:00+00:00", "tools": {}}
    )
    report = example_parity(example)
    write_golden(folder / GOLDEN_FILE, example.golden(), example.stamp)
    write_json(folder / PARITY_FILE, report.to_dict())
    write_json(folder / CONTRACT_FILE, seal_contract(draft, folder, parity_entry(report)).values)


def example_parity(example: Example) -> ParityReport:
    """The report of an artifact that gives exactly what the reference gives."""
    images = []
    for entry in example.golden():
        predicted = probabilities(entry.logits)
        images.append(compare(entry.name, predicted, predicted, DEFAULT_THRESHOLD, 1.0))
    return ParityReport(
        target=example.target,
        precision="float32",
        spectral="matmul",
        verdict="executed",
        edge_device="example",
        reference_device="example",
        images=tuple(images),
        tools={},
        hashes={},
    )


def _golden(name: str, height: int, width: int) -> Golden:
    generator = np.random.default_rng(len(name) + int(name[-1]))
    image = smooth_field(generator, 3, height, width, 255).transpose(1, 2, 0).astype(np.uint8)
    levels = smooth_field(generator, 1, height, width, 1024) - 512
    logits: NDArray[np.float32] = ((2 * levels + 1) / 128).astype(np.float32)
    mask = mask_from_probabilities(probabilities(logits), DEFAULT_THRESHOLD)
    return Golden(name, np.ascontiguousarray(image), logits, mask)
