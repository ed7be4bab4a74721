"""Working through an archive: who does what is left to do, and what is known in the end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2m_edge import interrupts
from s2m_edge.errors import ConfigurationError, OutputError
from s2m_edge.files import alone, require_writable
from s2m_edge.leftovers import remove_unfinished
from s2m_edge.targets.archive.job import Job, Known, known_of
from s2m_edge.targets.archive.ledger import Ledger, open_ledger
from s2m_edge.targets.archive.local import Crew, work_locally
from s2m_edge.targets.archive.manifest import Item, Manifest, input_paths
from s2m_edge.targets.archive.tables import require_own_tables, write_tables

Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "ray")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Totals:
    """How an archive ended.

    Attributes:
        items: of the manifest.
        done, skipped, failed: in this call; skipped are those that were done before.
        unusual: of the items that are done, those that are unlike the pictures the network was trained on.
        seconds: of this call's work.
        failures: path and error of each that failed.
    """

    items: int
    done: int
    skipped: int
    failed: int
    unusual: int
    seconds: float
    failures: tuple[tuple[str, str], ...]


def work_through(
    manifest: Manifest,
    crew: Crew,
    *,
    engine: Engine = "local",
    address: str | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Totals:
    """Work on every item that is not done yet, and write the tables.

    Args:
        crew: who works, and where the results go.
        address: of a Ray cluster; one of this machine's own otherwise.
        progress: called with the last item's name, items ended and in all.

    Raises:
        ConfigurationError: another process works on the archive.
        OutputError: the place cannot be written, or holds something that would be lost.
        InputError: the ledger is damaged.
        S2MEdgeError: no item at all can be worked on. What was done is in the ledger.
    """
    out = crew.out
    require_writable(out)
    counts = {"done": 0, "skipped": 0, "failed": 0}
    with alone(out, "the archive"), open_ledger(out) as ledger:
        require_own_tables(out, ledger)
        _require_apart(manifest, out)
        if crew.options.overwrite:
            _require_no_input(manifest, out)
        total = len(manifest.items)
        progress("", 0, total)
        began = time.perf_counter()
        jobs = _jobs(manifest, ledger)
        try:
            for outcome in _outcomes(jobs, crew, engine, address):
                counts[outcome.status] += 1
                if outcome.status != "skipped":
                    ledger.append(outcome.record)
                progress(str(outcome.record["name"]), sum(counts.values()), total)
        finally:
            _sweep(manifest, out)
        seconds = time.perf_counter() - began
        told = write_tables(out, ledger, manifest.items)
    return Totals(total, counts["done"], counts["skipped"], counts["failed"], told.unusual, seconds, told.failures)


def _outcomes(jobs: Iterator[Job], crew: Crew, engine: Engine, address: str | None) -> Iterator[Any]:
    if engine == "local":
        return work_locally(jobs, crew)
    from s2m_edge.targets.archive.ray_engine import work_with_ray

    return work_with_ray(jobs, crew, address)


def _jobs(manifest: Manifest, ledger: Ledger) -> Iterator[Job]:
    for item in manifest.items:
        interrupts.heed()
        yield Job(item, _known(ledger, item))


def _sweep(manifest: Manifest, out: Path) -> None:
    """Remove what workers that were killed, or machines that were lost, had begun to write for the manifest's items."""
    names: dict[Path, set[str]] = {}
    for item in manifest.items:
        place = out / item.name
        names.setdefault(place.parent, set()).add(place.name)
    for folder, items in names.items():
        remove_unfinished(folder, lambda name, items=items: _is_output(name, items))


def _is_output(name: str, items: Collection[str]) -> bool:
    """Whether a file's name is that of an item's result: the item's own name, and what sets the results apart."""
    return any(name[end : end + 1] in ("", "-", ".") and name[:end] in items for end in range(1, len(name) + 1))


def _known(ledger: Ledger, item: Item) -> Known | None:
    return known_of(ledger.record(item.name)) if item.name in ledger.entries else None


def _require_apart(manifest: Manifest, out: Path) -> None:
    """Raise ConfigurationError where the archive lies in a study's folder, which its results would change."""
    above = {str(path) for path in (out.absolute(), *out.absolute().parents)}
    for item in manifest.items:
        if os.path.abspath(item.path) in above:
            raise ConfigurationError(f"{out} lies in {item.written}, a study", "Choose a folder elsewhere with --out.")


def _require_no_input(manifest: Manifest, out: Path) -> None:
    """Raise OutputError where an output would replace a picture of the manifest, which no option allows."""
    inputs = set(input_paths(manifest.items))
    for item in manifest.items:
        for mark in ("", "-unproved"):
            for kind in ("mask", "overlay"):
                path = out / f"{item.name}{mark}-{kind}.png"
                if os.path.realpath(path) in inputs:
                    raise OutputError(
                        f"{path}, the output of {item.written}, is a picture of the manifest",
                        "Choose another folder with --out.",
                    )
