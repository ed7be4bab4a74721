"""What is compared: one contender is one way to run a network, described so that another process can open it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from s2m_edge.deploy.precision import DEFAULT_PRECISION, Precision, SpectralForm

Kind = Literal["eager", "compiled", "bundle", "matrix product"]
MemoryFormat = Literal["NCHW", "channels_last"]

S2M_NET = "S2M-Net"
PYTORCH = "pytorch"


@dataclass(frozen=True)
class Contender:
    """One way to run a network.

    Attributes:
        title: unique in a run.
        kind: what a worker opens.
        network: S2M-Net, or the name of another network.
        target: "pytorch", or the registry's name.
        precision: of the weights.
        spectral: the lowering of the spectral filter; None where there is none to choose.
        memory_format: of PyTorch's weights.
        source: the checkpoint, or the bundle's folder.
        size: input height and width in pixels.
    """

    title: str
    kind: Kind
    network: str
    target: str
    precision: Precision
    spectral: SpectralForm | None
    source: Path
    size: int
    memory_format: MemoryFormat = "NCHW"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "source": str(self.source)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contender:
        return cls(**{**values, "source": Path(values["source"])})


def pytorch_contenders(checkpoint: Path, size: int, compiled: bool) -> list[Contender]:
    """PyTorch eager in both memory formats, and compiled."""

    def make(title: str, kind: Kind, memory_format: MemoryFormat) -> Contender:
        return Contender(title, kind, S2M_NET, PYTORCH, DEFAULT_PRECISION, None, checkpoint, size, memory_format)

    found = [
        make("PyTorch eager, NCHW", "eager", "NCHW"),
        make("PyTorch eager, channels_last", "eager", "channels_last"),
    ]
    # Inductor's CPU code is the faster one on channels-last weights, by 15 % at 352 and more below.
    return [*found, make("PyTorch compiled, channels_last", "compiled", "channels_last")] if compiled else found


def matrix_product(checkpoint: Path) -> Contender:
    """The ceiling: a float32 matrix product (see ceiling.py). It reads no checkpoint."""
    return Contender("matrix product", "matrix product", "-", PYTORCH, DEFAULT_PRECISION, None, checkpoint, 0)


def bundle_title(target: str, precision: str, spectral: str | None) -> str:
    """For instance "openvino float32 matmul"; a network without a spectral filter has no lowering of it."""
    return " ".join(part for part in (target, precision, spectral) if part and part != "none")
