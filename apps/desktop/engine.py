"""The network on a device of this machine: opened, tested on the golden inputs, measured, asked. Knows no window."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ParityError
from s2m_edge.imaging.preprocess import fit_to_network, mask_from_probabilities
from s2m_edge.imaging.resample import resample
from s2m_edge.reference import GOLDEN_FILE, probabilities, read_golden
from s2m_edge.targets.bundle import Bundle
from s2m_edge.targets.openvino.backend import import_openvino
from s2m_edge.targets.openvino.run import OpenVINORunner
from s2m_edge.targets.parity.compare import ImageParity, compare
from s2m_edge.targets.parity.gates import GATES, breaches
from s2m_edge.targets.parity.measure import predict_checked
from s2m_edge.train.data.volumes import read_picture

LATENCY_RUNS = 5


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
        return bool(self.images) and not self.breaches

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
        probabilities: classes x size x size, float32.
        height, width: of the picture.
        network_milliseconds: of the network alone.
        milliseconds: of fitting, network and resizing back; reading the file is not counted.
    """

    probabilities: NDArray[np.float32]
    height: int
    width: int
    network_milliseconds: float
    milliseconds: float

    def in_picture_size(self) -> NDArray[np.float32]:
        """Probabilities classes x height x width."""
        return resample(self.probabilities, self.height, self.width)


def list_devices() -> list[Device]:
    """The devices that OpenVINO finds here, and AUTO, which chooses among them."""
    core = import_openvino().Core()
    names = core.available_devices
    found = [Device(name, f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})") for name in names]
    return [*found, Device("AUTO", "AUTO (OpenVINO chooses)")]


def import_readers() -> None:
    """Load what reads pictures, which takes a while, before the first one is asked for."""
    for name in ("monai.data.image_reader", "nibabel", "pydicom"):
        import_module(name)


def labels_of(scaled: NDArray[np.float32], threshold: float) -> NDArray[np.uint8]:
    """Labels height x width of probabilities in the picture's size."""
    return mask_from_probabilities(scaled, threshold)


class Engine:
    """A bundle's network. One thread at a time may use it.

    Args:
        bundle: of the target openvino, its hashes checked.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.opened: Opened | None = None
        self._runner: OpenVINORunner | None = None

    def open(self, device: str) -> Opened:
        """Load the network on a device, run the golden inputs, and measure.

        Raises:
            ContractError: the golden inputs are missing or damaged.
            LoweringError: the device does not take the network.
        """
        opened, runner = self._try(device)
        self.opened, self._runner = opened, runner
        return opened

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
            edge = predict_checked(runner.predict, entry.image, reference.shape)
            milliseconds = (time.perf_counter() - began) * 1e3
            images.append(compare(entry.name, reference, edge, contract.threshold, milliseconds))
        for _ in range(LATENCY_RUNS):  # the runs above have warmed it up
            began = time.perf_counter()
            runner.predict(golden[0].image)
            times.append((time.perf_counter() - began) * 1e3)
        found = [breach for image in images for breach in breaches(GATES[contract.precision], image)]
        return Opened(device, runner.device, tuple(images), tuple(found), statistics.median(times)), runner

    def read(self, path: Path, slice_index: int) -> NDArray[np.uint8]:
        """The picture, RGB H x W x 3.

        Raises:
            ImageError: it cannot be read.
        """
        return read_picture(path, slice_index)

    def segment(self, image: NDArray[np.uint8]) -> Segmentation:
        """Ask the network.

        Args:
            image: RGB H x W x 3.

        Raises:
            ParityError: the self-test failed on this device, or was not run: no masks.
            LoweringError: the runtime failed.
        """
        if self._runner is None or self.opened is None or not self.opened.passed:
            raise ParityError(
                "the self-test failed on this device", "Choose another device, or export the bundle again."
            )
        contract = self.bundle.contract
        began = time.perf_counter()
        fitted = fit_to_network(image, contract.preprocessing)
        started = time.perf_counter()
        found = predict_checked(self._runner.predict, fitted, tuple(contract.values["output"]["shape"][1:]))
        network = time.perf_counter() - started
        height, width = image.shape[:2]
        resample(found, height, width)  # counted, as an app must do it before it can show a mask
        return Segmentation(found, height, width, network * 1e3, (time.perf_counter() - began) * 1e3)


def runner_class(device: str) -> type[OpenVINORunner]:
    """The OpenVINO runner on another device than the CPU."""

    class DeviceRunner(OpenVINORunner):
        plugin: ClassVar[str] = device

    return DeviceRunner
