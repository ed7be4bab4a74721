"""`s2m-edge doctor`."""

from __future__ import annotations

from typing import Any

from s2m_edge.cli.options import JsonOption


def doctor(as_json: JsonOption = False) -> None:
    """Say what is installed, what can run here, what is missing, and the command that gets it."""
    from s2m_edge import console

    findings = _examine()
    if as_json:
        console.print_json(findings)
        return
    from rich.table import Table
    from rich.text import Text

    machine = "; ".join(f"{key} {value}" for key, value in findings["machine"].items())
    console.output.print(Text.assemble(("machine", "bold"), f"  {machine}"))
    table = Table(title_justify="left", title="Packages and targets")
    for heading in ("what", "wanted", "installed", "here", "remedy"):
        table.add_column(heading, overflow="fold")
    colours = {"ok": "green", "other version": "yellow", "missing": "red"}
    for row in findings["packages"]:
        mark = Text(row["state"], style=colours[row["state"]])
        table.add_row(row["name"], row["wanted"], row["installed"] or "-", mark, row["remedy"])
    console.output.print(table, soft_wrap=False)
    for row in findings["targets"]:
        console.output.print(f"{row['name']:<11} {row['here']}")
    for row in findings["programs"]:
        console.output.print(f"{row['name']:<13} {row['path'] or row['remedy']} (for {row['use']})")
    for row in findings["desktop"]:
        console.output.print(_qt_line(row), markup=False)
    console.output.print("image formats: " + ", ".join(row["name"] for row in findings["formats"] if row["readable"]))
    for row in findings["formats"]:
        if not row["readable"]:
            console.output.print(f"  {row['name']}: {row['remedy']}")
    console.output.print(f"telemetry: {findings['telemetry']}")


def _examine() -> dict[str, Any]:
    import os
    import platform
    from dataclasses import asdict

    from s2m_edge.checkpoint import BUNDLED_CHECKPOINTS
    from s2m_edge.imaging.decoders import image_formats
    from s2m_edge.installation import install_command
    from s2m_edge.processor import features_text, processor_name
    from s2m_edge.targets.registry import TARGETS
    from s2m_edge.telemetry import STATE
    from s2m_edge.versions import installed_version, pinned_requirements

    owners = {target.distribution: target for target in TARGETS}
    elsewhere = {target.extra for target in TARGETS if not target.exists_here()}
    packages: list[dict[str, str | None]] = []
    for name, wanted, extra in pinned_requirements():
        if extra in elsewhere:
            continue
        found = installed_version(name)
        # A local build tag (torch 2.13.0+cpu) is the same release.
        same = found is not None and found.split("+")[0] == wanted
        state = "ok" if same else "missing" if found is None else "other version"
        remedy = "" if same else install_command(extra) if extra else f"pip install {name}=={wanted}"
        packages.append({"name": name, "wanted": wanted, "installed": found, "state": state, "remedy": remedy})
    targets = []
    for target in TARGETS:
        installed = target.version() is not None
        here = (
            target.parity_here if installed else f"not installed: {install_command(owners[target.distribution].extra)}"
        )
        if target.extra in elsewhere:
            here = f"only on {' or '.join(target.machines)}"
        targets.append({"name": target.name, "installed": installed, "here": here})
    lacking = [name for name, path in BUNDLED_CHECKPOINTS.items() if not path.is_file()]
    return {
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": processor_name(),
            "instruction sets": features_text(),
            "cores": os.cpu_count(),
            "bundled checkpoints": f"missing: {', '.join(lacking)}; reinstall s2m-edge" if lacking else "present",
        },
        "packages": packages,
        "targets": targets,
        "programs": _programs(),
        "desktop": _desktop(),
        "formats": [asdict(entry) for entry in image_formats()],
        "telemetry": STATE,
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


def _desktop() -> list[dict[str, Any]]:
    """Whether Qt starts, for the desktop app; nothing where it is not installed, which is optional."""
    import importlib.util
    from dataclasses import asdict

    from s2m_edge.apps.desktop.qt import qt_starts

    return [asdict(row) for row in qt_starts()] if importlib.util.find_spec("PySide6") else []


def _qt_line(row: dict[str, Any]) -> str:
    """One line of a platform of Qt's: `row` is a QtStart."""
    states = {True: "starts", False: f"does not start ({row['said']})", None: "not tried: there is no display here"}
    return f"Qt, {row['platform']:<9} {states[row['starts']]}" + (f": {row['remedy']}" if row["remedy"] else "")
