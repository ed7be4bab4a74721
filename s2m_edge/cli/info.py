"""`s2m-edge info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

LISTED = 20  # longer tables, say the hashes of all calibration images, are for programs


def info(
    path: Annotated[
        Path | None,
        typer.Argument(help="Checkpoint (file, or polyp, vessel, left-ventricle) or bundle folder; polyp if left out."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what a checkpoint or a bundle is: network, data, figures, hashes."""
    from s2m_edge.checkpoint import locate_model
    from s2m_edge.cli import console

    path = locate_model(path)
    values = _describe_bundle(path) if path.is_dir() else _describe_checkpoint(path)
    if as_json:
        console.print_json(values)
        return
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _flatten(values):
        table.add_row(key, str(value))
    console.output.print(table, soft_wrap=False)


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    from s2m_edge.checkpoint import read_header
    from s2m_edge.contract import INTENDED_USE, NOTICE

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

    from s2m_edge.targets.bundle import open_bundle
    from s2m_edge.targets.parity.report import PARITY_FILE

    bundle = open_bundle(path)
    described: dict[str, Any] = {"kind": "bundle", "folder": str(path), **bundle.contract.values}
    report = path / PARITY_FILE
    if report.is_file():
        figures = json.loads(report.read_text(encoding="utf-8"))
        described["parity"] = {
            key: figures[key]
            for key in ("verdict", "remark", "passed", "image_count", "edge_device", "reference_device", "summary")
            if key in figures  # bundles of earlier versions have no remark
        }
    return described


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
