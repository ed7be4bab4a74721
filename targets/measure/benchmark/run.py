"""A whole benchmark: artifacts, measurement, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.deploy.arithmetic import multiply_adds, parameter_count
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import ParityError
from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, pytorch_contenders
from s2m_edge.targets.measure.benchmark.exports import (
    export_entries,
    given_entries,
    is_of,
    kept_lines,
    look_up,
    other_networks,
)
from s2m_edge.targets.measure.benchmark.measure import Entry, Settings, expect, measure
from s2m_edge.targets.measure.benchmark.plan import Plan
from s2m_edge.targets.measure.benchmark.progress import Pace
from s2m_edge.targets.measure.benchmark.report import NetworkFacts, report_values

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.checkpoint import CheckpointHeader

CACHE_FOLDER = "bundles"


@dataclass(frozen=True)
class Request:
    """What to compare.

    Attributes:
        plan: targets, precisions and lowerings.
        bundles: opened ones to take instead of exporting, of this network and of others; those that the plan does not
            have are left out.
        images: pictures for the parity gate of what is exported.
        out: folder that keeps what is exported.
        compiled: with torch.compile.
        settings: how to measure.
        size: input height and width in pixels; the checkpoint's own by default.
        quick: what the quick form leaves out, a line each; None: it was not asked for.
    """

    plan: Plan
    bundles: Sequence[Bundle]
    images: Sequence[Path]
    out: Path
    compiled: bool
    settings: Settings
    size: int | None = None
    quick: tuple[str, ...] | None = None


def run_benchmark(
    model: nn.Module,
    header: CheckpointHeader,
    request: Request,
    pace: Pace | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], list[ParityError]]:
    """Export what is lacking, measure everything, and report.

    Args:
        model: of `header`'s checkpoint, possibly at another size.
        pace: is told how far it is.
        say: is told, before the work begins, what is taken and what is exported.

    Returns:
        The values of `report_values`, and the parity gates that were breached: those artifacts are not timed.
    """
    pace = pace or Pace()
    size = request.size or header.config.size
    pytorch = pytorch_contenders(header.path.resolve(), size, request.compiled)
    entries = [Entry(contender, header.path.stat().st_size) for contender in pytorch]
    breaches: list[ParityError] = []
    remarks = list(request.plan.remarks)
    if request.bundles:
        found, others = given_entries(request.bundles, request.plan.combinations, header)
        entries += found
        remarks = [f"left out: {folder} is not of what was asked for" for folder in others]
    else:
        folder = request.out / CACHE_FOLDER
        kept = look_up(request.plan.combinations, header, size, folder)
        for line in kept_lines(kept, folder):
            say(line)
        pace.expect("export", sum(one.reason is not None and not one.failure for one in kept))
        expect([*entries, *(None for _ in kept)], request.settings, pace)
        exported, breaches = export_entries(kept, size, request.images, pace)
        entries += exported
    work = multiply_adds(model, (header.config.in_channels, size, size))
    networks = {S2M_NET: NetworkFacts(parameter_count(model), work, header.path.name, size, size)}
    networks.update(other_networks([bundle for bundle in request.bundles if not is_of(bundle, header)]))
    measurement = measure(entries, request.settings, pace)
    return report_values(measurement, request.settings, networks, size, remarks, request.quick), breaches
