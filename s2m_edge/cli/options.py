"""Turning option texts into the registry's values, with errors that list the valid ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from s2m_edge.bundled import FLOAT_NAMES
from s2m_edge.deploy.precision import PRECISION_ROWS, PRECISIONS, SPECTRAL_LOWERINGS, Precision, SpectralLowering
from s2m_edge.errors import CapabilityError
from s2m_edge.targets.registry import TARGETS, target_names
from s2m_edge.train.data.presets import PRESETS

if TYPE_CHECKING:
    from s2m_edge.targets.registry import Target

TARGET_HELP = f"{', '.join(target_names())}, or all; several as -t {','.join(target_names()[:2])}, or repeated."
BUNDLED = ", ".join(FLOAT_NAMES)
PRESET_HELP = f"Layout of a published data set: {', '.join(preset.name for preset in PRESETS)}."
PRECISION_HELP = "; ".join(
    f"{row.name}: {row.storage} ({', '.join(target.name for target in TARGETS if row.name in target.precisions)})"
    for row in PRECISION_ROWS.values()
)
SPECTRAL_HELP = "matmul (constant matrices) or custom (one op); the target's default if left out."


def precisions_of(*targets: str) -> str:
    """The precisions that any of these targets has, for a help text."""
    known = [target.precisions for target in TARGETS if target.name in targets]
    return ", ".join(name for name in PRECISIONS if any(name in has for has in known))


def _allow_pixels(count: int | None) -> int | None:
    from s2m_edge.imaging.limits import allow_pixels

    return allow_pixels(count)


MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="Largest picture that is read, in pixels; 134217728 by default.",
        callback=_allow_pixels,
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else, on stdout.")]
LabelsOption = Annotated[
    str | None,
    typer.Option(
        "--labels",
        help='What masks hold, if not plain labels: "#00ff00=1,#ff0000=2" of colours, "10=1,20=2" of values.',
        show_default=False,
    ),
]


def finite(value: float | None) -> float | None:
    """The callback of every option that is a number: `nan` passes any comparison, and `inf` is no share and no rate."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


Name = TypeVar("Name", bound=str)


def parse_targets(names: list[str] | None) -> list[Target]:
    """Registry rows of `--target`: several, comma-separated or repeated, or `all`; each once, in the given order."""
    from s2m_edge.targets.registry import TARGETS, find_target, target_names

    split = [name.strip() for text in names or [] for name in text.split(",") if name.strip()]
    if not split:
        raise CapabilityError("no target was given", f"Choose --target {', '.join(target_names())} or all.")
    if "all" in split:
        return [target for target in TARGETS if target.exists_here()]
    return [find_target(name) for name in dict.fromkeys(split)]


def parse_each(texts: list[str] | None, names: Sequence[Name], parse: Callable[[str], Name | None]) -> list[Name]:
    """The values of an option that is given several times or with commas, or is `all`; each once, in order.

    Args:
        names: all of them.
        parse: of one.
    """
    words = [word.strip() for text in texts or [] for word in text.split(",") if word.strip()]
    try:
        parsed = [value for word in words if word != "all" and (value := parse(word)) is not None]
    except CapabilityError as error:
        raise CapabilityError(error.cause, f"{error.remedy.rstrip('.')}, or all.") from None
    return list(names) if "all" in words else list(dict.fromkeys(parsed))


def parse_precision(text: str) -> Precision:
    """`--precision`."""
    for precision in PRECISIONS:
        if text == precision:
            return precision
    raise CapabilityError(f"there is no precision {text!r}", f"Choose --precision {' or '.join(PRECISIONS)}.")


def parse_spectral(text: str | None) -> SpectralLowering | None:
    """`--spectral`; None where it was left out."""
    if text is None:
        return None
    for lowering in SPECTRAL_LOWERINGS:
        if text == lowering:
            return lowering
    raise CapabilityError(
        f"there is no spectral lowering {text!r}", f"Choose --spectral {' or '.join(SPECTRAL_LOWERINGS)}."
    )
