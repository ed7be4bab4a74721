"""Turning option texts into the registry's values, with errors that list the valid ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from s2m_edge.errors import CapabilityError
from s2m_edge.precision import PRECISIONS, SPECTRAL_LOWERINGS, Precision, SpectralLowering

if TYPE_CHECKING:
    from s2m_edge.targets.registry import Target

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
    parsed = [value for word in words if word != "all" and (value := parse(word)) is not None]
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
