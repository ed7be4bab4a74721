"""`s2m-edge doctor`."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Say what is installed, what can run here, what is missing, and the command that gets it."""
    from s2m_edge.cli import console

    findings = _examine()
    if as_json:
        console.print_json(findings)
        return
    from rich.table import Table

    console.output.print(
        "[bold]machine[/]  " + "; ".join(f"{key} {value}" for key, value in findings["machine"].items())
    )
    table = Table(title_justify="left", title="Packages and targets")
    for heading in ("what", "wanted", "installed", "here", "remedy"):
        table.add_column(heading, overflow="fold")
    marks = {"ok": "[green]ok[/]", "other version": "[yellow]other version[/]", "missing": "[red]missing[/]"}
    for row in findings["packages"]:
        table.add_row(row["name"], row["wanted"], row["installed"] or "-", marks[row["state"]], row["remedy"])
    console.output.print(table, soft_wrap=False)
    for row in findings["targets"]:
        console.output.print(f"{row['name']:<11} {row['here']}", markup=False)
    for row in findings["programs"]:
        console.output.print(f"{row['name']:<13} {row['path'] or row['remedy']} (for {row['use']})", markup=False)


def _examine() -> dict[str, Any]:
    import os
    import platform
    from importlib import metadata

    from s2m_edge.checkpoint import BUNDLED_CHECKPOINTS
    from s2m_edge.targets.registry import TARGETS
    from s2m_edge.versions import installed_version

    owners = {target.distribution: target for target in TARGETS}
    elsewhere = {target.extra for target in TARGETS if not target.exists_here()}
    packages: list[dict[str, str | None]] = []
    for name, wanted, extra in _pinned(metadata.requires("s2m-edge") or []):
        if extra in elsewhere:
            continue
        found = installed_version(name)
        # A local build tag (torch 2.13.0+cpu) is the same release.
        same = found is not None and found.split("+")[0] == wanted
        state = "ok" if same else "missing" if found is None else "other version"
        remedy = "" if same else f"pip install 's2m-edge[{extra}]'" if extra else f"pip install {name}=={wanted}"
        packages.append({"name": name, "wanted": wanted, "installed": found, "state": state, "remedy": remedy})
    targets = []
    for target in TARGETS:
        installed = target.version() is not None
        here = (
            target.parity_here
            if installed
            else f"not installed: pip install 's2m-edge[{owners[target.distribution].extra}]'"
        )
        if target.extra in elsewhere:
            here = f"only on {' or '.join(target.machines)}"
        targets.append({"name": target.name, "installed": installed, "here": here})
    lacking = [name for name, path in BUNDLED_CHECKPOINTS.items() if not path.is_file()]
    return {
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "bundled checkpoints": f"missing: {', '.join(lacking)}; reinstall s2m-edge" if lacking else "present",
        },
        "packages": packages,
        "targets": targets,
        "programs": _programs(),
    }


def _programs() -> list[dict[str, str | None]]:
    """What else is called: where it is, or how to get it."""
    from s2m_edge.apps.web.build import find_node
    from s2m_edge.errors import MissingBackendError
    from s2m_edge.native import BUILD_REMEDY, find_cmake, find_compiler

    kernels = "--spectral custom and the board's program"
    try:
        node, remedy = find_node().program, ""
    except MissingBackendError as error:
        node, remedy = None, f"{error.cause}. {error.remedy}"
    found = (("C++ compiler", find_compiler(), kernels), ("CMake", find_cmake(), kernels))
    return [
        *(
            {"name": name, "path": path, "use": use, "remedy": "" if path else BUILD_REMEDY}
            for name, path, use in found
        ),
        {"name": "Node.js", "path": node, "use": "building the web app", "remedy": remedy},
    ]


def _pinned(requirements: list[str]) -> list[tuple[str, str, str]]:
    """Name, version and extra of every exactly pinned requirement, each once, without development tools."""
    import re

    found: dict[str, tuple[str, str, str]] = {}
    for text in requirements:
        match = re.match(r"([A-Za-z0-9_.-]+)==([^;\s]+)\s*(?:;.*extra\s*==\s*[\"']([^\"']+)[\"'])?", text)
        if match and match.group(3) != "dev":
            found.setdefault(match.group(1), (match.group(1), match.group(2), match.group(3) or ""))
    return list(found.values())
