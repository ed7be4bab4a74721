"""Writes the vectors: the index vectors.json and the tensors vectors.safetensors. README.md defines every field."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.apps.vectors.cases import CASES, Case
from s2m_edge.apps.vectors.comparisons import COMPARISONS, Comparison
from s2m_edge.apps.vectors.guards import GUARD_CASES, GUARD_FILES, GuardCase, flat_pictures, make_guard
from s2m_edge.apps.vectors.pictures import random_picture, random_probabilities
from s2m_edge.apps.vectors.windows import WINDOW_CASES, WindowCase, window_picture
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import preprocessing_entry
from s2m_edge.deploy.contract import RESIZE_RULE
from s2m_edge.deploy.guard import write_guard
from s2m_edge.deploy.interface import OUTPUT_NAME
from s2m_edge.files import file_sha256, write_bytes
from s2m_edge.imaging.descriptor import describe
from s2m_edge.imaging.overlay import outline
from s2m_edge.imaging.preprocess import (
    Preprocessing,
    fit_to_network,
    mask_from_probabilities,
    mask_in_original_size,
    normalise,
)
from s2m_edge.imaging.window import positions, weights
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.measure.parity.gates import GATES, breaches, run_breaches

VECTORS = Path(__file__).parent
INDEX_FILE = "vectors.json"
TENSORS_FILE = "vectors.safetensors"
EXAMPLE_BUNDLE = "bundle"
SCHEMA_VERSION = 1
NORMALISED_TOLERANCE = 2e-6
COMPARISON_TOLERANCE = 1e-6
GUARD_TOLERANCE = 1e-3
TEXTS = ("", "abc", "s2m-edge " * 1000)

Tensors = dict[str, NDArray[Any]]


def generate() -> tuple[dict[str, Any], Tensors]:
    """The index without its entry `tensors`, and the tensors by name."""
    tensors: Tensors = {}
    index = {
        "schema_version": SCHEMA_VERSION,
        "notice": NOTICE,
        "tolerance": {"normalised": NORMALISED_TOLERANCE, "comparison": COMPARISON_TOLERANCE, "guard": GUARD_TOLERANCE},
        "cases": [_case_entry(case, tensors) for case in CASES],
        "windows": [_window_entry(case, tensors) for case in WINDOW_CASES],
        "guards": [_guard_entry(case, tensors | flat_pictures(), tensors) for case in GUARD_CASES],
        "comparisons": [_comparison_entry(entry, tensors) for entry in COMPARISONS],
        "hashes": [{"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()} for text in TEXTS],
    }
    return index, tensors


def write(folder: Path) -> None:
    """Write both files and the guards' files into `folder`."""
    from safetensors.numpy import save

    index, tensors = generate()
    for channels, name in GUARD_FILES.items():
        write_guard(folder / name, make_guard(channels))
    index["guard_files"] = [
        {"file": name, "channels": channels, "sha256": file_sha256(folder / name)}
        for channels, name in GUARD_FILES.items()
    ]
    content = save(tensors, metadata={"notice": NOTICE})
    index["tensors"] = {
        "file": TENSORS_FILE,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "entries": {name: _describe(tensor) for name, tensor in sorted(tensors.items())},
    }
    write_bytes(folder / TENSORS_FILE, content)
    write_bytes(folder / INDEX_FILE, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())


