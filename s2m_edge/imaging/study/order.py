"""The order of a DICOM study's slices: by where they lie along their normal, or else by their numbers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.study.frames import Frame
from s2m_edge.texts import printable

SAME_PLACE = 0.001
"""mm: slices that are not further apart lie at one place."""
SAME_DIRECTION = 0.01
"""Of a unit vector: what a scanner's rounding may change."""
GAP = 0.25
"""Of the median distance: neighbours whose distance departs from it by more are reported."""
STRAIGHT = 0.25
"""Of a voxel: how far the slices of a regular grid may lie from where equal steps along the normal would put them."""
_NAMED = 3


@dataclass(frozen=True)
class Stack:
    """Slices in their order.

    Attributes:
        frames: from the first to the last.
        grid: where they lie; without positions where they have none, or all lie at one place.
        spacing_from: which attribute its spacing is from.
        remarks: what a reader should know.
    """

    frames: tuple[Frame, ...]
    grid: Grid
    spacing_from: str
    remarks: tuple[str, ...]


def stack(frames: Sequence[Frame], name: str) -> Stack:
    """The order of the frames of one study.

    Args:
        name: of the study, for messages.

    Raises:
        ImageError: they are no one stack: sizes, spacings, orientations or frames of reference differ.
    """
    frames, remarks = _without_copies(frames)
    _require_one(name, "sizes", frames, lambda frame: f"{frame.columns} x {frame.rows} pixels")
    frames = _of_one_calibration(frames)
    _require_one(name, "pixel spacings", frames, lambda frame: _words(frame.spacing, "mm"))
    directions = _one_orientation(name, frames)
    if directions is None or any(frame.position is None for frame in frames):
        if len(frames) > 1:
            remarks.append(
                "the files do not say where the slices lie; they are taken in the order of their frames"
                if len({frame.path for frame in frames}) == 1
                else "the files do not say where the slices lie; they are taken in the order of InstanceNumber"
            )
        return _stacked(sorted(frames, key=_number), directions, None, remarks)
    _require_one(name, "frames of reference", frames, lambda frame: frame.reference or "none")
    normal = np.cross(directions[0], directions[1])
    placed = sorted(frames, key=lambda frame: (_depth(frame, normal), _number(frame)))
    kept, repeated = _one_each_place(placed, normal)
    times = len(frames) // len(kept)
    if repeated and _all_repeated(placed, normal, times):
        remarks.append(
            f"{times} slices lie at each of {len(kept)} places (phases, echoes); all are taken, in the order of place "
            "and InstanceNumber, and make no one volume"
        )
        return _stacked(placed, directions, None, remarks)
    if repeated:
        remarks.append(
            f"{_slices(repeated)} where another one does, and {'is' if len(repeated) == 1 else 'are'} left out: "
            f"{_named(repeated)}"
        )
    positions = np.array([frame.position for frame in kept], np.float64)
    remarks.extend(_gaps(positions @ normal))
    if _tilted(positions, normal):
        remarks.append("the slices do not follow one another along their normal (a tilted gantry, or an oblique stack)")
    return _stacked(kept, directions, positions, remarks)


def is_regular(grid: Grid) -> bool:
    """Whether slices follow one another in equal steps along their normal, so that another plane can be cut."""
    if grid.slices < 2 or grid.positions is None or grid.normal is None or grid.depths is None or grid.spacing is None:
        return False
    step = (grid.depths[-1] - grid.depths[0]) / (grid.slices - 1)
    if step == 0:
        return False
    due = grid.positions[0] + np.arange(grid.slices)[:, None] * step * grid.normal
    return bool(np.abs(grid.positions - due).max() <= STRAIGHT * min(abs(step), *grid.spacing))


def _of_one_calibration(frames: Sequence[Frame]) -> list[Frame]:
    """Without the spacings of ultrasound regions where these differ: pictures of several depths are one series."""
    known = {(frame.spacing, frame.part) for frame in frames}
    if len(known) == 1 or not any(frame.part for frame in frames):
        return list(frames)
    reason = "its pictures have ultrasound regions of several sizes or places"
    return [replace(frame, spacing=None, spacing_from="", part=None, unmeasured=reason) for frame in frames]


def _stacked(
    frames: Sequence[Frame], directions: NDArray[np.float64] | None, positions: Any, remarks: list[str]
) -> Stack:
    first = frames[0]
    if first.spacing_from == "ImagerPixelSpacing":
        remarks.append("the spacing is that of the detector (ImagerPixelSpacing); the body's is smaller")
    if first.unmeasured:
        remarks.append(f"there is no spacing: {first.unmeasured}")
    grid = Grid(
        len(frames),
        first.rows,
        first.columns,
        first.spacing,
        directions,
        positions,
        next((frame.thickness for frame in frames if frame.thickness is not None), None),
        first.part,
    )
    return Stack(tuple(frames), grid, first.spacing_from, tuple(remarks))


