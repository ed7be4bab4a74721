"""What is evaluated: a checkpoint by PyTorch or a bundle by its edge runtime, behind one face."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities, require_threshold
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import reference_device, reference_logits
from s2m_edge.deploy.precision import DEFAULT_PRECISION
from s2m_edge.devices import full_float32
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.preprocess import Preprocessing, segment
from s2m_edge.imaging.window import Window
from s2m_edge.targets.answer import Predict, checked
from s2m_edge.targets.opening import open_runner, target_of

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

ROTATIONS = 4


@dataclass(frozen=True)
class Predictor:
    """A network, ready to run.

    Attributes:
        name: of the checkpoint file or the bundle folder.
        title: what runs, for a line.
        predict: probabilities C x height x width, float32, of a fitted picture height x width x channels, uint8.
        channels: C, the network's classes with the background if there is one.
        classes: the foreground classes.
        preprocessing, threshold: the contract's.
        verdict: "reference", or what running the artifact proves.
        device: what it runs on.
        facts: JSON values for reports: kind, precision, hashes.
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

    @property
    def windowed(self) -> bool:
        """Whether it slides over pictures at their own resolution; otherwise they are stretched to it."""
        return self.preprocessing.window is not None

    def with_window(self, windowed: bool) -> Predictor:
        """The same network, sliding over pictures or not, whatever it says of itself."""
        window = (self.preprocessing.window or Window()) if windowed else None
        return replace(self, preprocessing=replace(self.preprocessing, window=window))

    def with_threshold(self, threshold: float) -> Predictor:
        """The same network with another threshold. Raises ConfigurationError as `require_threshold` does."""
        require_threshold(threshold, self.channels)
        return replace(self, threshold=threshold)

    def segment(self, image: NDArray[np.uint8], name: str = "the picture") -> NDArray[np.uint8]:
        """Labels H x W of an RGB picture H x W x 3, as the contract says.

        Raises:
            AnswerError: the network failed, or its answer is no number.
        """
        shape = (self.channels, self.preprocessing.height, self.preprocessing.width)
        return segment(checked(self.predict, shape, name), image, self.preprocessing, self.threshold)


def network_predictor(
    network: nn.Module, spec: NetworkSpec, threads: int | None = None, device: str = "cpu"
) -> Predictor:
    """A network in PyTorch, in float32 (without TF32) on the CPU or a GPU.

    Args:
        network: it is moved to `device`.
        spec: what it says of itself.
        threads: of PyTorch, for the whole process; its own default otherwise.
        device: of `choose_device`.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    preprocessing, network = spec.preprocessing, network.to(device)

    def predict(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        with full_float32():
            return probabilities(reference_logits(network, fitted, preprocessing))

    return Predictor(
        name=Path(spec.file).stem or spec.name,
        title="checkpoint",
        predict=predict,
        channels=spec.outputs,
        classes=spec.classes,
        preprocessing=preprocessing,
        threshold=spec.threshold,
        verdict="reference",
        device=reference_device(device),
        facts={
            "kind": "checkpoint",
            "precision": DEFAULT_PRECISION,
            "checkpoint": {"file": spec.file, "sha256": spec.sha256},
            "weights_sha256": spec.weights_sha256,
        },
    )


def bundle_predictor(bundle: Bundle, threads: int | None = None) -> Predictor:
    """A bundle's artifact in its edge runtime.

    Raises:
        MissingBackendError, LoweringError: the runtime is not installed, or does not load the artifact.
    """
    runner, contract = open_runner(bundle, threads), bundle.contract
    return Predictor(
        name=bundle.folder.resolve().name,
        title=f"{target_of(bundle).title}, {contract.precision}",
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
            "files": contract.files,
            "weights_sha256": contract.weights_sha256,
            "checkpoint": {key: contract.values["checkpoint"][key] for key in ("file", "sha256")},
        },
    )


def augmented(predictor: Predictor) -> Predictor:
    """The same network, its probabilities averaged over the rotations and reflections of the fitted picture."""
    return replace(predictor, predict=lambda fitted: average_over_symmetries(predictor.predict, fitted))


def average_over_symmetries(predict: Predict, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean probabilities C x height x width over the picture's symmetries, each turned back before averaging: the eight
    of a square, or the four that leave a rectangle's sides where they are."""
    step = 1 if fitted.shape[0] == fitted.shape[1] else 2
    views = [(turns, mirrored) for mirrored in (False, True) for turns in range(0, ROTATIONS, step)]
    total: NDArray[np.float64] | None = None  # double, so that eight equal answers average to exactly themselves
    for turns, mirrored in views:
        found = turn_back(predict(turn(fitted, turns, mirrored)), turns, mirrored).astype(np.float64)
        total = found if total is None else total + found
    assert total is not None
    return (total / len(views)).astype(np.float32)


def turn(picture: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """height x width x channels: quarter turns anticlockwise, then left and right exchanged."""
    turned = np.rot90(picture, turns, axes=(0, 1))
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)


def turn_back(planes: NDArray[Any], turns: int, mirrored: bool) -> NDArray[Any]:
    """The inverse of `turn`, on C x height x width."""
    upright = planes[:, :, ::-1] if mirrored else planes
    return np.ascontiguousarray(np.rot90(upright, -turns, axes=(1, 2)))
