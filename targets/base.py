"""What every target is: an exporter that lowers, saves and never half-writes, and a runner that loads and predicts."""

from __future__ import annotations

import os
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from s2m_edge import interrupts
from s2m_edge.deploy.interface import ARTIFACT_STEM, TensorInterface, Verdict
from s2m_edge.deploy.precision import (
    DEFAULT_PRECISION,
    PRECISION_ROWS,
    SPECTRAL_LOWERINGS,
    Precision,
    SpectralLowering,
    require_fitting_precision,
)
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import AnswerError, ImageError, LoweringError, S2MEdgeError, causes, in_one_line
from s2m_edge.files import writing_failure
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.lean import lean_lowering
from s2m_edge.targets.registry import Target

if TYPE_CHECKING:
    from torch import Tensor, nn

UNSUPPORTED = re.compile(
    r"(?i)not (?:yet )?(?:supported|implemented|registered|found|in core aten)|unsupported|cannot convert|missing"
    r"|no (?:onnx function|decomposition|lowering|conversion|dispatch)"
)
OPERATORS = (re.compile(r"\b(?:aten|prims)(?:\.|::)(\w+)"), re.compile(r"(?i)unsupported (?:fx )?(?:node|op) (\w+)"))
"""How backends name an operator that they do not know, the surest first."""


@dataclass(frozen=True)
class LoweringRequest:
    """What to lower.

    Attributes:
        network: any network whose output is logits; float32, CPU, eval mode; exporters must not change it.
        spec: what it says of itself. Exporters that embed the preprocessing take it from here.
        precision: of the artifact.
        spectral: how spectral filters are lowered, where the network has any.
        metadata: short texts to store in the artifact where its format has a place (name, version, licence, notice).
    """

    network: nn.Module
    spec: NetworkSpec
    precision: Precision = DEFAULT_PRECISION
    spectral: SpectralLowering = SPECTRAL_LOWERINGS[0]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def preprocessing(self) -> Preprocessing:
        return self.spec.preprocessing

    @property
    def quantized(self) -> bool:
        """Whether the artifact computes in integers."""
        return PRECISION_ROWS[self.precision].quantized

    def example(self) -> Tensor:
        """An image 1 x channels x height x width in [0, 1), the same each time, for tracing."""
        return example_image(*self.spec.preprocessing.image_shape)


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

    def export(self, request: LoweringRequest, folder: Path) -> Path:
        """Check the backend and the capability, lower, save.

        Args:
            folder: an existing, private folder; the caller publishes it.

        Returns:
            The artifact's path, `folder`/s2mnet plus the target's suffix.

        Raises:
            MissingBackendError, CapabilityError: before anything heavy is imported.
            LoweringError: the backend failed.
            OSError: the artifact could not be written.
            KeyboardInterrupt: this command was asked to end, whatever the backend made of it.
        """
        self.target.require_backend()
        self.target.require_capability(request.precision, request.spectral)
        require_fitting_network(request)
        request = replace(request, network=contiguous_network(request.network))
        path = folder / f"{ARTIFACT_STEM}{self.target.suffix}"
        try:
            with lean_lowering():
                lowered = self.lower(request)
            interrupts.heed()
            self.save(lowered, path, request)
            interrupts.heed()
        except S2MEdgeError as error:
            interrupts.heed(error)
            raise
        except Exception as error:  # backends raise anything; the first line names the operator
            interrupts.heed(error)
            refused = writing_failure(error, folder, _size(request.network))
            raise refused or lowering_failure(self.target, error) from error
        return path


def _size(network: nn.Module) -> int:
    """Bytes of a network's parameters: what its artifact takes, about."""
    return sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())


def lowering_failure(target: Target, error: Exception) -> LoweringError:
    """A backend's exception as ours: the operator that it could not lower, where it names one."""
    operator = unsupported_operator("\n".join(str(cause) for cause in causes(error)))
    if operator is not None:
        return LoweringError(
            f"{target.title} cannot lower the operator {operator} of this network",
            "Replace it in the network, or choose another target: --target all tries all and keeps those that can.",
        )
    return LoweringError(
        f"{target.title} could not lower the network ({in_one_line(error)})",
        "Run s2m-edge doctor to compare the installed versions with the pinned ones.",
    )


def unsupported_operator(text: str) -> str | None:
    """The operator that a backend's message says it does not know, or None."""
    lines = [line for line in text.splitlines() if UNSUPPORTED.search(line)]
    for pattern in OPERATORS:
        for line in lines:
            found = pattern.search(line)
            if found is not None:
                return found.group(1)
    return None


