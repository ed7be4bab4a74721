"""What is evaluated: a checkpoint by PyTorch or a bundle by its edge runtime, behind one face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.contract import DEFAULT_THRESHOLD, SegmentClass, default_classes
from s2m_edge.devices import full_float32
from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import (
    Preprocessing,
    fit_to_network,
    mask_from_probabilities,
    mask_in_original_size,
)
from s2m_edge.reference import probabilities, reference_device, reference_logits
from s2m_edge.targets.bundle import Bundle, preprocessing_for
from s2m_edge.targets.parity.measure import predict_checked

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

ROTATIONS = 4


@dataclass(frozen=True)
class Predictor:
    """A network, ready to run.

    Attributes:
        name: of the checkpoint file or the bundle folder.
        title: what runs, for a line.
        predict: probabilities C x size x size, float32, of a fitted picture size x size x channels, uint8.
        channels: C, the network's classes with the background if there is one.
        classes: the foreground classes.
        preprocessing, threshold: the contract's.
        verdict: "reference", or what running the artifact proves.
        device: what it runs on.
        facts: JSON values for reports: kind, precision, hashes.
        windowed: pictures are not stretched to the network; it slides over them (see `slide`).
    """

    name: str
    title: str
    predict: Predict
    channels: int
    classes: tuple[SegmentClass, ...]
    preprocessing: Preprocessing
    threshold: float
    verdict: str
    device: str
    facts: dict[str, Any]
    windowed: bool = False

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels H x W of an RGB picture H x W x 3: fitted, run, and returned to its size, as the contract says.

        Raises:
            LoweringError: the network failed, or its answer is no number.
        """
        if self.windowed:
            return mask_from_probabilities(slide(self._probabilities, image, self.preprocessing.size), self.threshold)
        height, width = image.shape[:2]
        return mask_in_original_size(self._probabilities(image), height, width, self.threshold)

    def _probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = self.preprocessing.size
        found = predict_checked(self.predict, fit_to_network(image, self.preprocessing), (self.channels, size, size))
        if not np.isfinite(found).all():  # would pass for an empty mask
            raise LoweringError(
                f"{self.name} gives probabilities that are not finite",
                "Export it again in float32, or train again.",
            )
        return found


def checkpoint_predictor(
    model: S2MNet, header: CheckpointHeader, threads: int | None = None, device: str = "cpu"
) -> Predictor:
    """A checkpoint's network in PyTorch, in float32 (without TF32) on the CPU or a GPU.

    Args:
        model: loaded from `header`'s file, possibly at another size; it is moved to `device`.
        threads: of PyTorch, for the whole process; its own default otherwise.
        device: of `choose_device`.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    config, preprocessing = model.config, preprocessing_for(model.config)
    network = model.to(device)

    def predict(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        with full_float32():
            return probabilities(reference_logits(network, fitted, preprocessing))

    return Predictor(
        name=header.path.stem,
        title="checkpoint",
        predict=predict,
        channels=config.classes,
        classes=default_classes(config.classes, tuple(header.provenance.get("class_names", ()))),
        preprocessing=preprocessing,
        threshold=DEFAULT_THRESHOLD,
        verdict="reference",
        device=reference_device(device),
        facts={
            "kind": "checkpoint",
            "precision": "float32",
            "checkpoint": {"file": header.path.name, "sha256": header.sha256},
        },
    )


def bundle_predictor(bundle: Bundle, threads: int | None = None) -> Predictor:
    """A bundle's artifact in its edge runtime.

    Raises:
        MissingBackendError, LoweringError: the runtime is not installed, or does not load the artifact.
    """
    runner, contract = bundle.open_runner(threads), bundle.contract
    return Predictor(
        name=bundle.folder.resolve().name,
        title=f"{bundle.target.title}, {contract.precision}",
        predict=runner.predict,
        channels=contract.values["output"]["shape"][1],
        classes=contract.classes,
        preprocessing=contract.preprocessing,
        threshold=contract.threshold,
        verdict=runner.verdict,
        device=runner.device,
        facts={
            "kind": "bundle",
            "target": contract.target,
            "precision": contract.precision,
            "spectral": contract.spectral,
            "artifact": contract.values["artifact"],
            "checkpoint": {key: contract.values["checkpoint"][key] for key in ("file", "sha256")},
        },
    )


def slide(predict: Predict, image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Probabilities C x H x W of a picture at its own resolution, from windows that overlap by half.

    Windows are weighed by a Gaussian, so that their middles count most; a picture smaller than one is padded with
    black. For networks trained on patches (vessels): stretching would thin out what they look for.

    Args:
        predict: probabilities C x size x size of a window size x size x 3.
        image: RGB, H x W x 3.
    """
    import torch
    from monai.inferers.utils import sliding_window_inference

    def window(values: torch.Tensor) -> torch.Tensor:
        pictures = values.numpy().astype(np.uint8).transpose(0, 2, 3, 1)
        return torch.from_numpy(np.stack([predict(np.ascontiguousarray(picture)) for picture in pictures]))

    planes = torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))
    found = sliding_window_inference(planes, (size, size), 1, window, overlap=0.5, mode="gaussian")
    assert isinstance(found, torch.Tensor)
    return found[0].numpy()


def augmented(predictor: Predictor) -> Predictor:
    """The same network, its probabilities averaged over the eight rotations and reflections of the fitted picture."""
    return replace(predictor, predict=lambda fitted: average_over_symmetries(predictor.predict, fitted))


def average_over_symmetries(predict: Predict, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean probabilities C x size x size over the symmetries of the square, each turned back before averaging."""
    views = [(turns, mirrored) for mirrored in (False, True) for turns in range(ROTATIONS)]
    total: NDArray[np.float64] | None = None  # double, so that eight equal answers average to exactly themselves
    for turns, mirrored in views:
        found = turn_back(predict(turn(fitted, turns, mirrored)), turns, mirrored).astype(np.float64)
        total = found if total is None else total + found
    assert total is not None
    return (total / len(views)).astype(np.float32)


def turn(picture: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """size x size x channels: quarter turns anticlockwise, then left and right exchanged."""
    turned = np.rot90(picture, turns, axes=(0, 1))
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def turn_back(planes: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """The inverse of `turn`, on C x size x size."""
    upright = planes[:, :, ::-1] if mirrored else planes
    return np.ascontiguousarray(np.rot90(upright, -turns, axes=(1, 2)))
