"""What the site consists of: a table from URL path to file, so that nothing outside it can be asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.apps.web.build import STAMP
from s2m_edge.contract import CONTRACT_FILE
from s2m_edge.errors import ContractError, OutputError
from s2m_edge.files import file_sha256, publish_folder, staged_folder
from s2m_edge.reference import GOLDEN_FILE
from s2m_edge.samples import SAMPLES, sample_images

if TYPE_CHECKING:
    from s2m_edge.targets.bundle import Bundle

TARGET = "onnx"
INDEX = "bundles/index.json"
SAMPLE_INDEX = "samples/index.json"
PARITY_FILE = "parity.json"
_MARKER = "site.webmanifest"


@dataclass(frozen=True)
class Site:
    """Everything that is handed out.

    Attributes:
        files: URL path without leading slash, to a file on disk.
        texts: URL path to JSON text made here.
    """

    files: dict[str, Path]
    texts: dict[str, bytes]

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
        ContractError: a bundle is not for this app, or lacks a file.
    """
    files = {path.relative_to(dist).as_posix(): path for path in sorted(dist.rglob("*")) if path.is_file()}
    files.pop(STAMP, None)
    entries: list[dict[str, Any]] = []
    for bundle in bundles:
        name = _free_name(bundle.folder.resolve().name, [entry["id"] for entry in entries])
        parts = _bundle_files(bundle)
        entries.append(
            {
                "id": name,
                "target": bundle.contract.target,
                "precision": bundle.contract.precision,
                "checkpoint": bundle.contract.values["checkpoint"]["file"],
                "domain": bundle.contract.values["checkpoint"]["provenance"].get("domain"),
                "files": {
                    part: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for part, path in parts.items()
                },
            }
        )
        files.update({f"bundles/{name}/{part}": path for part, path in parts.items()})
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
    return Site(files, {INDEX: _json({"bundles": entries}), SAMPLE_INDEX: _json({"samples": samples})})


def _bundle_files(bundle: Bundle) -> dict[str, Path]:
    if bundle.contract.target != TARGET:
        raise ContractError(
            f"{bundle.folder} is for the target {bundle.contract.target}; the web app runs {TARGET} bundles",
            f"Export one: s2m-edge export --target {TARGET}.",
        )
    names = [CONTRACT_FILE, GOLDEN_FILE, PARITY_FILE, *bundle.contract.values["artifact"]["sha256"]]
    for name in names:
        if not (bundle.folder / name).is_file():
            raise ContractError(f"{bundle.folder} lacks {name}", "Copy the whole bundle, or export it again.")
    return {name: bundle.folder / name for name in names}


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
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / _MARKER).is_file()):
        raise OutputError(f"{out} exists and is not a site written by this command", "Choose another place with --out.")
    with staged_folder(out) as stage:
        for path in site.paths():
            target = stage / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if path in site.texts:
                target.write_bytes(site.texts[path])
            else:
                shutil.copyfile(site.files[path], target)
        publish_folder(stage, out)
