"""A teacher's layout. Imports no torch, so that recipes and files can be read cheaply."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.limits import LARGEST_SIDE, MOST_LABELS

Encoder = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]


@dataclass(frozen=True)
class TeacherConfig:
    """Everything that fixes a teacher's layout.

    Attributes:
        encoder: the EfficientNet-Lite.
        size: side of the pictures in pixels that it was trained at; it takes every multiple of 32.
        classes: output channels; 1 is binary (sigmoid), more a softmax with class 0 as background.
        decoder_channels: of the four decoder blocks, deepest first.
    """

    encoder: Encoder = "efficientnet-lite0"
    size: int = 352
    classes: int = 1
    decoder_channels: tuple[int, int, int, int] = (128, 64, 48, 32)

    def __post_init__(self) -> None:
        if self.encoder not in get_args(Encoder):
            raise ConfigurationError(f"there is no encoder {self.encoder!r}", f"Choose {', '.join(get_args(Encoder))}.")
        counts = (self.size, self.classes, *self.decoder_channels)
        whole = all(isinstance(count, int) and not isinstance(count, bool) and count > 0 for count in counts)
        if len(self.decoder_channels) != 4 or not whole:
            raise ConfigurationError(
                f"a teacher's size, classes and decoder_channels are {list(counts)}",
                "They are whole numbers; decoder_channels are four.",
            )
        if self.size > LARGEST_SIDE or self.classes > MOST_LABELS:
            raise ConfigurationError(
                f"a teacher has {self.classes} classes at {self.size} pixels",
                f"It may have {MOST_LABELS} at {LARGEST_SIDE}.",
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "decoder_channels": list(self.decoder_channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TeacherConfig:
        """The inverse of `to_dict`."""
        return cls(**{**values, "decoder_channels": tuple(values["decoder_channels"])})
