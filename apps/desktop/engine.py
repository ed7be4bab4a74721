"""The network on a device of this machine: opened, tested on the golden inputs, measured, asked. Knows no window."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import GOLDEN_FILE, read_golden
from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.errors import ImageError, ParityError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.preprocess import fit_to_network, mask_from_probabilities, sliding
from s2m_edge.imaging.resample import resample
from s2m_edge.imaging.window import Progress
from s2m_edge.targets.answer import Predict, checked, shaped_answer
from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.gates import GATES, run_breaches
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.run import OpenVINORunner

if TYPE_CHECKING:
    from s2m_edge.apps.desktop.kept import Filed

LATENCY_RUNS = 5
LARGEST_KEPT = 2**26
"""Probabilities of one picture that are kept for its threshold: a quarter of a gigabyte."""


@dataclass(frozen=True)
class Device:
    """One device that OpenVINO lists.

    Attributes:
        name: OpenVINO's own ("CPU", "GPU.0", "NPU", "AUTO").
        title: for people.
    """

    name: str
    title: str


@dataclass(frozen=True)
class Opened:
    """A network on a device, tested.

    Attributes:
        description: device and precision of execution, for people.
        images: parity of each golden input.
        breaches: what of it is outside the gate, as sentences.
        milliseconds: median latency of one image.
    """

    device: str
    description: str
    images: tuple[ImageParity, ...]
    breaches: tuple[str, ...]
    milliseconds: float

    @property
    def passed(self) -> bool:
        return not self.breaches

    @property
    def error(self) -> float:
        """Largest probability error on the golden inputs; not a number where any is none."""
        return float(np.max([image.max_probability_error for image in self.images]))

    @property
    def agreement(self) -> float:
        return min(image.mask_agreement for image in self.images)


@dataclass(frozen=True)
class Segmentation:
    """What the network said of one picture.

    Attributes:
        probabilities: classes x the network's height x width, float32; of a network that slides, the picture's. They
            may lie in a file.
        height, width: of the picture.
        network_milliseconds: of the network alone.
        milliseconds: of fitting, network and resizing back; reading the file is not counted.
        guard: whether the picture is like the training's; None where the bundle does not know.
    """

    probabilities: NDArray[np.float32] | Filed
    height: int
    width: int
    network_milliseconds: float
    milliseconds: float
    guard: GuardVerdict | None = None

    def in_picture_size(self) -> NDArray[np.float32]:
        """Probabilities classes x height x width."""
        return resample(np.asarray(self.probabilities, np.float32), self.height, self.width)


def list_devices() -> list[Device]:
    """The devices that OpenVINO finds here, and AUTO, which chooses among them."""
    core = import_openvino().Core()
    names = core.available_devices
    found = [Device(name, f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})") for name in names]
    return [*found, Device("AUTO", "AUTO (OpenVINO chooses)")]


def import_readers() -> None:
    """Load what reads pictures, which takes a while, before the first one is asked for."""
    for name in ("nibabel", "pydicom"):
        import_module(name)


def labels_of(scaled: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Labels height x width of probabilities in the picture's size."""
    return mask_from_probabilities(scaled, threshold)


class Engine:
    """A bundle's network. Any threads may ask it (see `Runner`); one at a time may open it on another device.

    Args:
        bundle: of the target openvino, its hashes checked.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._loaded: tuple[Opened, OpenVINORunner] | None = None  # one, so that nobody sees a half of each

    @property
    def intensity(self) -> Intensity:
        """The network's rule for values of more than 8 bits."""
        return self.bundle.contract.preprocessing.intensity

    @property
    def opened(self) -> Opened | None:
        """The network as it was opened last."""
        return None if self._loaded is None else self._loaded[0]

    def open(self, device: str) -> Opened:
        """Load the network on a device, run the golden inputs, and measure.

        Raises:
            ContractError: the golden inputs are missing or damaged.
            LoweringError: the device does not take the network.
        """
        self._loaded = self._try(device)
        return self._loaded[0]

    def measure(self, device: str) -> Opened:
        """`open`, but the network stays on the device that it is on."""
        return self._try(device)[0]

    def _try(self, device: str) -> tuple[Opened, OpenVINORunner]:
        bundle, contract = self.bundle, self.bundle.contract
        golden, _ = read_golden(bundle.folder / GOLDEN_FILE)
        runner = runner_class(device)(
            bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, None
        )
        images: list[ImageParity] = []
        times: list[float] = []
        for entry in golden:
            reference = probabilities(entry.logits)
            began = time.perf_counter()
            edge = shaped_answer(runner.predict, entry.image, reference.shape)
            milliseconds = (time.perf_counter() - began) * 1e3
            images.append(compare(entry.name, reference, edge, contract.threshold, milliseconds))
        for _ in range(LATENCY_RUNS):  # the runs above have warmed it up
            began = time.perf_counter()
            runner.predict(golden[0].image)
            times.append((time.perf_counter() - began) * 1e3)
        found = run_breaches(GATES[contract.precision], images)
        return Opened(device, runner.device, tuple(images), tuple(found), statistics.median(times)), runner

    def segment(
        self,
        image: NDArray[np.uint8],
        name: str = "the picture",
        progress: Progress = lambda done, total: None,
    ) -> Segmentation:
        """Ask the network.

        Args:
            image: RGB H x W x 3.
            name: of the picture, for messages.
            progress: called with windows done and in all; what it raises stops the network.

        Raises:
            ParityError: the self-test failed on this device, or was not run: no masks.
            AnswerError: the runtime failed, or its answer is no number.
            ImageError: the network slides, and the picture is too large to keep every probability of.
        """
        loaded = self._loaded
        if loaded is None or not loaded[0].passed:
            raise ParityError(
                "the self-test failed on this device", "Choose another device, or export the bundle again."
            )
        contract, runner = self.bundle.contract, loaded[1]
        spent: list[float] = []

        def timed(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
            started = time.perf_counter()
            answer = runner.predict(fitted)
            spent.append(time.perf_counter() - started)
            return answer

        began = time.perf_counter()
        shape = tuple(contract.values["output"]["shape"][1:])
        height, width = image.shape[:2]
        predict = checked(timed, shape, name)
        fitted = fit_to_network(image, contract.preprocessing)
        if contract.preprocessing.window is not None:
            found = self._slide(predict, image, progress)
        else:
            found = predict(fitted)
            resample(found, height, width)  # counted, as an app must do it before it can show a mask
        milliseconds = (time.perf_counter() - began) * 1e3
        verdict = None if self.bundle.guard is None else self.bundle.guard.judge(fitted)
        return Segmentation(found, height, width, sum(spent) * 1e3, milliseconds, verdict)

    def _slide(self, predict: Predict, image: NDArray[np.uint8], progress: Progress) -> NDArray[np.float32]:
        """Probabilities of the whole picture: its threshold can be moved without asking the network again."""
        contract = self.bundle.contract
        size = contract.values["output"]["shape"][1], *image.shape[:2]
        if np.prod(size) > LARGEST_KEPT:
            raise ImageError(
                f"a picture of {image.shape[1]} x {image.shape[0]} pixels is too large for this window",
                "s2m-edge predict segments it in strips.",
            )
        found = np.empty(size, dtype=np.float32)
        for top, part in sliding(predict, image, contract.preprocessing, progress):
            found[:, top : top + part.shape[1]] = part
        return found


def runner_class(device: str) -> type[OpenVINORunner]:
    """The OpenVINO runner on another device than the CPU."""

    class DeviceRunner(OpenVINORunner):
        plugin: ClassVar[str] = device

    return DeviceRunner
