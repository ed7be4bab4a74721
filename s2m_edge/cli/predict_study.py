"""`s2m-edge predict` of whole studies: with --slices or --format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge import console
from s2m_edge.errors import ConfigurationError, OutputError, S2MEdgeError
from s2m_edge.notice import NOTICE
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.imaging.study import Study, StudySource
    from s2m_edge.targets.base import Runner
    from s2m_edge.targets.study.results import StudyOutputs


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        paths: files and folders.
        out: the folder of the results.
        formats: names of `study_formats`.
        slices: which of each study; None: all.
        plane, volume: as a `StudySource` takes them.
        threshold, overwrite: as `segment_study` takes them.
        codes: a file of codes.
        seg_type: of DICOM-SEG.
    """

    paths: tuple[Path, ...]
    out: Path
    formats: tuple[str, ...]
    slices: range | None
    plane: str | None
    volume: int | None
    threshold: float | None
    overwrite: bool
    codes: Path | None
    seg_type: str


def request_of(
    paths: Sequence[Path], out: Path, formats: str | None, slices: str | None, slice_index: int | None, **others: Any
) -> Request:
    """The options of the command line as one request.

    Raises:
        ConfigurationError: a format or slices that are none, or --slice and --slices both.
    """
    from s2m_edge.imaging.planes import find_plane
    from s2m_edge.targets.study.results import study_formats
    from s2m_edge.targets.study.slices import chosen_slices

    if slices is not None and slice_index is not None:
        raise ConfigurationError("--slice and --slices are given together", "Give one of them.")
    if others["plane"] is not None:
        find_plane(others["plane"])
    wanted = None if slices is None else chosen_slices(slices)
    if slice_index is not None:
        wanted = range(slice_index, slice_index + 1)
    names = study_formats("png" if formats is None else formats)
    others["seg_type"] = seg_type_of(others.get("seg_type"), names)
    return Request(tuple(paths), out, names, wanted, **others)


def seg_type_of(given: str | None, formats: Sequence[str]) -> str:
    """How DICOM-SEG stores its pixels, binary by default.

    Raises:
        ConfigurationError: there is no such kind, or no DICOM-SEG was asked for.
    """
    if given is None:
        return "binary"
    from s2m_edge.imaging.results.dicom_seg import find_seg_type

    if "dicom-seg" not in formats:
        raise ConfigurationError("--seg-type is for DICOM-SEG", "Add --format dicom-seg.")
    return find_seg_type(given)


def predict_studies(bundle: Bundle, request: Request, threads: int | None, as_json: bool) -> None:
    """Predict every study of a request, write its results, and report.

    Raises:
        S2MEdgeError: of one study at least, after the others were done; or of all, before any.
    """
    from s2m_edge.files import no_empty_folder, require_writable
    from s2m_edge.imaging.study import find_studies
    from s2m_edge.targets.opening import open_runner, target_of
    from s2m_edge.targets.study.results import codes_of

    target = target_of(bundle)
    codes = codes_of(bundle, request.codes) if request.codes or "dicom-seg" in request.formats else None
    done: list[tuple[Study, StudyOutputs]] = []
    failures: list[S2MEdgeError] = []
    with no_empty_folder(request.out), console.progress_bar(f"predict with {target.name}") as update:
        sources = find_studies(request.paths, lambda at, total: update("looking for studies", at, total))
        stems = _stems(sources, "" if bundle.contract.proved else "-unproved")
        require_writable(request.out)
        _require_free(bundle, request, sources, stems)
        update("loading", 0, 0)
        runner = open_runner(bundle, threads)
        for number, (source, stem) in enumerate(zip(sources, stems, strict=True), start=1):
            place = f"{source.name}, slices" if len(sources) == 1 else f"{source.name} ({number} of {len(sources)})"
            try:
                done.append(_segmented(bundle, runner, request, source, stem, codes, update, place))
            except OutputError as error:  # the next would fail as well; what is done is reported
                failures.append(error)
                break
            except S2MEdgeError as error:
                failures.append(error)
    _report(bundle, request, runner, done, failures, len(sources), as_json)
    if failures:
        for error in failures[:-1]:
            console.print_error(error)
        raise failures[-1]


