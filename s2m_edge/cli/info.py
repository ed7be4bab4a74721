"""`s2m-edge info`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from s2m_edge.cli.options import BUNDLED, JsonOption

LISTED = 20  # longer tables, say the hashes of all calibration images, are for programs


def info(
    path: Annotated[
        Path | None,
        typer.Argument(help=f"Checkpoint (file, or {BUNDLED}) or bundle folder; polyp if left out."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All of it: configuration, training, tools, every hash.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a checkpoint or a bundle is: network, data, figures, hashes. Ten lines of what matters, or --all."""
    from s2m_edge import console
    from s2m_edge.checkpoint import locate_model

    path = locate_model(path)
    values = _describe_bundle(path) if path.is_dir() else _describe_checkpoint(path)
    if as_json:
        console.print_json(values)
        return
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = _flatten(values) if everything else _essence(values)
    for key, value in rows:
        table.add_row(key, str(value))
    console.output.print(table, soft_wrap=False)
    if not everything:
        console.status.print("--all prints the rest.")


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    from s2m_edge.checkpoint import read_header
    from s2m_edge.notice import INTENDED_USE, NOTICE

    header = read_header(path)
    return {
        "kind": "checkpoint",
        "file": str(header.path),
        "bytes": header.path.stat().st_size,
        "sha256": header.sha256,
        "values": header.parameters,
        "network": header.config.to_dict(),
        "provenance": header.provenance,
        "intended_use": INTENDED_USE,
        "notice": NOTICE,
    }


def _describe_bundle(path: Path) -> dict[str, Any]:
    import json

    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.errors import ContractError
    from s2m_edge.targets.measure.parity.report import PARITY_FILE

    bundle = open_bundle(path, proved=False)
    described: dict[str, Any] = {"kind": "bundle", "folder": str(path), **bundle.contract.values}
    guard = bundle.guard
    described["guard"] = (
        "no guard: pictures unlike the training's go unnoticed"
        if guard is None
        else {"threshold": guard.threshold, **guard.provenance}
    )
    report = path / PARITY_FILE
    if report.is_file():
        try:
            figures = json.loads(report.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            raise ContractError(f"{report} is not readable JSON", "Export the bundle again.") from None
        described["parity"] = {
            key: figures[key]
            for key in ("verdict", "remark", "passed", "image_count", "edge_device", "reference_device", "summary")
            if isinstance(figures, dict) and key in figures  # bundles of earlier versions have no remark
        }
    return described


def _essence(values: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know first, as rows: what it is, what it takes and gives, how good, how proved."""
    from s2m_edge.train.data.presets import dataset_title

    bundle = values["kind"] == "bundle"
    origin = values["checkpoint"]["provenance"] if bundle else values["provenance"]
    network = values["network"]
    if bundle:
        given, parity = values["preprocessing"], values["parity"]
        size, names = f"{given['height']} x {given['width']}", [entry["name"] for entry in values["classes"]]
        proved = f"{'passed' if parity['passed'] else 'FAILED'}, {parity['verdict']}"
        error = parity.get("summary", {}).get("max_probability_error")
        special = [
            ("target", f"{values['target']}, {values['precision']}, spectral filter: {values['spectral']}"),
            ("parity", proved if error is None else f"{proved}, largest error {error:.1e}"),
            ("guard", _text(values["guard"] if isinstance(values["guard"], str) else "warns of unusual pictures")),
        ]
        place, count, weights = values["folder"], values["artifact"]["bytes"], network["weights_sha256"]
    else:
        size, names = f"{network['size']} x {network['size']}", origin.get("class_names", [])
        special = [("values", f"{values['values']}{', quantized' if 'float' in origin else ''}")]
        place, count, weights = values["file"], values["bytes"], values["sha256"]
    return [
        (values["kind"], str(place)),
        ("network", f"{network.get('architecture', 'S2M-Net')}, {size}, classes: {_text(names)}"),
        *special,
        ("trained on", dataset_title(_text(origin.get("dataset")))),
        ("Dice", "; ".join(_recorded_dice(origin)) or "not recorded"),
        ("size", f"{count / 1e6:.1f} MB"),
        ("SHA-256", f"{weights} ({'weights' if bundle else 'file'})"),
        ("notice", values["notice"]),
    ]


def _recorded_dice(origin: dict[str, Any]) -> Iterator[str]:
    """The mean Dice of each split, as `s2m-edge evaluate --record` writes it down, the test's first."""
    found = ((key.partition("_dice"), value) for key, value in origin.items() if isinstance(value, float | int))
    named = [(split, how.replace("_", " "), value) for (split, dice, how), value in found if dice]
    for split, how, value in sorted(named, key=lambda entry: entry[0] != "test"):
        count = f", {origin[f'{split}_images']} images" if f"{split}_images" in origin else ""
        yield f"{split}{how} {value}{count}"


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Rows of dotted names and values. Of a table, say the phases of a training, each entry is a row,
    and stands after the plain values."""
    rows: list[tuple[str, str]] = []
    for key, value in sorted(values.items(), key=lambda item: _is_table(item[1])):
        name = f"{prefix}{key}"
        if isinstance(value, dict) and len(value) > LISTED:
            rows.append((name, f"{len(value)} entries, which --json prints"))
        elif isinstance(value, dict):
            rows.extend(_flatten(value, f"{name}."))
        elif _is_table(value):
            for number, entry in enumerate(value, 1):
                nested = {inner: item for inner, item in entry.items() if isinstance(item, dict) or _is_table(item)}
                own = "; ".join(f"{inner} {_text(item)}" for inner, item in entry.items() if inner not in nested)
                rows.append((f"{name}.{number}", own))
                rows.extend(_flatten(nested, f"{name}.{number}."))
        else:
            rows.append((name, _text(value)))
    return rows


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(entry) for entry in value) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
