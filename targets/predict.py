"""Predicting with a bundle: image files in, masks in the original size out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.imaging.preprocess import fit_to_network, mask_in_original_size
from s2m_edge.imaging.read import read_image
from s2m_edge.targets.base import Runner
from s2m_edge.targets.bundle import Bundle
from s2m_edge.targets.parity.measure import predict_checked


@dataclass(frozen=True)
class Prediction:
    """One image's result.

    Attributes:
        image: RGB, H x W x 3, uint8.
        labels: H x W, uint8; 0 is background.
        areas: pixels per foreground class.
        network_milliseconds: of the network alone.
        milliseconds: of fitting, network and mask; decoding the file is not counted.
    """

    path: Path
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    areas: dict[str, int]
    network_milliseconds: float
    milliseconds: float

    def summary(self) -> dict[str, Any]:
        """JSON values without the pixels."""
        height, width = self.labels.shape
        return {
            "image": str(self.path),
            "width": width,
            "height": height,
            "area_pixels": self.areas,
            "area_fraction": {name: area / (height * width) for name, area in self.areas.items()},
            "network_milliseconds": round(self.network_milliseconds, 2),
            "milliseconds": round(self.milliseconds, 2),
        }


def predict_image(
    bundle: Bundle, runner: Runner, path: Path, *, slice_index: int | None = None, threshold: float | None = None
) -> Prediction:
    """Segment one image file exactly as the contract says.

    Args:
        slice_index: for volumes; the middle slice by default.
        threshold: in [0, 1]; the contract's by default. Only for one class.

    Raises:
        ImageError, LoweringError: the image or the artifact cannot be read or run.
    """
    contract = bundle.contract
    image = read_image(path, slice_index)
    began = time.perf_counter()
    fitted = fit_to_network(image, contract.preprocessing)
    started = time.perf_counter()
    probabilities = predict_checked(runner.predict, fitted, tuple(contract.values["output"]["shape"][1:]))
    network = time.perf_counter() - started
    height, width = image.shape[:2]
    chosen = contract.threshold if threshold is None else threshold
    labels = mask_in_original_size(probabilities, height, width, chosen)
    areas = {entry.name: int((labels == index).sum()) for index, entry in enumerate(contract.classes, start=1)}
    return Prediction(path, image, labels, areas, network * 1e3, (time.perf_counter() - began) * 1e3)