def _case_entry(case: Case, tensors: Tensors) -> dict[str, Any]:
    given = case.preprocessing
    picture, predicted = random_picture(case), random_probabilities(case)
    fitted = fit_to_network(picture, given)
    network_mask = mask_from_probabilities(predicted, case.threshold)
    mask = mask_in_original_size(predicted, case.height, case.width, case.threshold)
    thickness = max(1, case.height // 40)
    tensors |= {
        f"{case.name}.picture": picture,
        f"{case.name}.fitted": fitted,
        f"{case.name}.normalised": normalise(fitted, given),
        f"{case.name}.probabilities": predicted,
        f"{case.name}.network_mask": network_mask,
        f"{case.name}.mask": mask,
        f"{case.name}.outline": _outline_of_labels(mask, case.classes, thickness),
    }
    return {
        "name": case.name,
        "why": case.why,
        "height": case.height,
        "width": case.width,
        "preprocessing": preprocessing_entry(given),
        "output": _output_entry(case.classes, given),
        "postprocessing": {"resize": RESIZE_RULE.rsplit(",", 1)[0], "threshold": case.threshold},
        "outline_thickness": thickness,
        "area": {
            "network": _areas(network_mask, case.classes),
            "original": _areas(mask, case.classes),
        },
    }


def _window_entry(case: WindowCase, tensors: Tensors) -> dict[str, Any]:
    given = case.preprocessing
    assert given.window is not None
    picture, mask = window_picture(case)
    tensors |= {
        f"{case.name}.picture": picture,
        f"{case.name}.mask": mask,
        f"{case.name}.weights": weights(given.height, given.width, given.window.sigma).astype(np.float32),
    }
    return {
        "name": case.name,
        "why": case.why,
        "height": case.height,
        "width": case.width,
        "preprocessing": preprocessing_entry(given),
        "output": _output_entry(case.classes, given),
        "postprocessing": {"resize": RESIZE_RULE.rsplit(",", 1)[0], "threshold": case.threshold},
        "rows": positions(case.height, given.height, given.window.overlap),
        "columns": positions(case.width, given.width, given.window.overlap),
        "area": _areas(mask, case.classes),
    }


def _output_entry(classes: int, given: Preprocessing) -> dict[str, Any]:
    return {
        "name": OUTPUT_NAME,
        "shape": [1, classes, given.height, given.width],
        "activation": "sigmoid" if classes == 1 else "softmax",
    }


def _guard_entry(case: GuardCase, pictures: Tensors, tensors: Tensors) -> dict[str, Any]:
    fitted = pictures[case.picture]
    tensors |= {case.picture: fitted, f"{case.name}.descriptor": describe(fitted).astype(np.float32)}
    guard = make_guard(fitted.shape[2])
    verdict = guard.judge(fitted)
    return {
        "name": case.name,
        "why": case.why,
        "picture": case.picture,
        "guard": GUARD_FILES[guard.channels],
        "score": verdict.score,
        "threshold": verdict.threshold,
        "unusual": verdict.unusual,
    }


def _comparison_entry(entry: Comparison, tensors: Tensors) -> dict[str, Any]:
    gate = GATES[entry.precision]
    logits, edge = entry.make()
    tensors |= {f"{entry.name}.logits": logits, f"{entry.name}.edge": edge}
    reference = probabilities(logits)
    found = compare(entry.name, reference, edge, entry.threshold, 0.0)
    failures = breaches(gate, found)
    return {
        "name": entry.name,
        "why": entry.why,
        "precision": entry.precision,
        "gate": asdict(gate),
        "threshold": entry.threshold,
        "expected": {
            "max_probability_error": _number(found.max_probability_error),
            "mean_probability_error": _number(found.mean_probability_error),
            "mask_agreement": found.mask_agreement,
            "mask_dice": found.mask_dice,
            "mask_fraction": found.mask_fraction,
            "breaches": len(failures),
            "passed": not run_breaches(gate, [found]),
        },
    }


def _outline_of_labels(mask: NDArray[np.uint8], classes: int, thickness: int) -> NDArray[np.uint8]:
    drawn = np.zeros_like(mask)
    for label in range(1, max(2, classes)):
        drawn[outline(mask == label, thickness)] = label
    return drawn


def _areas(mask: NDArray[np.uint8], classes: int) -> list[int]:
    return np.bincount(mask.ravel(), minlength=max(2, classes)).tolist()


def _describe(tensor: NDArray[Any]) -> dict[str, Any]:
    content = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
    return {
        "dtype": str(tensor.dtype),
        "shape": list(tensor.shape),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
