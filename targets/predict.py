"""Predicting with a bundle: image files in, masks in the original size out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import require_threshold
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.planes import Plane, find_plane
from s2m_edge.imaging.preprocess import fit_to_network, segment
from s2m_edge.imaging.read import picture_in_memory, read_image
from s2m_edge.imaging.window import Progress
from s2m_edge.notice import NOTICE
from s2m_edge.targets.answer import checked
from s2m_edge.targets.base import Runner
from s2m_edge.targets.opening import open_runner
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


@dataclass(frozen=True, repr=False)
class Prediction:
    """One image's result. Printed, it is one line of figures and the notice.

    Attributes:
        path: of the picture; None where it came from memory.
        image: RGB, H x W x 3, uint8.
        labels: H x W, uint8; 0 is background.
        areas: pixels per foreground class.
        windows: how often the network ran: once, or for each of its windows.
        network_milliseconds: of the network alone, in all windows, and of the wait for it where threads share it.
        milliseconds: of fitting, network and mask; decoding the file is not counted.
        guard: whether the picture is like those that the network was trained on; None where the bundle does not know.
        probabilities: what the labels were decided from, outputs x H x W, float32, in the picture's size; with several
            classes the background comes first. None where they were not to be kept.
    """

    path: Path | None
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    areas: dict[str, int]
    windows: int
    network_milliseconds: float
    milliseconds: float
    guard: GuardVerdict | None = None
    probabilities: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        height, width = self.labels.shape
        shares = ", ".join(f"{name} {area / (height * width):.1%} ({area} px)" for name, area in self.areas.items())
        likeness = "" if self.guard is None else "unusual picture, " if self.guard.unusual else "usual picture, "
        picture = "picture" if self.path is None else self.path.name
        text = (
            f"{picture}: {width} x {height}, {shares}, {likeness}network {self.network_milliseconds:.0f} ms. {NOTICE}"
        )
        return f"<{type(self).__name__} {printable(text)}>"

    def summary(self) -> dict[str, Any]:
        """JSON values without the pixels."""
        height, width = self.labels.shape
        return {
            "image": None if self.path is None else str(self.path),
            "width": width,
            "height": height,
            "area_pixels": self.areas,
            "area_fraction": {name: area / (height * width) for name, area in self.areas.items()},
            "windows": self.windows,
            "network_milliseconds": round(self.network_milliseconds, 2),
            "milliseconds": round(self.milliseconds, 2),
            "guard": None if self.guard is None else self.guard.to_dict(),
        }


def predict_image(
    bundle: Bundle,
    runner: Runner,
    path: Path,
    *,
    slice_index: int | None = None,
    plane: Plane = "axial",
    volume: int | None = None,
    threshold: float | None = None,
    progress: Progress = lambda done, total: None,
    probabilities: bool = False,
) -> Prediction:
    """Segment one image file exactly as the contract says.

    Args:
        slice_index: of a volume or a file with frames; which one otherwise, says `read_image`.
        plane: along which NIfTI volumes are cut.
        volume: which one of a series (4-D NIfTI).
        threshold: in [0, 1]; the contract's by default. Only for one class.
        progress: called with windows done and in all, where the network slides over the picture.
        probabilities: keep them, four bytes for each pixel and output; otherwise no more than a strip of a picture that
            the network slides over is ever held.

    Raises:
        ImageError, AnswerError: the image or the artifact cannot be read or run, or its answer is no number.
    """
    image = read_image(path, slice_index, bundle.contract.preprocessing.intensity, plane=plane, volume=volume)
    return predict_picture(
        bundle, runner, image, path, threshold=threshold, progress=progress, probabilities=probabilities
    )


def predict_picture(
    bundle: Bundle,
    runner: Runner,
    image: NDArray[np.uint8],
    path: Path | None = None,
    *,
    threshold: float | None = None,
    progress: Progress = lambda done, total: None,
    probabilities: bool = False,
) -> Prediction:
    """Segment a picture that is read already, RGB H x W x 3, exactly as the contract says.

    Args:
        path: where it is from.
        threshold, progress, probabilities: as `predict_image` takes them.
    """
    contract = bundle.contract
    spent: list[float] = []
    kept: list[NDArray[np.float32]] = []

    def timed(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        started = time.perf_counter()
        found = runner.predict(fitted)
        spent.append(time.perf_counter() - started)
        return found

    began = time.perf_counter()
    shape = tuple(contract.values["output"]["shape"][1:])
    predict = checked(timed, shape, "the picture" if path is None else path.name)
    chosen = contract.threshold if threshold is None else threshold
    keep = kept.append if probabilities else lambda strip: None
    labels = segment(predict, image, contract.preprocessing, chosen, progress, keep)
    seconds = time.perf_counter() - began
    areas = {entry.name: int((labels == index).sum()) for index, entry in enumerate(contract.classes, start=1)}
    verdict = None if bundle.guard is None else bundle.guard.judge(fit_to_network(image, contract.preprocessing))
    found = np.concatenate(kept, axis=1) if kept else None
    return Prediction(path, image, labels, areas, len(spent), sum(spent) * 1e3, seconds * 1e3, verdict, found)


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle with its artifact in its runtime. Threads may share it; what that means is said at `Runner`.

    Attributes:
        bundle: folder and contract.
        runner: the loaded artifact.
    """

    bundle: Bundle
    runner: Runner

    def predict(
        self,
        image: Path | str | NDArray[Any] | PillowImage,
        *,
        slice_index: int | None = None,
        plane: Plane = "axial",
        volume: int | None = None,
        threshold: float | None = None,
        probabilities: bool = True,
    ) -> Prediction:
        """Segment one picture in its own size, as `s2m-edge predict` does.

        Args:
            image: a file that `read_image` opens, or what `picture_in_memory` takes: a picture of Pillow, or an array
                H x W or H x W x 3.
            slice_index, plane, volume: of a file, as `read_image` takes them.
            threshold: in [0, 1]; the contract's by default. Only for one class.
            probabilities: keep them too; leave them out of very large pictures.

        Raises:
            ImageError, AnswerError: the image or the artifact cannot be read or run, or its answer is no number.
            ConfigurationError: no such plane, a threshold that is no probability or of several classes.

        Example:
            >>> prediction = load_bundle(bundle).predict(picture)
            >>> prediction.labels.shape == prediction.image.shape[:2] == prediction.probabilities.shape[1:]
            True
            >>> prediction.areas["polyp"] == int((prediction.labels == 1).sum())
            True
        """
        if threshold is not None:
            require_threshold(threshold, self.bundle.contract.values["output"]["shape"][1])
        if isinstance(image, str | Path):
            return predict_image(
                self.bundle,
                self.runner,
                Path(image),
                slice_index=slice_index,
                plane=find_plane(plane),
                volume=volume,
                threshold=threshold,
                probabilities=probabilities,
            )
        if (slice_index, plane, volume) != (None, "axial", None):
            raise ConfigurationError("a picture in memory has no slices", "Give the file's path, or leave them out.")
        pixels = picture_in_memory(image, self.bundle.contract.preprocessing.intensity)
        return predict_picture(self.bundle, self.runner, pixels, threshold=threshold, probabilities=probabilities)


def load_bundle(folder: Path | str, threads: int | None = None, *, proved: bool = True) -> LoadedBundle:
    """Open a bundle: its hashes are checked, its artifact is loaded.

    Args:
        threads: of the CPU, where the runtime lets one choose; its own default otherwise.
        proved: refuse a bundle that did not pass its parity gate; False is for research.

    Raises:
        ContractError: no bundle, one that is not proved, or a damaged one, its guard included.
        CapabilityError, MissingBackendError, LoweringError: its runtime is unknown, not installed, or refuses it.

    Example:
        >>> loaded = load_bundle(bundle)
        >>> [entry.name for entry in loaded.bundle.contract.classes]
        ['polyp']
    """
    bundle = open_bundle(Path(folder), proved=proved)
    _ = bundle.guard  # read now: a damaged one is the bundle's fault, not the first picture's
    return LoadedBundle(bundle, open_runner(bundle, threads))