def _depth(frame: Frame, normal: NDArray[np.float64]) -> float:
    """mm along the normal, in steps that rounding does not tell apart."""
    return round(float(np.dot(frame.position or (), normal)) / SAME_PLACE) * SAME_PLACE


def _number(frame: Frame) -> tuple[float, list[tuple[int, str]], int]:
    """By InstanceNumber, then by the file's name, in which 10 follows 9."""
    parts = [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", frame.path.name) if part
    ]
    return (float("inf") if frame.number is None else frame.number, parts, frame.index)


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], list[str]]:
    """One of each instance: a file that is there twice counts once."""
    seen: dict[tuple[str, int], Frame] = {}
    copies = []
    for frame in sorted(frames, key=lambda frame: (str(frame.path), frame.index)):
        key = (frame.uid or str(frame.path), frame.index)
        if key in seen:
            copies.append(frame)
        seen.setdefault(key, frame)
    remarks = []
    if copies:
        plural = len(copies) > 1
        remarks.append(
            f"{len(copies)} {'files are copies' if plural else 'file is a copy'} of another instance (one "
            f"SOPInstanceUID) and {'are' if plural else 'is'} left out: {_named(copies)}"
        )
    return list(seen.values()), remarks


def _require_one(name: str, what: str, frames: Sequence[Frame], key: Callable[[Frame], str]) -> None:
    found: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        found[key(frame)].append(frame)
    if len(found) > 1:
        parts = sorted(found.items(), key=lambda part: -len(part[1]))
        shown = "; ".join(f"{len(members)} of {words}, {members[0].path.name}" for words, members in parts[:_NAMED])
        raise ImageError(
            f"the series {name} holds slices of {len(found)} {what} ({shown})",
            "Put the files of each into a folder of their own.",
        )


def _one_orientation(name: str, frames: Sequence[Frame]) -> NDArray[np.float64] | None:
    """2 x 3; None where not every frame has one."""
    if any(frame.orientation is None for frame in frames):
        return None
    all_of_them = np.array([frame.orientation for frame in frames])
    kinds: list[Any] = []
    members: Counter[int] = Counter()
    for row in all_of_them:
        at = next((at for at, kind in enumerate(kinds) if np.abs(row - kind).max() <= SAME_DIRECTION), len(kinds))
        if at == len(kinds):
            kinds.append(row)
        members[at] += 1
    if len(kinds) > 1:
        counts = ", ".join(str(count) for _, count in members.most_common(_NAMED))
        raise ImageError(
            f"the series {name} holds slices of {len(kinds)} orientations ({counts} slices)",
            "Put the files of each into a folder of their own.",
        )
    return kinds[0].reshape(2, 3)


def _one_each_place(placed: Sequence[Frame], normal: NDArray[np.float64]) -> tuple[list[Frame], list[Frame]]:
    kept: list[Frame] = []
    repeated: list[Frame] = []
    last = -np.inf
    for frame in placed:
        depth = _depth(frame, normal)
        if depth - last < 1.5 * SAME_PLACE:
            repeated.append(frame)
        else:
            kept.append(frame)
            last = depth
    return kept, repeated


def _all_repeated(placed: Sequence[Frame], normal: NDArray[np.float64], times: int) -> bool:
    """Whether each place has as many slices: of one, times or echoes; otherwise some were exported twice."""
    depths = np.array([_depth(frame, normal) for frame in placed])
    groups = np.split(depths, np.flatnonzero(np.diff(depths) >= 1.5 * SAME_PLACE) + 1)
    return times > 1 and {len(group) for group in groups} == {times}


def _gaps(depths: NDArray[np.float64]) -> Iterable[str]:
    steps = np.diff(depths)
    if len(steps) < 2:
        return
    median = float(np.median(steps))
    unlike = np.flatnonzero(np.abs(steps - median) > GAP * median)
    if len(unlike):
        places = ", ".join(f"{steps[at]:.4g} mm between slices {at} and {at + 1}" for at in unlike[:_NAMED])
        more = f" and {len(unlike) - _NAMED} more" if len(unlike) > _NAMED else ""
        yield f"the slices are {median:.4g} mm apart, but {places}{more}: slices are missing, or the steps are unequal"


def _tilted(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> bool:
    way = positions[-1] - positions[0]
    return bool(np.linalg.norm(way - (way @ normal) * normal) > 0.01 * abs(way @ normal))


def _slices(frames: Sequence[Frame]) -> str:
    return "1 slice lies" if len(frames) == 1 else f"{len(frames)} slices lie"


def _named(frames: Sequence[Frame]) -> str:
    names = [printable(frame.path.name) + (f" frame {frame.index}" if frame.index else "") for frame in frames]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _words(values: Sequence[float] | None, unit: str) -> str:
    return "none" if values is None else f"{' x '.join(f'{value:.4g}' for value in values)} {unit}"
