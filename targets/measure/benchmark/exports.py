"""The artifacts that are compared: bundles that are there already, or exported with parity and kept for next time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.checkpoint import ResampledFilterWarning, checkpoint_for, load_network, network_spec
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.origin import float_origin
from s2m_edge.errors import CapabilityError, ContractError, LoweringError, ParityError, S2MEdgeError
from s2m_edge.targets.export import bundle_name, export_bundle
from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, Contender, bundle_title
from s2m_edge.targets.measure.benchmark.measure import Entry
from s2m_edge.targets.measure.benchmark.plan import Combination
from s2m_edge.targets.measure.benchmark.progress import Pace
from s2m_edge.targets.measure.benchmark.report import NetworkFacts
from s2m_edge.targets.measure.benchmark.reuse import note_made, why_not_current

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.network.model import S2MNet


def find_bundles(folders: Sequence[Path]) -> list[Bundle]:
    """The bundles that `folders` are or hold, by name.

    Raises:
        ContractError: a folder is no bundle and holds none, or a bundle is damaged.
    """
    found: list[Bundle] = []
    for folder in folders:
        inner = sorted(path.parent for path in folder.glob(f"*/{CONTRACT_FILE}"))
        paths = [folder] if (folder / CONTRACT_FILE).is_file() else inner
        if not paths:
            raise ContractError(f"{folder} is no bundle and holds none", "Give a folder of s2m-edge export.")
        found += [open_bundle(path) for path in paths]
    return found


def common_size(bundles: Sequence[Bundle], header: CheckpointHeader, size: int | None) -> int | None:
    """The input size of those bundles that are of this checkpoint, which must be one; `size` where none is.

    Args:
        size: what was asked for; None: whatever it is.

    Raises:
        ContractError: they are of several sizes.
    """
    own = {bundle.contract.preprocessing.height for bundle in bundles if is_of(bundle, header)}
    sizes = sorted(own | ({size} if size else set()))
    if len(sizes) > 1:
        raise ContractError(
            f"the bundles and --size disagree on the input size ({', '.join(map(str, sizes))})",
            "Give bundles of one size, and leave --size out.",
        )
    return sizes[0] if sizes else None


def is_of(bundle: Bundle, header: CheckpointHeader) -> bool:
    """Whether a bundle was exported from this checkpoint or from its int8 form."""
    made_from = float_origin(bundle.contract.values["checkpoint"]["provenance"]).get("weights_sha256")
    return header.weights_sha256 in (bundle.contract.weights_sha256, made_from)


def other_networks(bundles: Sequence[Bundle]) -> dict[str, NetworkFacts]:
    """What the rows of bundles of other networks are divided by, as their contracts say, by the network's name."""
    facts: dict[str, NetworkFacts] = {}
    for bundle in bundles:
        network, preprocessing = bundle.contract.values["network"], bundle.contract.preprocessing
        facts[network["name"]] = NetworkFacts(
            network["parameters"],
            network["multiply_adds"],
            network["architecture"],
            preprocessing.height,
            preprocessing.width,
        )
    return facts


def given_entries(
    bundles: Sequence[Bundle], combinations: Sequence[Combination], header: CheckpointHeader
) -> tuple[list[Entry], list[Path]]:
    """The contenders that bundles are, as far as they are among `combinations`, and the folders of those that are not.

    Raises:
        CapabilityError: none is.
    """
    wanted = {(entry.target.name, entry.precision, entry.spectral) for entry in combinations}
    wanted |= {(target, precision, "none") for target, precision, _ in wanted}
    entries: list[Entry] = []
    others: list[Path] = []
    for bundle in bundles:
        contract = bundle.contract
        if (contract.target, contract.precision, contract.spectral) not in wanted:
            others.append(bundle.folder)
            continue
        taken = {entry.contender.title for entry in entries}
        network = S2M_NET if is_of(bundle, header) else contract.values["network"]["name"]
        title = bundle_title(contract.target, contract.precision, contract.spectral)
        title = title if network == S2M_NET else f"{network}, {title}"
        entries.append(bundle_entry(bundle, f"{title} ({bundle.folder})" if title in taken else title, network))
    if not entries:
        raise CapabilityError("none of the bundles is of what was asked for", "Leave the other options out.")
    return entries, others


