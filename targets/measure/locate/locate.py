"""Finding the first block, then the first operator, whose result leaves its tolerance."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.errors import AnswerError, LoweringError, ParityError
from s2m_edge.imaging.inputs import read_input
from s2m_edge.targets.answer import shaped_answer
from s2m_edge.targets.base import Runner
from s2m_edge.targets.look import Look
from s2m_edge.targets.measure.locate.again import Again
from s2m_edge.targets.measure.locate.blocks import Border
from s2m_edge.targets.measure.locate.deviation import Deviation, deviation, tolerance
from s2m_edge.targets.measure.locate.expected import Reference, compute_reference
from s2m_edge.targets.measure.locate.hidden import METHOD, STRANGE, cut_and_look
from s2m_edge.targets.measure.locate.operators import first_operator
from s2m_edge.targets.measure.locate.report import (
    ANSWER,
    KEEPS,
    LEAVES,
    NOT_HELD,
    NOT_LOOKED_AT,
    BlockError,
    Judgement,
    Location,
)
from s2m_edge.targets.measure.locate.visible import Seen, look_at
from s2m_edge.targets.measure.parity.measure import require_same_network
from s2m_edge.targets.opening import open_runner, target_of
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

Notify = Callable[[str, int, int], None]


def locate(
    bundle: Bundle,
    network: nn.Module,
    spec: NetworkSpec,
    images: Sequence[Path],
    *,
    limit: int | None = None,
    threads: int | None = None,
    notify: Notify = lambda step, done, total: None,
) -> Location:
    """Where a bundle's artifact leaves `network`.

    Of the images the one with the largest error is looked at, or the first that the artifact fails on.

    Args:
        bundle: need not have passed its gate.
        network: what it was exported from, float32 (quantized, where the bundle is); spec: what it says of itself.
        images: files that `read_image` opens.
        limit: take the first so many; by default as many as the target's gate takes.
        threads: of the runtime.
        notify: called with the step's name, and what is done of how many.

    Raises:
        ContractError: the network is not of the bundle's size, channels or classes.
        ImageError: an image cannot be read.
        LoweringError: the artifact does not load.
        ParityError: there are no images.
    """
    contract = bundle.contract
    require_same_network(bundle, spec)
    taken = target_of(bundle).take_for_gate(images, limit)
    if not taken:
        raise ParityError(f"nothing was located in {contract.target}: no images", "Give --images.")
    runner = open_runner(bundle, threads)
    name, fitted, answer = _worst(runner, network, taken, notify)
    notify("reference", 0, 0)
    reference = compute_reference(network, contract.preprocessing, fitted)
    final = STRANGE if answer is None else deviation(reference.answer, answer[None], 1.0)
    kind = target_of(bundle).look_class()
    half = PRECISION_ROWS[contract.precision].half
    with tempfile.TemporaryDirectory() as folder:
        again = Again(bundle, network, spec, Path(folder), threads)
        look: Look | None = None
        notify("blocks", 0, 0)
        if kind is None:
            seen = cut_and_look(reference, again, contract.precision, final)
            method = METHOD.format(why=target_of(bundle).hidden)
        else:
            look = kind(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
            seen = look_at(look, reference, again, contract.precision, peaks=half)
            method = look.method
        rows = _rows(reference, seen, look, contract.precision, final, half=half)
        wrong = next((row for row in rows if row.judgement == LEAVES), None)
        operator = None
        if wrong is not None and look is not None:
            notify("operators", 0, 0)
            first = next((border for border in reference.values if border.name == wrong.block), None)
            operator = first_operator(look, reference, seen, first, contract.precision)
    return Location(
        target=contract.target,
        precision=contract.precision,
        device=runner.device,
        method=method,
        picture=name,
        pictures=len(taken),
        blocks=tuple(rows),
        operator=operator,
        remarks=(*seen.remarks, *([runner.remark] if runner.remark else [])),
        tools=tool_versions(),
    )


def _worst(
    runner: Runner, network: nn.Module, images: Sequence[Path], notify: Notify
) -> tuple[str, NDArray[np.uint8], NDArray[np.float32] | None]:
    """Name and fitted picture of the image with the largest error, and the artifact's answer; None where it fails."""
    worst: tuple[float, str, NDArray[np.uint8], NDArray[np.float32] | None] | None = None
    for index, image in enumerate(images):
        notify("images", index, len(images))
        fitted = read_input(image, runner.preprocessing)
        expected = probabilities(reference_logits(network, fitted, runner.preprocessing))
        try:
            found = shaped_answer(runner.predict, fitted, expected.shape)
        except (AnswerError, LoweringError):
            return image.name, fitted, None
        error = deviation(expected, found, 1.0).largest
        if worst is None or error > worst[0]:
            worst = (error, image.name, fitted, found)
    assert worst is not None
    return worst[1:]


def _rows(
    reference: Reference, seen: Seen, look: Look | None, precision: str, final: Deviation, *, half: bool
) -> list[BlockError]:
    limit = tolerance(precision)
    values = _values_at(look, reference, seen) if reference.levels else {}
    peaks = _peaks(reference, seen, look) if half and look is not None else {}

    def row(name: str, shape: tuple[int, ...], found: Deviation | None, judgement: Judgement) -> BlockError:
        if found is None:
            return BlockError(name, shape, None, None, None, limit, judgement)
        return BlockError(name, shape, found.largest, found.mean, found.relative(precision), limit, judgement)

    rows: list[BlockError] = []
    for border, value in reference.values.items():
        found = seen.deviations.get(border)
        if border in seen.part:
            judgement: Judgement = NOT_HELD
        elif border in seen.faulty:
            judgement = LEAVES
        else:
            judgement = NOT_LOOKED_AT if found is None else KEEPS
        entry = row(border.name, value.shape, found, judgement)
        rows.append(replace(entry, peak=peaks.get(border), saturated=values.get(border)))
    kept = final.relative(precision) <= limit
    rows.append(row(ANSWER, reference.answer.shape, final, KEEPS if kept else LEAVES))
    return rows


def _values_at(look: Look | None, reference: Reference, seen: Seen) -> dict[Border, float]:
    """The share of saturated values of each block that is rounded and that the artifact holds."""
    if look is None:
        return {}
    places = {index: border for border, index in seen.places.items() if border in reference.levels}
    return {
        places[index]: reference.levels[places[index]].saturated(value)
        for index, value in look.read(reference.fitted, sorted(places))
    }


def _peaks(reference: Reference, seen: Seen, look: Look) -> dict[Border, float]:
    """The largest absolute value since the block before, for each block whose place is known."""
    found: dict[Border, float] = {}
    begin = 0
    for border in reference.values:
        end = seen.places.get(border)
        if end is not None and end >= begin:
            inside = [seen.peaks[index] for index in range(begin, end + 1) if index in seen.peaks]
            found[border] = max(inside, default=math.nan)
            begin = end + 1
    return found
