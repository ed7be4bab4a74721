"""Which of the kept bundles can be taken again: those that the same tools would make anew of the same checkpoint.

A bundle's contract says of which weights it was made, in which size, precision and lowering, and with which versions;
its gate and the hashes of its files are checked whenever it is opened. What no version tells, changes of this package's
own exporters while they are worked on, is a hash over their sources, kept beside the bundle.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import s2m_edge
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.errors import S2MEdgeError
from s2m_edge.files import write_json
from s2m_edge.text_files import read_text
from s2m_edge.versions import pinned_requirements, tool_versions

if TYPE_CHECKING:
    from s2m_edge.deploy.spec import NetworkSpec
    from s2m_edge.targets.measure.benchmark.plan import Combination
    from s2m_edge.targets.registry import Target

PACKAGE = Path(s2m_edge.__file__).parent
SHARED_SOURCES = ("deploy", "network", "targets/rewrites", "targets/measure/parity")
"""Folders that take part in every export, beside the target's own and the modules of `targets/` itself."""


def why_not_current(folder: Path, spec: NetworkSpec, combination: Combination) -> str | None:
    """Why the bundle in `folder` has to be exported anew; None where it can be taken. Empty where there is none.

    Args:
        spec: of the network that it should be of.
    """
    if not folder.exists():
        return ""
    try:
        contract = open_bundle(folder).contract
    except S2MEdgeError as error:
        return error.cause
    preprocessing = contract.preprocessing
    wanted = {
        "weights": (contract.weights_sha256, spec.weights_sha256),
        "target": (contract.target, combination.target.name),
        "precision": (contract.precision, combination.precision),
        "lowering": (contract.spectral, combination.spectral),
        "preprocessing": (preprocessing, spec.preprocessing),
    }
    for what, (kept, now) in wanted.items():
        if kept != now:
            return f"its {what} differ" if what == "weights" else f"its {what} differs"
    kept_tools = contract.values["tools"]
    for name, version in relevant_versions(combination.target).items():
        if kept_tools.get(name) != version:
            return f"made with {name} {kept_tools.get(name, 'of unknown version')}, now {version}"
    if _read_digest(folder) != exporter_digest(combination.target):
        return "the exporter's sources changed"
    return None


def relevant_versions(target: Target) -> dict[str, str]:
    """Versions of what makes a target's artifacts: s2m-edge, the platform, what every install has, and its extra.

    Other targets' backends may come and go.
    """
    extras = {"", target.extra} | ({"quantize"} if len(target.precisions) > 1 else set())
    names = {"s2m-edge", "platform", target.distribution}
    names |= {name for name, _, extra in pinned_requirements() if extra in extras}
    return {name: version for name, version in tool_versions().items() if name in names}


def note_made(folder: Path, target: Target) -> None:
    """Remember beside a bundle with which sources it was made."""
    write_json(_digest_file(folder), {"exporter_sha256": exporter_digest(target)})


@cache
def exporter_digest(target: Target) -> str:
    """Hash over the sources of the package that take part in an export to `target`."""
    own = "/".join(target.exporter.split(":")[0].split(".")[1:-1])
    folders = [PACKAGE / name for name in (*SHARED_SOURCES, own)]
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".hpp", ".cpp")]
    paths += sorted((PACKAGE / "targets").glob("*.py"))
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _digest_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.made.json")


def _read_digest(folder: Path) -> str | None:
    try:
        return json.loads(read_text(_digest_file(folder)))["exporter_sha256"]
    except (S2MEdgeError, OSError, ValueError, LookupError, TypeError):
        return None