def bundle_entry(bundle: Bundle, title: str, network: str = S2M_NET) -> Entry:
    """The contender that a bundle is; `network` says of what."""
    contract = bundle.contract
    contender = Contender(
        title=title,
        kind="bundle",
        network=network,
        target=contract.target,
        precision=contract.precision,
        spectral=contract.spectral,
        source=bundle.folder.resolve(),
        size=contract.preprocessing.height,
    )
    return Entry(contender, contract.values["artifact"]["bytes"])


@dataclass(frozen=True)
class Kept:
    """A combination, and what is known of its bundle before any work.

    Attributes:
        folder: where its bundle is kept.
        header: of the checkpoint that it is made of.
        reason: why it has to be exported; None: it is taken as it is.
        failure: why it cannot be had at all.
    """

    combination: Combination
    title: str
    folder: Path
    header: CheckpointHeader | None = None
    reason: str | None = ""
    failure: str = ""


def look_up(combinations: Sequence[Combination], header: CheckpointHeader, size: int | None, out: Path) -> list[Kept]:
    """What is kept of `combinations` in `out`, and what has to be exported.

    Args:
        header: of the float checkpoint.
        size: input height and width in pixels.
    """
    found: list[Kept] = []
    for entry in combinations:
        title = bundle_title(entry.target.name, entry.precision, entry.spectral)
        try:
            chosen = checkpoint_for(header.path, entry.precision)
            spec = network_spec(chosen, size)
            folder = out / bundle_name(spec, entry.target, entry.precision, entry.spectral)
            found.append(Kept(entry, title, folder, chosen, why_not_current(folder, spec, entry)))
        except S2MEdgeError as error:
            found.append(Kept(entry, title, out, failure=error.cause))
    return found


def kept_lines(kept: Sequence[Kept], out: Path) -> list[str]:
    """For people, before the work begins: what is taken from `out`, and what is exported and why."""
    taken = [entry.title for entry in kept if entry.reason is None]
    fresh = [entry.title for entry in kept if entry.reason == "" and not entry.failure]
    stale = [entry for entry in kept if entry.reason]
    return [
        *([f"taken from {out}: {', '.join(taken)}"] if taken else []),
        *([f"exported to {out}: {', '.join(fresh)}"] if fresh else []),
        *(f"exported anew: {entry.title} ({entry.reason})" for entry in stale),
    ]


def export_entries(
    kept: Sequence[Kept], size: int, images: Sequence[Path], pace: Pace
) -> tuple[list[Entry], list[ParityError]]:
    """A bundle for every combination: taken if it can be, exported with its gate otherwise.

    Args:
        size: input height and width in pixels.
        images: pictures for the parity gate.

    Returns:
        An entry for each, with the reason where it could not be had, and the breached parity gates.
    """
    entries: list[Entry] = []
    breaches: list[ParityError] = []
    networks: dict[Path, S2MNet] = {}  # each checkpoint is read once, whatever is made of it
    for one in kept:
        combination = one.combination
        target, precision, spectral = combination.target, combination.precision, combination.spectral
        try:
            if one.header is None:
                raise LoweringError(one.failure)
            if one.reason is not None:
                pace.begin("export", one.title)
                spec = network_spec(one.header, size)
                if one.header.path not in networks:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", ResampledFilterWarning)  # the command has said so once
                        networks[one.header.path] = load_network(one.header, size=size)
                export_bundle(
                    target,
                    networks[one.header.path],
                    spec,
                    precision=precision,
                    spectral=spectral,
                    images=images,
                    out=one.folder,
                    notify=lambda step, done, total, title=one.title: pace.detail(
                        f"{title}, {step} {done} of {total}" if total else f"{title}, {step}"
                    ),
                )
                note_made(one.folder, target)
            entries.append(bundle_entry(open_bundle(one.folder), one.title))
        except S2MEdgeError as error:
            if isinstance(error, ParityError):
                breaches.append(error)
            contender = Contender(one.title, "bundle", S2M_NET, target.name, precision, spectral, one.folder, size)
            entries.append(Entry(contender, failure=error.cause))
    return entries, breaches
