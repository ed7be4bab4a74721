"""What the site consists of: a table from URL path to file, so that nothing outside it can be asked for."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from s2m_edge.apps.web.build import STAMP
from s2m_edge.deploy.bundle import require_whole
from s2m_edge.deploy.contract import CONTRACT_FILE, require_plain_path
from s2m_edge.deploy.golden import GOLDEN_FILE
from s2m_edge.errors import ContractError, OutputError
from s2m_edge.files import FolderKind, exactly, file_sha256, publish_folder, staged_folder
from s2m_edge.samples import SAMPLES, sample_images
from s2m_edge.train.data.presets import dataset_title

if TYPE_CHECKING:
    from s2m_edge.deploy.bundle import Bundle

TARGET = "onnx"
INDEX = "bundles/index.json"
SAMPLE_INDEX = "samples/index.json"
PACKED = ".gzip"
"""Ends the name of a file that is handed out packed, as in apps/web/src/core/gzip.js, which says why."""

FILES = "files.json"
"""Names every file of a written site, so that another may replace it and nothing else."""


@dataclass(frozen=True)
class Site:
    """Everything that is handed out.

    Attributes:
        files: URL path without leading slash, to a file on disk.
        texts: URL path to what is made here: JSON text, and packed files.
        hashes: SHA-256 by URL path, of the files that a contract names.
    """

    files: dict[str, Path]
    texts: dict[str, bytes]
    hashes: dict[str, str] = field(default_factory=dict)

    def content(self, path: str) -> bytes | None:
        """The bytes of a URL path, or None where it is not part of the site."""
        if path in self.texts:
            return self.texts[path]
        return self.files[path].read_bytes() if path in self.files else None

    def paths(self) -> list[str]:
        return sorted({*self.files, *self.texts})


def make_site(dist: Path, bundles: Sequence[Bundle]) -> Site:
    """The built page, the chosen bundles with an index of their files' hashes, and the bundled sample pictures.

    Raises:
        ContractError: a bundle is not for this app, did not pass its gate, or lacks a file.
    """
    files = {path.relative_to(dist).as_posix(): path for path in sorted(dist.rglob("*")) if path.is_file()}
    files.pop(STAMP, None)
    entries: list[dict[str, Any]] = []
    hashes: dict[str, str] = {}
    made: dict[str, bytes] = {}
    for bundle in bundles:
        name = _free_name(_plain_name(bundle.folder), [entry["id"] for entry in entries])
        parts = _bundle_files(bundle)
        provenance = bundle.contract.values["checkpoint"]["provenance"]
        listed = {part: _listed(path.read_bytes()) for part, path in parts.items()}
        packed = gzip.compress(parts[GOLDEN_FILE].read_bytes(), mtime=0)
        listed[GOLDEN_FILE]["packed"] = _listed(packed)
        made[f"bundles/{name}/{GOLDEN_FILE}{PACKED}"] = packed
        entries.append(
            {
                "id": name,
                "target": bundle.contract.target,
                "precision": bundle.contract.precision,
                "network": bundle.contract.values["network"]["name"],
                "domain": provenance.get("domain"),
                "dataset": dataset_title(provenance["dataset"]) if "dataset" in provenance else None,
                "files": listed,
            }
        )
        files.update({f"bundles/{name}/{part}": path for part, path in parts.items()})
        hashes.update({f"bundles/{name}/{part}": digest for part, digest in bundle.contract.files.items()})
    pictures = sample_images(None)
    files.update({f"samples/{path.name}": path for path in pictures})
    files["samples/ATTRIBUTION.md"] = SAMPLES / "ATTRIBUTION.md"
    samples = [
        {
            "file": path.name,
            "domain": path.name.split("-")[0],
            "bytes": path.stat().st_size,
            "sha256": file_sha256(path),
        }
        for path in pictures
    ]
    texts = {**made, INDEX: _json({"bundles": entries}), SAMPLE_INDEX: _json({"samples": samples})}
    texts[FILES] = _json({"files": sorted({*files, *texts, FILES})})
    return Site(files, texts, hashes)


def site_files(folder: Path) -> list[str]:
    """The files of a written site, by its own list; none where it has no such list."""
    try:
        values = json.loads((folder / FILES).read_text(encoding="utf-8"))
        return [exactly(name) for name in values["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


SITE = FolderKind("a site written by this command", site_files)


def _bundle_files(bundle: Bundle) -> dict[str, Path]:
    """The contract and every file that it names, by path inside the bundle."""
    if bundle.contract.target != TARGET:
        raise ContractError(
            f"{bundle.folder} is for the target {bundle.contract.target}; the web app runs {TARGET} bundles",
            f"Export one: s2m-edge export --target {TARGET}.",
        )
    bundle.contract.require_proved()
    for name in bundle.contract.files:
        require_plain_path(name, str(bundle.folder / CONTRACT_FILE))
    require_whole(bundle)
    return {name: bundle.folder / name for name in (CONTRACT_FILE, *bundle.contract.files)}


def _listed(content: bytes) -> dict[str, Any]:
    """A file as the index has it."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _plain_name(folder: Path) -> str:
    """A folder's name as one segment of a path and of an address, whatever characters it has."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip(".-") or "bundle"


def _free_name(name: str, taken: Sequence[str]) -> str:
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}-{number}"
    return free


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()


def write_site(site: Site, out: Path) -> None:
    """The site as a folder that any HTTPS server can hand out.

    Raises:
        OutputError: the place cannot be written, or holds something else.
        ContractError: a bundle's file is no longer the one that was checked.
    """
    with staged_folder(out, SITE) as stage:
        for path in site.paths():
            target = _inside(stage, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path in site.texts:
                target.write_bytes(site.texts[path])
            else:
                shutil.copyfile(site.files[path], target)
            if path in site.hashes and file_sha256(target) != site.hashes[path]:
                raise ContractError(f"{site.files[path]} was changed while it was copied", "Export the bundle again.")
        publish_folder(stage, out, SITE)


def _inside(stage: Path, path: str) -> Path:
    """Where a path of the site lies in the folder that is written: never outside, whoever made the path.

    Raises:
        OutputError: it would lie elsewhere.
    """
    parts = PurePosixPath(path).parts
    target = stage / path
    if not parts or ".." in parts or "\\" in path or not target.resolve().is_relative_to(stage.resolve()):
        raise OutputError(f"the site has a path outside its folder ({path!a})", "Export the bundle again.")
    return target
