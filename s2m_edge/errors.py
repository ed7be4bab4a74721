"""The one exception family: every error a user can cause carries its cause, its remedy and an exit code."""

from __future__ import annotations


class S2MEdgeError(Exception):
    """A request that cannot be carried out.

    Args:
        cause: what is wrong, one sentence without a trailing full stop.
        remedy: what to do about it, naming the flag or the command.

    `str(error)` is one line: cause, then remedy. `exit_code` is what the command line returns (2: wrong request).
    """

    exit_code = 2

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = " ".join(cause.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.cause}. {self.remedy}".strip() if self.remedy else self.cause)


class ConfigurationError(S2MEdgeError):
    """A network or command option outside its range."""


class CheckpointError(S2MEdgeError):
    """A checkpoint that is missing, truncated, foreign, or belongs to another network."""


class ContractError(S2MEdgeError):
    """A bundle or contract that is missing, damaged, or from a newer version."""


class ImageError(S2MEdgeError):
    """An image or image folder that cannot be read or used."""


class CapabilityError(S2MEdgeError):
    """A target, precision or spectral lowering that does not exist, or does not exist yet."""


class MissingBackendError(S2MEdgeError):
    """A backend package that is not installed."""


class NativeBuildError(S2MEdgeError):
    """A native kernel that cannot be built here."""


class OutputError(S2MEdgeError):
    """An output place that cannot be written."""


class LoweringError(S2MEdgeError):
    """A backend failed while lowering, saving or reloading."""


class TrainingError(S2MEdgeError):
    """A training run that went astray: its loss is no number any more."""

    exit_code = 1


class ParityError(S2MEdgeError):
    """A parity gate was breached: the artifact does not compute what the network computes."""

    exit_code = 1