def contiguous_network(network: nn.Module) -> nn.Module:
    """`network` itself, or a copy in NCHW where it was trained or timed in channels_last.

    The memory format of the weights belongs to the machine that trains. XNNPACK's passes refuse any but NCHW (1.5.1).
    """
    import copy

    import torch

    if all(parameter.is_contiguous() for parameter in network.parameters()):
        return network
    return copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def require_fitting_network(request: LoweringRequest) -> None:
    """Raise CapabilityError unless the network is quantized exactly if the precision is a quantized one."""
    from s2m_edge.network.fake_quantized import is_quantized

    require_fitting_precision(request.precision, is_quantized(request.network), "the network")


def example_image(channels: int, height: int, width: int) -> Tensor:
    """An image 1 x channels x height x width in [0, 1), the same each time."""
    import torch

    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(0))


_LOADING = threading.Lock()
"""Runtimes register kernels and size their threads for the whole process while they load, and must not meet there."""


class Runner(ABC):
    """Loads a saved artifact afresh and predicts. Subclasses give `load` and `_predict`.

    What `predict` promises, on every target:

    - Threads may share a runner, and each gets its own picture's answer. Where the runtime serves several calls at once
      (`parallel`) they are served at once; elsewhere they take turns.
    - An answer is the caller's own: no later call changes it.
    - A picture of another shape or type is refused. One that is read-only or not contiguous gets the same answer as its
      contiguous copy. Nobody may write to a picture while its call runs.
    - A call that fails raises one line, and leaves nothing behind for the next.
    - A runner belongs to the process that opened it, as the runtimes' threads do; other processes open their own.

    Runners may be opened by several threads too: they are loaded one after the other.

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
        parallel: whether several threads may be inside `_predict` at once.
    """

    parallel: ClassVar[bool] = False
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
        self._turn = nullcontext() if self.parallel else threading.Lock()
        self._process = os.getpid()
        try:
            with _LOADING:
                self.load()
        except S2MEdgeError:
            raise
        except Exception as error:
            interrupts.heed(error)
            raise LoweringError(f"{artifact} cannot be loaded ({in_one_line(error)})", "Export it again.") from error

    @classmethod
    @abstractmethod
    def import_backend(cls) -> None:
        """Import what `load` needs, so that a benchmark can tell the artifact's time and memory from the imports'."""

    @abstractmethod
    def load(self) -> None:
        """Open the artifact with the runtime."""

    @final
    def predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities outputs x height x width, float32, of a fitted picture height x width x channels, uint8.

        Raises:
            ImageError: the picture has another shape or type.
            AnswerError: the runtime failed.
            LoweringError: it was opened by another process.
        """
        picture = self._checked(fitted)
        with self._turn:
            try:
                # Copied before the next call can have its turn: some runtimes answer in a buffer that they use again.
                return np.array(self._predict(picture), dtype=np.float32, order="C")
            except S2MEdgeError:
                raise
            except Exception as error:  # runtimes raise anything
                raise AnswerError(
                    f"the artifact failed while running ({in_one_line(error)})", "Export it again."
                ) from error

    def _checked(self, fitted: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as every runtime takes it: contiguous and writable."""
        if os.getpid() != self._process:  # the runtime's threads did not come along, and a call would wait forever
            raise LoweringError(
                f"{self.artifact} was opened by another process", "Open the bundle in the process that predicts."
            )
        expected = self.preprocessing.fitted_shape
        if not isinstance(fitted, np.ndarray):
            raise ImageError(
                f"the picture is a {type(fitted).__name__}, not a numpy array", "Fit it with fit_to_network first."
            )
        if fitted.shape != expected or fitted.dtype != np.uint8:
            raise ImageError(
                f"the picture is {fitted.dtype} {fitted.shape}, not uint8 {expected}",
                "Fit it with fit_to_network first.",
            )
        return fitted if fitted.flags.c_contiguous and fitted.flags.writeable else fitted.copy()

    @abstractmethod
    def _predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities as the runtime gives them, in its own buffer if it likes, of a picture that `predict` checked.

        Where `parallel` is true, nothing in here may be shared by two calls, the buffer included.
        """

    def observations(self) -> dict[str, Any]:
        """Anything a report should add, as JSON values (for instance the float16 peak)."""
        return {}
