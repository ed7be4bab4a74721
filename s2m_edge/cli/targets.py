"""`s2m-edge targets`."""

from __future__ import annotations

from typing import Annotated

import typer


def targets(as_json: Annotated[bool, typer.Option("--json", help="Print the registry as JSON.")] = False) -> None:
    """List the targets: precisions, spectral lowerings, where each runs, whether it is installed."""
    from dataclasses import asdict

    from rich.table import Table

    from s2m_edge.cli import console
    from s2m_edge.targets.registry import TARGETS

    if as_json:
        console.print_json([{**asdict(entry), "installed": entry.version()} for entry in TARGETS])
        return
    table = Table(title="Targets", title_justify="left")
    for heading in ("target", "artifact", "precisions", "--spectral", "installed"):
        table.add_column(heading)
    for entry in TARGETS:
        lowerings = ", ".join(lowering.name for lowering in entry.lowerings)
        version = entry.version()
        table.add_row(
            f"[bold]{entry.name}[/]",
            f"*{entry.suffix}",
            ", ".join(entry.precisions),
            lowerings,
            f"{entry.distribution} {version}" if version else "[yellow]no[/]",
        )
    console.output.print(table, soft_wrap=False)
    for entry in TARGETS:
        console.output.print(f"\n[bold]{entry.title}[/] ({entry.name})")
        console.output.print(f"  runs on      {entry.runs_on}")
        console.output.print(f"  parity here  {entry.parity_here}")
        for lowering in entry.lowerings:
            measured = f"; {lowering.measured}" if lowering.measured else ""
            needs = f"; executing it needs {lowering.needs}" if lowering.needs else ""
            console.output.print(f"  {lowering.name:<12} {lowering.form}{measured}{needs}", markup=False)
        if entry.version() is None:
            console.output.print(f"  install      pip install 's2m-edge[{entry.extra}]'", markup=False)
