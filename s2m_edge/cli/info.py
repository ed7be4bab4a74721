"""`s2m-edge info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


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


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows.extend(_flatten(value, f"{prefix}{key}."))
        else:
            rows.append((f"{prefix}{key}", value))
    return rows
