"""A whole benchmark: artifacts, measurement, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.errors import ParityError
from s2m_edge.targets.benchmark.bundles import export_entries, given_entries, peer_entries
from s2m_edge.targets.benchmark.contenders import S2M_NET, pytorch_contenders
from s2m_edge.targets.benchmark.measure import Entry, Notify, Settings, measure
from s2m_edge.targets.benchmark.peers import PEERS, peer_preprocessing
from s2m_edge.targets.benchmark.plan import Plan
from s2m_edge.targets.benchmark.report import NetworkFacts, report_values
from s2m_edge.targets.benchmark.work import multiply_adds, multiply_adds_of
from s2m_edge.targets.bundle import Bundle

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet

CACHE_FOLDERS = ("bundles", "peers")


@dataclass(frozen=True)
class Request:
    """What to compare.

    Attributes:
        plan: targets, precisions and lowerings.
        bundles: opened ones to take instead of exporting; those that the plan does not have are left out.
        images: pictures for the parity gate of what is exported.
        out: folder that keeps what is exported.
        compiled: with torch.compile.
        peers: with other networks.
        settings: how to measure.
    """

    plan: Plan
    bundles: Sequence[Bundle]
    images: Sequence[Path]
    out: Path
    compiled: bool
    peers: bool
    settings: Settings


def run_benchmark(
    model: S2MNet, header: CheckpointHeader, request: Request, notify: Notify = lambda step, done, total: None
) -> tuple[dict[str, Any], list[ParityError]]:
    """Export what is lacking, measure everything, and report.

    Args:
        model: of `header`'s checkpoint, possibly at another size.
        notify: called with the step, and how much of it is done and in all.

    Returns:
        The values of `report_values`, and the parity gates that were breached: those artifacts are not timed.
    """
    size, (bundles, peers) = model.config.size, (request.out / name for name in CACHE_FOLDERS)
    pytorch = pytorch_contenders(header.path.resolve(), size, request.compiled)
    entries = [Entry(contender, header.path.stat().st_size) for contender in pytorch]
    breaches: list[ParityError] = []
    remarks = list(request.plan.remarks)
    if request.bundles:
        found, others = given_entries(request.bundles, request.plan.combinations)
        entries += found
        remarks = [f"left out: {folder} is not of what was asked for" for folder in others]
    else:
        exported, breaches = export_entries(request.plan.combinations, model, header, request.images, bundles, notify)
        entries += exported
    networks = {S2M_NET: NetworkFacts(count_parameters_of(model), multiply_adds_of(model), header.path.name)}
    if request.peers:
        targets = dict.fromkeys(combination.target for combination in request.plan.combinations)
        entries += peer_entries(list(targets), size, peers, notify)
        networks.update(peer_facts(size))
    measurement = measure(entries, request.settings, notify)
    return report_values(measurement, request.settings, networks, size, remarks), breaches


def count_parameters_of(network: Any) -> int:
    """Trainable values, also of a network whose gradients are off."""
    return sum(parameter.numel() for parameter in network.parameters())


def peer_facts(size: int) -> dict[str, NetworkFacts]:
    """Parameters and multiply-adds of the peers."""
    facts: dict[str, NetworkFacts] = {}
    for peer in PEERS:
        network = peer.make()
        work = multiply_adds(network, peer_preprocessing(size).channels, size)
        facts[peer.title] = NetworkFacts(count_parameters_of(network), work, f"{peer.description}, random weights")
    return facts
