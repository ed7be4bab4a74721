"""An example bundle, tiny and without a network, for tests of what apps do with a bundle before running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.vectors.pictures import smooth_field
from s2m_edge.contract import (
    CONTRACT_FILE,
    DEFAULT_THRESHOLD,
    INTENDED_USE,
    NOTICE,
    RESIZE_RULE,
    SCHEMA_VERSION,
    default_classes,
    validate_contract,
)
from s2m_edge.files import file_sha256, write_bytes, write_json
from s2m_edge.imaging.preprocess import mask_from_probabilities
from s2m_edge.reference import GOLDEN_FILE, Golden, probabilities, write_golden
from s2m_edge.targets.parity.compare import compare
from s2m_edge.targets.parity.report import PARITY_FILE, ParityReport

SIZE = 96
ARTIFACT = "example.package"
ARTIFACT_FILES = {
    f"{ARTIFACT}/manifest.json": b'{"example": true}\n',
    f"{ARTIFACT}/weights/weight.bin": bytes(range(256)),
}
CHECKPOINT_SHA256 = "0" * 64
STAMP = {"device": "example, no network ran", "checkpoint_sha256": CHECKPOINT_SHA256, "s2m-edge": "0"}


def golden_entries() -> list[Golden]:
    """Two inputs; no logit is zero, so that no pixel's label is a matter of rounding."""
    return [_golden(name) for name in ("golden-0", "golden-1")]


def write_example_bundle(folder: Path) -> None:
    """Contract, parity report, golden file, and an artifact of two files in a folder."""
    folder.mkdir(exist_ok=True)
    for name, content in ARTIFACT_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, content)
    golden = golden_entries()
    write_golden(folder / GOLDEN_FILE, golden, STAMP)
    write_json(folder / CONTRACT_FILE, example_contract(folder))
    write_json(folder / PARITY_FILE, example_parity(golden))


def example_contract(folder: Path) -> dict[str, Any]:
    """A valid contract of the artifact in `folder`."""
    values = {
        "schema_version": SCHEMA_VERSION,
        "s2m_edge_version": "0.0.0",
        "exported_at": "2026-01-01T00:00:00+00:00",
        "target": "coreml",
        "precision": "float32",
        "spectral": "matmul",
        "artifact": {
            "file": ARTIFACT,
            "bytes": sum(len(content) for content in ARTIFACT_FILES.values()),
            "sha256": {name: file_sha256(folder / name) for name in ARTIFACT_FILES},
        },
        "network": {"size": SIZE, "in_channels": 3, "classes": 1},
        "input": {"name": "image", "dtype": "uint8", "layout": "image", "colour": "RGB", "normalised_inside": True},
        "preprocessing": {
            "size": SIZE,
            "channels": 3,
            "fit": "stretch",
            "resize": RESIZE_RULE,
            "scale": 1 / 255,
            "mean": [0.0, 0.0, 0.0],
            "standard_deviation": [1.0, 1.0, 1.0],
        },
        "output": {"name": "probabilities", "shape": [1, 1, SIZE, SIZE], "activation": "sigmoid"},
        "postprocessing": {"resize": RESIZE_RULE.rsplit(",", 1)[0], "threshold": DEFAULT_THRESHOLD},
        "classes": [{"name": entry.name, "colour": list(entry.colour)} for entry in default_classes(1, ("example",))],
        "checkpoint": {"file": "example.safetensors", "sha256": CHECKPOINT_SHA256, "provenance": {}},
        "tools": {},
        "intended_use": INTENDED_USE,
        "notice": NOTICE,
    }
    return validate_contract(values, CONTRACT_FILE).values


def example_parity(golden: list[Golden]) -> dict[str, Any]:
    """The report of an artifact that gives exactly what the reference gives."""
    images = []
    for entry in golden:
        predicted = probabilities(entry.logits)
        images.append(compare(entry.name, predicted, predicted, DEFAULT_THRESHOLD, 1.0))
    report = ParityReport(
        target="coreml",
        precision="float32",
        spectral="matmul",
        verdict="executed",
        edge_device="example",
        reference_device="example",
        images=tuple(images),
        tools={},
        hashes={},
    )
    return report.to_dict()


def _golden(name: str) -> Golden:
    generator = np.random.default_rng(len(name) + int(name[-1]))
    image = smooth_field(generator, 3, SIZE, SIZE, 255).transpose(1, 2, 0).astype(np.uint8)
    levels = smooth_field(generator, 1, SIZE, SIZE, 1024) - 512
    logits: NDArray[np.float32] = ((2 * levels + 1) / 128).astype(np.float32)
    mask = mask_from_probabilities(probabilities(logits), DEFAULT_THRESHOLD)
    return Golden(name, np.ascontiguousarray(image), logits, mask)
