"""`s2m-edge targets`."""

from __future__ import annotations

from s2m_edge.cli.options import JsonOption


def targets(as_json: JsonOption = False) -> None:
    """List the targets: precisions, spectral lowerings, where each runs, whether it is installed."""
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from s2m_edge import console
    from s2m_edge.installation import install_command
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
            Text(entry.name, style="bold"),
            f"*{entry.suffix}",
            ", ".join(entry.precisions),
            lowerings,
            f"{entry.distribution} {version}" if version else Text("no", style="yellow"),
        )
    console.output.print(table, soft_wrap=False)
    for entry in TARGETS:
        console.output.print(Text.assemble("\n", (entry.title, "bold"), f" ({entry.name})"))
        console.output.print(f"  runs on      {entry.runs_on}")
        console.output.print(f"  parity here  {entry.parity_here}")
        for lowering in entry.lowerings:
            needs = f"; executing it needs {lowering.needs}" if lowering.needs else ""
            console.output.print(f"  {lowering.name:<12} {lowering.form}{needs}")
        if entry.version() is None:
            console.output.print(f"  install      {install_command(entry.extra)}")
