"""What every target is: an exporter that lowers, saves and never half-writes, and a runner that loads and predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from s2m_edge.contract import SegmentClass
from s2m_edge.errors import CapabilityError, LoweringError, S2MEdgeError
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.precision import Precision, SpectralLowering
from s2m_edge.targets.registry import Target

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.model import S2MNet

ARTIFACT_STEM = "s2mnet"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"

Verdict = Literal["executed", "artifact parity", "converted, not executed"]


@dataclass(frozen=True)
class LoweringRequest:
    """What to lower.

    Attributes:
        model: the network, float32, CPU, eval mode; exporters must not change it.
        precision: of the artifact.
        spectral: how the spectral filter is lowered.
        preprocessing: the contract's; exporters that embed it take scale, mean and standard deviation from here.
        metadata: short texts to store in the artifact where its format has a place (name, version, licence, notice).
        classes: the foreground classes, for formats that can name and colour them.
    """

    model: S2MNet
    precision: Precision
    spectral: SpectralLowering
    preprocessing: Preprocessing
    metadata: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[SegmentClass, ...] = ()


@dataclass(frozen=True)
class TensorInterface:
    """How to feed the artifact.

    Attributes:
        input_dtype: "uint8" where scale, mean and standard deviation are inside the artifact (the input is then the
            fitted picture), "float32" where the caller normalises.
        layout: axis order of the input; "image" for a Core ML image input (an RGB picture of the network's size).
        input_name, output_name: of the artifact's tensors. The output is probabilities, 1 x classes x size x size.
    """

    input_dtype: Literal["uint8", "float32"]
    layout: Literal["NCHW", "NHWC", "image"]
    input_name: str = INPUT_NAME
    output_name: str = OUTPUT_NAME


class Exporter(ABC):
    """Lowers a network to one target. Subclasses give `interface`, `lower` and `save`.

    Args:
        target: the registry's row.
    """

    interface: ClassVar[TensorInterface]

    def __init__(self, target: Target) -> None:
        self.target = target

    @abstractmethod
    def lower(self, request: LoweringRequest) -> Any:
        """The backend's own representation of the network; its output is probabilities."""

    @abstractmethod
    def save(self, lowered: Any, path: Path, request: LoweringRequest) -> None:
        """Write what `lower` returned to `path` (plus siblings with the same stem where the format needs them)."""

    def lower_network(self, network: nn.Module, request: LoweringRequest) -> Any:
        """The part of `lower` that knows nothing of S2M-Net: what `save` takes, of any network of the request's size.

        Args:
            network: gives logits B x classes x size x size of a normalised image; eval mode.
            request: all but its model and its spectral lowering is read.

        Raises:
            CapabilityError: this target has no such part.
        """
        raise CapabilityError(f"the target {self.target.name} lowers S2M-Net only", "Choose another --target.")

    def export(self, request: LoweringRequest, folder: Path) -> Path:
        """Check the backend and the capability, lower, save.

        Args:
            folder: an existing, private folder; the caller publishes it.

        Returns:
            The artifact's path, `folder`/s2mnet plus the target's suffix.

        Raises:
            MissingBackendError, CapabilityError: before anything heavy is imported.
            LoweringError: the backend failed.
        """
        self.target.require_backend()
        self.target.require_capability(request.precision, request.spectral)
        require_fitting_network(request)
        request = replace(request, model=contiguous_network(request.model))
        return self._write(lambda: self.lower(request), request, folder)

    def export_network(self, network: nn.Module, request: LoweringRequest, folder: Path) -> Path:
        """`export` for a network other than S2M-Net, see `lower_network`: without rewrites and without parity."""
        self.target.require_backend()
        return self._write(lambda: self.lower_network(network, request), request, folder)

    def _write(self, lower: Callable[[], Any], request: LoweringRequest, folder: Path) -> Path:
        path = folder / f"{ARTIFACT_STEM}{self.target.suffix}"
        try:
            self.save(lower(), path, request)
        except (S2MEdgeError, OSError):
            raise
        except Exception as error:  # backends raise anything; the first line names the operator
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise LoweringError(
                f"{self.target.title} could not lower the network ({type(error).__name__}: {reason})",
                "Run s2m-edge doctor to compare the installed versions with the pinned ones.",
            ) from error
        return path


def contiguous_network(model: S2MNet) -> S2MNet:
    """`model` itself, or a copy in NCHW where it was trained or timed in channels_last.

    The memory format of the weights belongs to the machine that trains. XNNPACK's passes refuse any but NCHW (1.5.1).
    """
    import copy

    import torch

    if all(parameter.is_contiguous() for parameter in model.parameters()):
        return model
    return copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def require_fitting_network(request: LoweringRequest) -> None:
    """Raise CapabilityError unless the network is quantized exactly if the precision is int8."""
    from s2m_edge.quantized import is_quantized

    require_fitting_precision(request.precision, is_quantized(request.model), "the network")


def require_fitting_precision(precision: Precision, quantized: bool, name: str) -> None:
    """Raise CapabilityError unless a checkpoint or network called `name` can be lowered in a precision."""
    if precision == "int8" and not quantized:
        raise CapabilityError(
            f"{name} is a float network, and --precision int8 lowers a quantized one",
            "Make one with s2m-edge quantize, or name a bundled one: --checkpoint polyp-int8.",
        )
    if precision != "int8" and quantized:
        raise CapabilityError(f"{name} is quantized", "Export it with --precision int8.")


class Runner(ABC):
    """Loads a saved artifact afresh and predicts. Subclasses give `load` and `predict`.

    Args:
        artifact: the saved artifact.
        interface: how it is fed.
        preprocessing: the contract's.
        precision: of the artifact.
        threads: CPU threads where the runtime lets one choose; its own default otherwise.

    Attributes:
        verdict: what running it proves.
        remark: what the figures are of, where they are not the artifact's own.
        device: what it ran on, for reports.
    """

    verdict: Verdict = "executed"
    remark: str = ""
    device: str = "cpu"

    def __init__(
        self,
        artifact: Path,
        interface: TensorInterface,
        preprocessing: Preprocessing,
        precision: Precision,
        threads: int | None = None,
    ) -> None:
        self.artifact, self.interface, self.preprocessing = artifact, interface, preprocessing
        self.precision, self.threads = precision, threads
        try:
            self.load()
        except S2MEdgeError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise LoweringError(
                f"{artifact} cannot be loaded ({type(error).__name__}: {reason})", "Export it again."
            ) from error

    @classmethod
    @abstractmethod
    def import_backend(cls) -> None:
        """Import what `load` needs, so that a benchmark can tell the artifact's time and memory from the imports'."""

    @abstractmethod
    def load(self) -> None:
        """Open the artifact with the runtime."""

    @abstractmethod
    def predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities classes x size x size, float32, of a fitted picture size x size x channels, uint8."""

    def observations(self) -> dict[str, Any]:
        """Anything a report should add, as JSON values (for instance the float16 peak)."""
        return {}