def _segmented(
    bundle: Bundle,
    runner: Runner,
    request: Request,
    source: StudySource,
    stem: str,
    codes: Any,
    update: Any,
    place: str,
) -> tuple[Study, StudyOutputs]:
    from s2m_edge.targets.study.results import segment_study

    study = source.open(request.plane, request.volume)  # type: ignore[arg-type] - checked with the request
    for remark in study.remarks:
        console.print_warning(f"{study.name}: {remark}")
    outputs = segment_study(
        bundle,
        runner,
        study,
        request.formats,
        request.out,
        stem,
        slices=request.slices,
        threshold=request.threshold,
        codes=codes,
        overwrite=request.overwrite,
        seg_type=request.seg_type,
        progress=lambda at, total: update(place, at, total),
    )
    for remark in outputs.prediction.remarks:
        console.print_warning(f"{study.name}: {remark}")
    unusual, count = outputs.prediction.unusual, outputs.prediction.study.slices
    if unusual:
        console.print_warning(
            f"{study.name}: {unusual} of {count} slices look unlike the pictures this network was trained on; their "
            "masks may mean nothing"
        )
    return study, outputs


def _stems(sources: Sequence[StudySource], mark: str) -> list[str]:
    """What the results of each study are called after, no two alike: its name; where several share one, with the folder
    that it lies in before it, or with a number behind it."""
    from s2m_edge.imaging.folders import alike, numbered
    from s2m_edge.imaging.study.names import safe_name

    names = [source.name for source in sources]
    shared = {name for group in alike(names) for name in group}
    folders = [safe_name(source.path.absolute().parent.name) for source in sources]
    told = [
        f"{folder}-{name}" if name in shared and folder else name for name, folder in zip(names, folders, strict=True)
    ]
    return [f"{name}{mark}" for name in numbered(told)]


def _require_free(bundle: Bundle, request: Request, sources: Sequence[StudySource], stems: Sequence[str]) -> None:
    """Raise OutputError, before the first study is predicted, if a file that is there would be lost."""
    from s2m_edge.targets.study.results import is_planned, require_free

    for source, stem in zip(sources, stems, strict=True):
        if not is_planned(request.formats, request.out, stem):
            continue
        try:
            study = source.open(request.plane, request.volume)  # type: ignore[arg-type] - checked with the request
            if request.slices is not None:
                study = study.part(range(request.slices.start, min(request.slices.stop, study.slices)))
        except OutputError:
            raise
        except S2MEdgeError:  # reported when its turn comes
            continue
        require_free(bundle, study, request.formats, request.out, stem, overwrite=request.overwrite)


def _report(
    bundle: Bundle,
    request: Request,
    runner: Runner,
    done: Sequence[tuple[Study, StudyOutputs]],
    failures: Sequence[S2MEdgeError],
    found: int,
    as_json: bool,
) -> None:
    from s2m_edge.targets.opening import target_of

    target = target_of(bundle)
    if as_json:
        studies = [
            {
                **outputs.prediction.summary(),
                "slices_of_the_study": study.slices,
                "files": list(map(str, outputs.paths)),
            }
            for study, outputs in done
        ]
        console.print_json(
            {
                "bundle": str(bundle.folder),
                "target": target.name,
                "precision": bundle.contract.precision,
                "proved": bundle.contract.proved,
                "verdict": runner.verdict,
                "remark": runner.remark,
                "device": runner.device,
                "notice": NOTICE,
                "studies": studies,
                "failures": [str(error) for error in failures],
            }
        )
        return
    if done:
        console.output.print(f"{target.title}, {bundle.contract.precision}, {runner.device} ({runner.verdict})")
        if runner.remark:
            console.output.print(runner.remark)
        console.output.print(_table([outputs for _, outputs in done]), soft_wrap=False)
        for _, outputs in done:
            for path in outputs.paths:
                console.output.print(printable(str(path)))
    left = found - len(done)
    if left:
        console.output.print(f"{len(done)} of {found} studies predicted, {left} left out")


def _table(done: Sequence[StudyOutputs]) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption=NOTICE, caption_justify="left", pad_edge=False)
    table.add_column("study", overflow="fold")
    for heading in ("slices", "size", "volume", "network", "in all"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outputs in done:
        found = outputs.prediction
        totals = found.areas.sum(axis=0)
        table.add_row(
            printable(found.study.name) + (f"\n({found.unusual} unusual slices)" if found.unusual else ""),
            str(found.study.slices),
            f"{found.study.grid.columns} x {found.study.grid.rows}",
            "\n".join(
                f"{printable(name) if len(found.classes) > 1 else ''} "
                f"{f'{int(total)} px' if volume is None else f'{volume:.1f} ml'}".strip()
                for (name, volume), total in zip(found.volumes.items(), totals, strict=True)
            ),
            f"{found.network_milliseconds / 1e3:.1f} s",
            f"{found.milliseconds / 1e3:.1f} s",
            style="yellow" if found.unusual else None,
        )
    return table
