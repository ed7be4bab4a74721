"""The artifacts that are compared: bundles that are there already, or exported with parity and kept for next time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.checkpoint import load_model, quantized_counterpart, read_header
from s2m_edge.contract import CONTRACT_FILE
from s2m_edge.errors import CapabilityError, ContractError, ParityError, S2MEdgeError
from s2m_edge.targets.benchmark.contenders import S2M_NET, Contender, bundle_title
from s2m_edge.targets.benchmark.measure import Entry
from s2m_edge.targets.benchmark.peers import PEERS, TARGETS_FOR_PEERS, Peer, export_peer
from s2m_edge.targets.benchmark.plan import Combination
from s2m_edge.targets.bundle import Bundle, artifact_files, open_bundle
from s2m_edge.targets.export import bundle_name, export_bundle
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet
    from s2m_edge.targets.registry import Target

Notify = Callable[[str, int, int], None]


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


def require_same_network(bundles: Sequence[Bundle], header: CheckpointHeader, size: int | None) -> int:
    """The input size of the bundles, which must be of one checkpoint and one size.

    Args:
        size: what was asked for; None: whatever it is.

    Raises:
        ContractError: they are of another checkpoint, or of several sizes.
    """
    for bundle in bundles:
        if bundle.contract.values["checkpoint"]["sha256"] != header.sha256:
            raise ContractError(
                f"{bundle.folder} was exported from another checkpoint than {header.path.name}",
                "Name its checkpoint, or leave the bundle out.",
            )
    sizes = sorted({bundle.contract.preprocessing.size for bundle in bundles} | ({size} if size else set()))
    if len(sizes) > 1:
        raise ContractError(
            f"the bundles and --size disagree on the input size ({', '.join(map(str, sizes))})",
            "Give bundles of one size, and leave --size out.",
        )
    return sizes[0]


def given_entries(bundles: Sequence[Bundle], combinations: Sequence[Combination]) -> tuple[list[Entry], list[Path]]:
    """The contenders that bundles are, as far as they are among `combinations`, and the folders of those that are not.

    Raises:
        CapabilityError: none is.
    """
    wanted = {(entry.target.name, entry.precision, entry.spectral) for entry in combinations}
    entries: list[Entry] = []
    others: list[Path] = []
    for bundle in bundles:
        contract = bundle.contract
        if (contract.target, contract.precision, contract.spectral) not in wanted:
            others.append(bundle.folder)
            continue
        taken = {entry.contender.title for entry in entries}
        title = bundle_title(contract.target, contract.precision, contract.spectral)
        entries.append(bundle_entry(bundle, f"{title} ({bundle.folder})" if title in taken else title))
    if not entries:
        raise CapabilityError("none of the bundles is of what was asked for", "Leave the other options out.")
    return entries, others


def bundle_entry(bundle: Bundle, title: str) -> Entry:
    """The contender that a bundle is."""
    contract = bundle.contract
    contender = Contender(
        title=title,
        kind="bundle",
        network=S2M_NET,
        target=contract.target,
        precision=contract.precision,
        spectral=contract.spectral,
        source=bundle.folder.resolve(),
        size=contract.preprocessing.size,
    )
    return Entry(contender, contract.values["artifact"]["bytes"])


def export_entries(
    combinations: Sequence[Combination],
    model: S2MNet,
    header: CheckpointHeader,
    images: Sequence[Path],
    out: Path,
    notify: Notify,
) -> tuple[list[Entry], list[ParityError]]:
    """A bundle for every combination, in `out`: taken from there if it is the same, exported otherwise.

    Returns:
        An entry for each, with the reason where it could not be had, and the breached parity gates.
    """
    entries: list[Entry] = []
    breaches: list[ParityError] = []
    float_model, float_header = model, header
    for combination in combinations:
        target, precision, spectral = combination.target, combination.precision, combination.spectral
        model, header = float_model, float_header
        if precision == "int8" and (quantized := quantized_counterpart(float_header)) is not None:
            model, header = load_model(quantized), read_header(quantized)
        folder = out / bundle_name(header, target, model.config.size, precision, spectral)
        title = bundle_title(target.name, precision, spectral)
        try:
            if not _is_current(folder, header):
                export_bundle(
                    target,
                    model,
                    header,
                    precision=precision,
                    spectral=spectral,
                    images=images,
                    out=folder,
                    notify=lambda step, done, total, title=title: notify(f"export {title}, {step}", done, total),
                )
            entries.append(bundle_entry(open_bundle(folder), title))
        except S2MEdgeError as error:
            if isinstance(error, ParityError):
                breaches.append(error)
            size = model.config.size
            contender = Contender(title, "bundle", S2M_NET, target.name, precision, spectral, folder, size)
            entries.append(Entry(contender, failure=error.cause))
    return entries, breaches


def _is_current(folder: Path, header: CheckpointHeader) -> bool:
    """Whether a bundle is there that these tools would make again of this checkpoint; its name says the rest."""
    try:
        values = open_bundle(folder).contract.values
    except S2MEdgeError:
        return False
    return values["checkpoint"]["sha256"] == header.sha256 and values["tools"] == tool_versions()


def peer_entries(targets: Sequence[Target], size: int, out: Path, notify: Notify) -> list[Entry]:
    """Every peer on every one of `targets` that takes networks other than S2M-Net, exported unless it is there."""
    chosen = [target for target in targets if target.name in TARGETS_FOR_PEERS]
    return [_peer_entry(peer, target, size, out, notify) for peer in PEERS for target in chosen]


def _peer_entry(peer: Peer, target: Target, size: int, out: Path, notify: Notify) -> Entry:
    def contender(artifact: Path) -> Contender:
        title = f"{peer.title}, {target.name}"
        return Contender(title, "peer", peer.title, target.name, "float32", None, artifact.resolve(), size)

    notify(f"export {peer.title} to {target.name}", 0, 0)
    try:
        artifact = export_peer(peer, target, size, out)
    except S2MEdgeError as error:
        return Entry(contender(out), failure=error.cause)
    return Entry(contender(artifact), sum(path.stat().st_size for path in artifact_files(artifact.parent)))
