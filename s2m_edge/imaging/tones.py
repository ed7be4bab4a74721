"""What the stored tones and colours of a mask stand for; arrays in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError

LUMA = (299, 587, 114)  # ITU-R BT.601, in thousandths
ALIKE = 16
"""Of 255: channels of a lossy file that differ by no more are one grey."""
BLACK_TO, WHITE_FROM = 32, 128
"""Greys up to the first are off beside a colour; two greys are off and on where one lies below the second."""
MANY_TONES = 32
"""A palette that uses more greys is a grey picture, not numbered labels."""
HALF = 128
NOISE = 96
"""Of a lossy file, colours that differ by no more are named as one."""
NAMED = 4


def palette_values(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The values of a mask with a palette.

    Two greys, off and on, are read by what they show, and so is one grey, and so are more than 32 that reach from off
    to on. Black beside one colour is 0 whatever its number. In every other palette the numbers are the labels.

    Args:
        indices: H x W.
        palette: 256 x 3.
    """
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    shown = np.unique(palette[used], axis=0).astype(int)
    luma = _luma(palette)
    tones = np.unique(luma[used]).tolist()
    grey = bool((np.ptp(shown, axis=1) <= ALIKE).all())
    off, on = tones[0] < WHITE_FROM, tones[-1] >= WHITE_FROM
    if grey and ((len(tones) == 1 and (on or tones[0] <= BLACK_TO)) or (len(tones) == 2 and off and on)):
        return luma[indices]
    if grey and len(shown) > MANY_TONES and tones[0] <= BLACK_TO and on:
        return luma[indices]
    black = used[palette[used].max(axis=1) <= BLACK_TO]
    if len(shown) == 2 and not grey and len(black) and black[0] != 0:
        return np.where(np.isin(indices, black), 0, 255).astype(np.uint8)
    return indices


def is_one_colour(colours: NDArray[np.uint8]) -> bool:
    """Whether all pixels, H x W x 3, are alike."""
    return bool((colours == colours[:1, :1]).all())


def require_hidden_background(values: NDArray[np.uint8], alpha: NDArray[np.uint8], path: Path) -> None:
    """Raise ImageError where transparent pixels are foreground by their colour, unless all are transparent alike: which
    of both is the mask cannot be told."""
    if alpha.min() == alpha.max():
        return
    hidden = values[alpha == 0]
    if hidden.size and hidden.max() > (127 if values.max() > 127 else 0):  # as masks of one class are read
        raise ImageError(
            f"{path} is transparent where its colours show foreground: which of both is the mask cannot be told",
            "Save it without transparency.",
        )


def one_channel(colours: NDArray[np.uint8], path: Path, lossy: bool = False) -> NDArray[np.uint8]:
    """The grey of a mask that is stored as colours, H x W x 3 to H x W.

    Raises:
        ImageError: channels differ; the colours are named.
    """
    first = colours[..., 0]
    if all(np.array_equal(first, colours[..., channel]) for channel in (1, 2)):
        return first
    if lossy:
        spread = colours.max(axis=2) - colours.min(axis=2)
        if spread.max() <= ALIKE:
            return _luma(colours)
    present, counts = np.unique(_packed(colours), return_counts=True)
    found: list[int] = []
    for colour in present[np.argsort(-counts, kind="stable")]:
        away = np.abs(_channels(np.array(found, np.int64)) - _channels(colour)).max(axis=1)
        if away.min(initial=256) > (NOISE if lossy else 0):
            found.append(int(colour))
        if len(found) > NAMED:
            break
    wanted = [colour for colour in found if colour != 0][:NAMED]
    example = ",".join(f"#{colour:06x}={number}" for number, colour in enumerate(wanted, start=1))
    raise ImageError(
        f"{path} is a mask in colours ({_named(found)})",
        f'Say what they stand for with --labels "{example}", or save it as grey: labels, or 0 and 255.',
    )


def label_colours(
    colours: NDArray[np.uint8],
    labels: Sequence[tuple[int, int]],
    path: Path,
    lossy: bool = False,
    alpha: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The labels of colours, H x W x 3 to H x W. Black is 0 unless it is named, and so is what is transparent.

    Args:
        labels: pairs of 0xRRGGBB and label.
        lossy: the nearest colour counts, within half the range of a channel.
        alpha: H x W.

    Raises:
        ImageError: a colour without a label.
    """
    known = {0: 0, **dict(labels)}
    packed = _packed(colours)
    if alpha is not None:
        packed[alpha == 0] = 0
    present, places = np.unique(packed, return_inverse=True)
    targets = np.array(list(known))
    away = np.abs(_channels(present)[:, None] - _channels(targets)).max(axis=2)  # colours x known
    unknown = present[away.min(axis=1) > (HALF if lossy else 0)]
    if len(unknown):
        named = _named(unknown.tolist())
        raise ImageError(f"{path} shows colours that --labels does not name ({named})", "Name them there too.")
    found = np.array(list(known.values()), np.uint8)[away.argmin(axis=1)][places].reshape(packed.shape)
    return found if alpha is None else np.where(alpha == 0, 0, found).astype(np.uint8)


def whole_values(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Deep values as they are: whole numbers from 0 to 255, or 0 and one that is the largest of 16 bits, as 0 and 255.

    Raises:
        ImageError: they are anything else.
    """
    whole = bool(np.isfinite(values).all()) and bool((values == np.rint(values)).all())
    low, high = (values.min(), values.max()) if whole else (0, 0)
    if whole and high == 65535 and bool(((values == 0) | (values == 65535)).all()):
        return np.where(values == 65535, 255, 0).astype(np.uint8)
    if not whole or low < 0 or high > 255:
        held = f"values from {low:g} to {high:g}" if whole else "values that are not whole"
        raise ImageError(f"{path} holds {held}", "Labels are whole numbers from 0 to 255, or 0 and 65535 alone.")
    return values.astype(np.uint8)


def _luma(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weighted = colours.astype(np.int32) @ np.array(LUMA, np.int32)
    return ((weighted + 500) // 1000).astype(np.uint8)


def _packed(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    return (colours.astype(np.int32) * (65536, 256, 1)).sum(axis=2, dtype=np.int32)


def _channels(packed: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.int64)


def _named(colours: Sequence[int]) -> str:
    return ", ".join(f"#{colour:06x}" for colour in colours[:NAMED]) + (", ..." if len(colours) > NAMED else "")
