"""`s2m-edge predict --manifest`: an archive instead of a few pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from s2m_edge.targets.archive.archive import Engine, Totals
from s2m_edge.targets.archive.job import Options

SHOWN_FAILURES = 5


def predict_archive(
    bundle: Path,
    manifest: Path,
    out: Path,
    options: Options,
    *,
    formats: str | None,
    slices: str | None,
    default_slice: int | None,
    engine: str,
    workers: int,
    threads: int | None,
    ray_address: str | None,
    as_json: bool,
    seg_type: str | None = None,
) -> None:
    """Segment a manifest's pictures, and say how many were done, skipped and failed.

    Args:
        options: without formats and slices.
        formats, slices, seg_type: of studies, as the command line has them.
        default_slice: of rows that name none.
        threads: of each worker; an equal share of the cores where None.

    Raises:
        ImageError: some pictures failed; the others are done.
        S2MEdgeError: the request is wrong, or no item at all can be worked on.
    """
    from s2m_edge import console, interrupts
    from s2m_edge.deploy.activation import require_threshold
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.devices import usable_cores
    from s2m_edge.errors import ImageError
    from s2m_edge.imaging.planes import find_plane
    from s2m_edge.notice import NOTICE
    from s2m_edge.targets.archive.archive import work_through
    from s2m_edge.targets.archive.local import Crew
    from s2m_edge.targets.archive.manifest import read_manifest
    from s2m_edge.targets.opening import target_of

    chosen = _engine(engine, ray_address)
    if options.plane is not None:
        find_plane(options.plane)
    options = _with_studies(options, formats, slices, default_slice, seg_type)
    opened = open_bundle(bundle, proved=options.proved)
    contract, target = opened.contract, target_of(opened)
    target.require_backend()
    _ = opened.guard  # a damaged one is refused before any work
    if not contract.proved:
        console.print_warning("this bundle did not pass its parity gate; its masks are not proved")
    if options.threshold is not None:
        require_threshold(options.threshold, contract.values["output"]["shape"][1])
    listed = read_manifest(manifest, default_slice)
    if listed.ignored:
        console.status.print(f"note: columns that nothing is done with: {', '.join(listed.ignored)}", soft_wrap=True)
    each = max(1, usable_cores() // workers) if threads is None else threads
    # Absolute: the processes of a cluster have working folders of their own.
    crew = Crew(bundle.absolute(), out.absolute(), options, workers, each)
    with interrupts.resumable(), console.progress_bar(f"predict with {target.name}") as update:
        totals = work_through(listed, crew, engine=chosen, address=ray_address, progress=update)
    if as_json:
        console.print_json({**_values(totals), "bundle": str(bundle), "out": str(out), "notice": NOTICE})
    else:
        _print(totals, out)
    if totals.failed:
        for path, error in totals.failures[:SHOWN_FAILURES]:
            console.print_warning(f"{path}: {error}" if path not in error else error)
        raise ImageError(
            f"{totals.failed} of {totals.items} pictures failed",
            f"See {out / 'failures.csv'}; the same command does these again, and no others.",
        )


def _with_studies(
    options: Options, formats: str | None, slices: str | None, default_slice: int | None, seg_type: str | None
) -> Options:
    from s2m_edge.cli.predict_study import seg_type_of
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.targets.study.results import study_formats
    from s2m_edge.targets.study.slices import chosen_slices

    if slices is not None and default_slice is not None:
        raise ConfigurationError("--slice and --slices are given together", "Give one of them.")
    wanted = None if slices is None else chosen_slices(slices)
    asked = "png" if formats is None and slices is not None else formats
    chosen = () if asked is None else study_formats(asked)
    if options.codes is not None and "dicom-seg" not in chosen:
        raise ConfigurationError("--codes is for DICOM-SEG", "Add --format dicom-seg.")
    return replace(
        options,
        formats=chosen,
        slices=wanted,
        codes=None if options.codes is None else options.codes.absolute(),
        seg_type=seg_type_of(seg_type, chosen),
    )


def _engine(name: str, ray_address: str | None) -> Engine:
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.targets.archive.archive import ENGINES

    for engine in ENGINES:
        if engine == name:
            if ray_address is not None and engine != "ray":
                raise ConfigurationError("--ray-address is for --engine ray", "Add --engine ray, or leave it out.")
            if engine == "ray":
                from s2m_edge.targets.archive.ray_engine import require_ray

                require_ray()
            return engine
    raise ConfigurationError(f"there is no engine {name!r}", f"Choose --engine {' or '.join(ENGINES)}.")


def _values(totals: Totals) -> dict[str, object]:
    return {
        "items": totals.items,
        "done": totals.done,
        "skipped": totals.skipped,
        "failed": totals.failed,
        "unusual": totals.unusual,
        "seconds": round(totals.seconds, 2),
        "failures": [{"path": path, "error": error} for path, error in totals.failures],
    }


def _print(totals: Totals, out: Path) -> None:
    from s2m_edge import console
    from s2m_edge.notice import NOTICE
    from s2m_edge.targets.archive.tables import FAILURES_FILE, RESULTS_FILE

    pace = f", {totals.done / totals.seconds:.2f} pictures/s" if totals.done and totals.seconds else ""
    counted = "1 picture" if totals.items == 1 else f"{totals.items} pictures"
    console.output.print(
        f"{counted}: {totals.done} done, {totals.skipped} skipped (done before), {totals.failed} failed; "
        f"{totals.seconds:.1f} s{pace}"
    )
    if totals.unusual:
        console.output.print(f"{totals.unusual} unlike the pictures that the network was trained on (column unusual)")
    console.output.print(f"masks and overlays: {out}; tables: {RESULTS_FILE}, {FAILURES_FILE}")
    console.output.print(NOTICE)
