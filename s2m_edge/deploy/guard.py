"""The input guard: what the pictures looked like that a network was trained on, and how unlike them a picture is.

A network answers whatever it is shown. The guard is a Gaussian over the descriptors of the training pictures; its score
is a picture's Mahalanobis distance, and its threshold the score that one in twenty pictures of the validation split
exceeds. It warns and never blocks: it knows the kind of picture, and nothing of whether the network's answer is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.golden import in_order
from s2m_edge.errors import ConfigurationError, ContractError
from s2m_edge.files import write_bytes
from s2m_edge.imaging.descriptor import DESCRIPTOR, describe, descriptor_length

GUARD_FILE = "guard.safetensors"
FORMAT = "s2m-edge-guard"
FORMAT_VERSION = 1
FALSE_ALARMS = 0.05
NORMAL_95 = 1.6449
"""The normal distribution's quantile of 0.95: of the rate (1 - FALSE_ALARMS), and of the confidence in it."""
FEWEST_PICTURES = 8
MOST_DIRECTIONS = 32
PICTURES_PER_DIRECTION = 8
FOLDS = 4
NARROWEST = 0.02
"""Five levels: a standard deviation below says that the training pictures happened to be alike, not that all must."""
REMEDY = "Make it again with s2m-edge guard."


@dataclass(frozen=True)
class Guard:
    """A Gaussian of low rank over descriptors: x = (descriptor - mean) / scale varies by `deviations` along
    `directions`, and by `residual` along everything else.

    Attributes:
        channels: of the fitted pictures, 1 or 3.
        mean, scale: D numbers each, float32.
        directions: K x D, orthonormal rows, float32.
        deviations: K, positive, float32.
        residual: one standard deviation, positive.
        threshold: the largest score that is usual.
        provenance: what it was made from: dataset, domain, how many pictures (texts).
    """

    channels: int
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    directions: NDArray[np.float32]
    deviations: NDArray[np.float32]
    residual: float
    threshold: float
    provenance: dict[str, str] = field(default_factory=dict)

    def score(self, fitted: NDArray[np.uint8]) -> float:
        """How unlike the training pictures a fitted picture is, height x width x channels."""
        return float(self.scores(describe(fitted)[None])[0])

    def scores(self, descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Mahalanobis distance of each descriptor, N x D."""
        centred = (descriptors - self.mean) / self.scale
        along = centred @ self.directions.T.astype(np.float64)
        left = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
        return np.sqrt(((along / self.deviations) ** 2).sum(axis=1) + left / self.residual**2)

    def judge(self, fitted: NDArray[np.uint8]) -> GuardVerdict:
        """The verdict on a fitted picture."""
        return GuardVerdict(self.score(fitted), self.threshold)


@dataclass(frozen=True)
class GuardVerdict:
    """How unlike the training pictures a picture is: its score, and the largest usual one."""

    score: float
    threshold: float

    @property
    def unusual(self) -> bool:
        return self.score > self.threshold

    @property
    def warning(self) -> str:
        """One sentence for people; empty of a usual picture."""
        if not self.unusual:
            return ""
        return (
            "looks unlike the pictures this network was trained on "
            f"(score {self.score:.1f}, usual up to {self.threshold:.1f}); the mask may mean nothing"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"score": round(self.score, 3), "threshold": round(self.threshold, 3), "unusual": self.unusual}


def fit_guard(
    training: NDArray[np.float64],
    validation: NDArray[np.float64],
    channels: int,
    provenance: Mapping[str, str] | None = None,
) -> Guard:
    """A guard of descriptors, N x D each. The validation pictures set the threshold, and nothing else.

    Where they are too few to show a rate of one in twenty, the training pictures help: each is scored by a Gaussian of
    the others, a quarter of them left out at a time (the quarters are runs of neighbours, which often are one patient),
    and the threshold is a bound on the rate that so few scores still allow.

    Raises:
        ConfigurationError: too few training pictures.
    """
    if len(training) < FEWEST_PICTURES:
        raise ConfigurationError(
            f"{len(training)} training pictures are too few for a guard", f"Give at least {FEWEST_PICTURES}."
        )
    gaussian = _fit(training, channels)
    held_out = gaussian.scores(validation) if len(validation) else np.zeros(0)
    if len(held_out) >= round(1 / FALSE_ALARMS):
        threshold = _quantile(held_out)
    else:
        folds = np.array_split(np.arange(len(training)), FOLDS)
        left_out = [_fit(np.delete(training, fold, axis=0), channels).scores(training[fold]) for fold in folds]
        threshold = _bound(np.concatenate([held_out, *left_out]))
    counted = {
        "training_pictures": str(len(training)),
        "validation_pictures": str(len(validation)),
        "false_alarms": str(FALSE_ALARMS),
    }
    return Guard(
        channels,
        gaussian.mean,
        gaussian.scale,
        gaussian.directions,
        gaussian.deviations,
        gaussian.residual,
        float(np.float32(threshold)),
        {**(provenance or {}), **counted},
    )


def _quantile(scores: NDArray[np.float64]) -> float:
    """The score that a further picture of the kind exceeds with a probability of FALSE_ALARMS: of n scores, the
    ceil((n + 1)(1 - p))-th smallest."""
    rank = math.ceil((len(scores) + 1) * (1 - FALSE_ALARMS))
    return float(np.sort(scores)[min(rank, len(scores)) - 1])


def _bound(scores: NDArray[np.float64]) -> float:
    """The score that, with a confidence of 95 %, no more than FALSE_ALARMS of further pictures exceed: the one-sided
    tolerance bound of a normal distribution of log scores (Natrella's approximation)."""
    logs, count = np.log(np.maximum(scores, NARROWEST)), len(scores)
    a = 1.0 - NORMAL_95**2 / (2 * (count - 1))
    b = NORMAL_95**2 * (1.0 - 1.0 / count)
    factor = (NORMAL_95 + math.sqrt(NORMAL_95**2 - a * b)) / a
    return float(np.exp(logs.mean() + factor * logs.std(ddof=1)))


def _fit(descriptors: NDArray[np.float64], channels: int) -> Guard:
    """The Gaussian alone; its threshold is none yet."""
    count, length = descriptors.shape
    mean = descriptors.mean(axis=0)
    scale = np.maximum(descriptors.std(axis=0, ddof=1), NARROWEST)
    _, singular, right = np.linalg.svd((descriptors - mean) / scale, full_matrices=False)
    variances = singular**2 / (count - 1)
    kept = min(MOST_DIRECTIONS, count // PICTURES_PER_DIRECTION, length // 2)
    # What is left over all other directions, those included that so few pictures cannot span.
    residual = math.sqrt(max(float(variances[kept:].sum()) / (length - kept), NARROWEST**2))
    deviations = np.maximum(np.sqrt(variances[:kept]), residual)
    return Guard(
        channels,
        mean.astype(np.float32),
        scale.astype(np.float32),
        right[:kept].astype(np.float32),
        deviations.astype(np.float32),
        float(np.float32(residual)),
        math.inf,
    )


def write_guard(path: Path, guard: Guard) -> None:
    """`guard.safetensors`: mean, scale, directions, deviations and residual as float32; all else as metadata.

    Raises:
        OutputError: the place cannot be written.
    """
    from safetensors.numpy import save

    tensors = {
        "mean": guard.mean,
        "scale": guard.scale,
        "directions": np.ascontiguousarray(guard.directions),
        "deviations": guard.deviations,
        "residual": np.array([guard.residual], np.float32),
    }
    metadata = {
        **guard.provenance,
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "descriptor": DESCRIPTOR,
        "channels": str(guard.channels),
        "threshold": repr(guard.threshold),
    }
    write_bytes(path, in_order(save(tensors, metadata=metadata)))


def read_guard(path: Path) -> Guard:
    """What `write_guard` wrote.

    Raises:
        ContractError: missing, damaged, of another kind, or from a newer version.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ContractError(f"there is no guard {path}", "Make one with s2m-edge guard.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise ContractError(f"{path} is no readable safetensors file ({error})", REMEDY) from None
    _require_known(path, metadata)
    try:
        channels, threshold = int(metadata["channels"]), float(metadata["threshold"])
    except (KeyError, ValueError):
        raise ContractError(f"{path} is damaged (its metadata lacks channels or threshold)", REMEDY) from None
    _require_sound(path, tensors, channels, threshold)
    own = {"format", "format_version", "descriptor", "channels", "threshold"}
    return Guard(
        channels,
        tensors["mean"],
        tensors["scale"],
        tensors["directions"],
        tensors["deviations"],
        float(tensors["residual"][0]),
        threshold,
        {key: value for key, value in metadata.items() if key not in own},
    )


def _require_known(path: Path, metadata: Mapping[str, str]) -> None:
    if metadata.get("format") != FORMAT:
        raise ContractError(f"{path} is a safetensors file, but no guard", "Give one written by s2m-edge guard.")
    version = metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        raise ContractError(
            f"{path} has the guard format {version!r}, and this s2m-edge reads {FORMAT_VERSION}",
            "Update s2m-edge, or make it again with s2m-edge guard.",
        )
    if metadata.get("descriptor") != DESCRIPTOR:
        raise ContractError(
            f"{path} is about the descriptor {metadata.get('descriptor')!r}, and this s2m-edge computes {DESCRIPTOR}",
            "Update s2m-edge, or make it again with s2m-edge guard.",
        )


def _require_sound(path: Path, tensors: Mapping[str, NDArray[Any]], channels: int, threshold: float) -> None:
    def damaged(why: str) -> ContractError:
        return ContractError(f"{path} is damaged ({why})", REMEDY)

    if channels not in (1, 3):
        raise damaged(f"{channels} channels")
    length = descriptor_length(channels)
    directions = tensors.get("directions")
    kept = len(directions) if directions is not None and directions.ndim == 2 else -1
    shapes = {
        "mean": (length,),
        "scale": (length,),
        "directions": (kept, length),
        "deviations": (kept,),
        "residual": (1,),
    }
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if tensor is None:
            raise damaged(f"it lacks {name}")
        if tensor.shape != shape or tensor.dtype != np.float32:
            raise damaged(f"{name} is {tensor.dtype} {tensor.shape}")
        if not np.isfinite(tensor).all():
            raise damaged(f"{name} is not finite")
        if name in ("scale", "deviations", "residual") and not (tensor > 0).all():
            raise damaged(f"{name} is not positive")
    if not (math.isfinite(threshold) and threshold > 0):
        raise damaged(f"the threshold is {threshold}")


def bundle_guard(folder: Path) -> Guard | None:
    """The guard of a bundle, None where it has none.

    Raises:
        ContractError: it has a damaged one, or one that is not for its pictures.
    """
    path = folder / GUARD_FILE
    return read_guard(path) if path.is_file() else None


def require_guard_fits(guard: Guard, channels: int, name: str = "the guard") -> None:
    """Raise ContractError unless a guard is about pictures with these channels."""
    if guard.channels != channels:
        raise ContractError(
            f"{name} is about pictures of {guard.channels} channels, and the network takes {channels}",
            "Make one from the data that this network was trained on, with s2m-edge guard.",
        )
