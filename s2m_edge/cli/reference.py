"""`s2m-edge reference`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2m_edge.cli.opening import NetworkOption, SpecOption, WeightsOption
from s2m_edge.cli.options import BUNDLED, JsonOption, MaxPixelsOption

if TYPE_CHECKING:
    from s2m_edge.deploy.recording import Record
    from s2m_edge.opened_network import OpenedNetwork

STORE = "references"

app = typer.Typer(help="Record the reference that parity can be measured against, and see what moves.")


@app.callback()
def _root() -> None:
    pass


@app.command("record")
def record(
    checkpoint: Annotated[Path | None, typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}.")] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "auto",
    images: Annotated[Path | None, typer.Option(help="Folder of real images; bundled samples by default.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of references; nothing in it is replaced.")] = Path(STORE),
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Run the network in float32 on a device, beside float64 on the CPU, and keep inputs and outputs under their hash.

    The record names device, processor, driver, versions and precision. What moved since the last records of the same
    network is printed. s2m-edge parity --reference compares bundles with it.
    """
    from s2m_edge import console
    from s2m_edge.cli.opening import open_checkpoint, open_users_network, require_one_source
    from s2m_edge.deploy.recording import record_reference
    from s2m_edge.deploy.reference_store import keep_record, latest_by_device
    from s2m_edge.devices import choose_device
    from s2m_edge.files import require_writable
    from s2m_edge.samples import images_or_samples
    from s2m_edge.targets.measure.parity.recorded import moves_between

    chosen = choose_device(device)
    require_one_source(network, weights, spec, checkpoint)
    opened = open_checkpoint(checkpoint, None) if network is None else open_users_network(network, weights, spec)
    pictures = images_or_samples(images, opened.domain)
    require_writable(out)
    with console.status.status("recording the reference"):
        made = record_reference(opened.network, opened.spec, pictures, chosen)
    since = [(path, before, moves_between(before, made)) for path, before in latest_by_device(out, made)]
    # Of the same request and the same answers only the date would be new: the file that is there says it all.
    known = [path for path, before, moves in since if before.stamp == made.stamp and moves.nothing]
    path = known[0] if known else keep_record(out, made)
    if as_json:
        moved = [{"since": str(file), **_facts(before), **moves.to_dict()} for file, before, moves in since]
        values = {"file": str(path), "new": not known, **_facts(made), "moved": moved, "stamp": dict(made.stamp)}
        console.print_json(values)
        return
    console.output.print(f"{made.device}, {len(made.golden)} images")
    console.output.print(f"largest probability difference from float64 on the CPU: {made.float64_error:.1e}")
    for file, before, moves in since:
        console.output.print(f"moved since {before.recorded}, {before.device} ({file.name[:12]}):")
        for line in ["nothing"] if moves.nothing else moves.lines():
            console.output.print(f"  {line}")
    console.output.print(f"reference: {path}{' (there already)' if known else ''}")


@app.command("list")
def list_references(
    folder: Annotated[Path, typer.Argument(help="Folder of references.")] = Path(STORE),
    as_json: JsonOption = False,
) -> None:
    """Show the references of a folder: network, device, when, how many pictures.

    Each file is read, and its content compared with its name.
    """
    from s2m_edge import console
    from s2m_edge.deploy.reference_store import read_record, record_files
    from s2m_edge.errors import ConfigurationError, S2MEdgeError

    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}", "s2m-edge reference record makes one.")
    found: list[dict[str, Any]] = []
    damaged: list[S2MEdgeError] = []
    for path in record_files(folder):
        try:
            kept = read_record(path)
            found.append({"file": str(path), **_facts(kept), "stamp": dict(kept.stamp)})
        except S2MEdgeError as error:
            damaged.append(error)
    found.sort(key=lambda entry: (entry["network"], entry["recorded"]))
    if as_json:
        console.print_json(found)
    else:
        for entry in found:
            console.output.print(entry["file"])
            console.output.print(
                f"  {entry['network']}, {entry['device']}, {entry['recorded']}, {len(entry['images'])} images"
            )
        if not found and not damaged:
            console.output.print(f"{folder} holds no reference")
    if damaged:
        for error in damaged[1:]:
            console.print_warning(error)
        raise damaged[0]


