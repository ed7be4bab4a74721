"""The one exception family: every error a user can cause carries its cause, its remedy and an exit code."""

from __future__ import annotations

from collections.abc import Iterator

from s2m_edge.texts import printable


class S2MEdgeError(Exception):
    """A request that cannot be carried out.

    Args:
        cause: what is wrong, one sentence without a trailing full stop.
        remedy: what to do about it, naming the flag or the command.

    `str(error)` is one line without control characters: cause, then remedy. `exit_code` is what the command line
    returns (2: wrong request).
    """

    exit_code = 2

    def __init__(self, cause: str, remedy: str = "") -> None:
        self.cause = printable(" ".join(cause.split()))
        self.remedy = printable(" ".join(remedy.split()))
        super().__init__(f"{self.cause}. {self.remedy}".strip() if self.remedy else self.cause)


class ConfigurationError(S2MEdgeError):
    """A network or command option outside its range."""


class CheckpointError(S2MEdgeError):
    """A checkpoint that is missing, truncated, foreign, or belongs to another network."""


class ContractError(S2MEdgeError):
    """A bundle or contract that is missing, damaged, or from another version.

    Args:
        reason: why a bundle is refused, one word that every reader in every language gives alike; the words and a
            bundle for each are in apps/vectors/refusals.
    """

    def __init__(self, cause: str, remedy: str = "", reason: str = "damaged") -> None:
        super().__init__(cause, remedy)
        self.reason = reason


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


class InputError(S2MEdgeError):
    """A file of ours or of a library that is needed and cannot be read."""


class LoweringError(S2MEdgeError):
    """A backend failed while lowering, saving or reloading."""


class AnswerError(LoweringError):
    """An artifact failed on a picture: it raised, gave another shape, or something that is no number."""


class TrainingError(S2MEdgeError):
    """A training run that went astray: its loss is no number any more."""

    exit_code = 1


class ParityError(S2MEdgeError):
    """A parity gate was breached: the artifact does not compute what the network computes."""

    exit_code = 1


def in_one_line(error: BaseException) -> str:
    """What a stranger's exception says, in one line that begins with its kind: backends and users' code raise anything,
    with messages of any length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it, the outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__