@app.command("verify")
def verify(
    reference: Annotated[Path, typer.Argument(help="File of s2m-edge reference record.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint that it was recorded with; else one of the bundled.")
    ] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Run a reference's network again, here, on its pictures, and compare. Exits with 1 if it does not hold.

    Each picture must keep the gate that a float32 artifact must keep, one of a quantized network that of int8.
    """
    from s2m_edge import console
    from s2m_edge.deploy.reference_store import read_record
    from s2m_edge.devices import choose_device
    from s2m_edge.targets.measure.parity.recorded import verify_record

    chosen = choose_device(device)
    kept = read_record(reference)
    opened = _network_of(kept, reference, checkpoint, network, weights, spec)
    with console.status.status("running the network again"):
        found = verify_record(kept, opened.network, opened.spec, chosen, reference)
    if as_json:
        values = {"file": str(reference), **_facts(kept), "verified_on": found.device, "gate": found.precision}
        values |= {"passed": not found.breaches, "breaches": found.breaches, **found.moves.to_dict()}
        console.print_json(values)
    else:
        for line in found.moves.lines():
            console.output.print(line)
        console.output.print(f"recorded: {kept.recorded}, {kept.device}; here: {found.device}")
        console.output.print("the reference holds" if not found.breaches else "the reference does not hold")
    found.require_held(reference)


@app.command("compare")
def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="File of s2m-edge reference record.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same network.")],
    as_json: JsonOption = False,
) -> None:
    """Show what moved between two references of one network, picture by picture, and what made each."""
    from s2m_edge import console
    from s2m_edge.deploy.reference_store import read_record
    from s2m_edge.targets.measure.parity.recorded import moves_between

    one, other = read_record(before), read_record(after)
    moves = moves_between(one, other)
    changed = {
        key: [one.stamp.get(key, ""), other.stamp.get(key, "")]
        for key in sorted({*one.stamp, *other.stamp})
        if one.stamp.get(key) != other.stamp.get(key)
    }
    if as_json:
        console.print_json({"A": _facts(one), "B": _facts(other), "made_with": changed, **moves.to_dict()})
        return
    for line in moves.lines():
        console.output.print(line)
    for key, (first, second) in changed.items():
        console.output.print(f"{key}: {first or '-'} -> {second or '-'}")
    if moves.nothing:
        console.output.print("nothing moved")


def _facts(record: Record) -> dict[str, Any]:
    return {
        "network": record.network,
        "device": record.device,
        "recorded": record.recorded,
        "images": [entry.name for entry in record.golden],
        "weights_sha256": record.weights_sha256,
        "float64_error": record.float64_error,
    }


def _network_of(
    record: Record,
    name: Path,
    checkpoint: Path | None,
    network: str | None,
    weights: Path | None,
    spec: Path | None,
) -> OpenedNetwork:
    """The network that a record is of: what is named, or the bundled one with its weights.

    Raises:
        ContractError: nothing is named, and none of the bundled has them.
    """
    from s2m_edge.checkpoint import bundled_with_weights
    from s2m_edge.cli.opening import open_checkpoint, open_users_network, require_one_source
    from s2m_edge.errors import ContractError

    require_one_source(network, weights, spec, checkpoint)
    if network is not None:
        return open_users_network(network, weights, spec)
    found = checkpoint or bundled_with_weights(record.weights_sha256)
    if found is None:
        raise ContractError(
            f"{name} is of {record.network}, which is none of the bundled networks",
            "Give its --checkpoint, or --network with its --weights and --spec.",
        )
    return open_checkpoint(found, record.shapes[0][0])
