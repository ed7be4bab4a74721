"""All files of a study's results, or none: each is made before the first is put in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2m_edge import interrupts
from s2m_edge.errors import ConfigurationError, OutputError
from s2m_edge.files import LONGEST_NAME, output_error, require_writable
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.results.algorithm import Algorithm
from s2m_edge.imaging.results.codes import Codes, require_codes
from s2m_edge.imaging.results.dicom_seg import SegType, dicom_seg_bytes, is_segmentation_of, require_highdicom
from s2m_edge.imaging.results.nifti import nifti_bytes, require_even
from s2m_edge.imaging.results.subject import Study, Subject
from s2m_edge.imaging.results.tables import csv_bytes, is_json_of, is_table_of, json_bytes
from s2m_edge.imaging.written import is_of
from s2m_edge.leftovers import private_folder


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        suffix: behind the stem.
        content: its bytes.
        is_ours: whether a file that is there was written for the same study, and not changed since as far as it says.
    """

    suffix: str
    content: Callable[[Subject, Codes], bytes]
    is_ours: Callable[[Path, Subject], bool]


def _seg(subject: Subject, codes: Codes) -> bytes:
    study = subject.study
    stored, fractions = study.labels_in_file_order(subject.labels), None
    if subject.seg_type == "fractional" and subject.fractions is not None:
        fractions = np.stack([study.labels_in_file_order(of_class) for of_class in subject.fractions])
    named = (study.name, subject.slices, subject.seg_type, fractions)
    return dicom_seg_bytes(stored, study.datasets, subject.classes, codes, subject.algorithm, *named)


def _is_seg_of(path: Path, subject: Subject) -> bool:
    return is_segmentation_of(path, {str(entry.SOPInstanceUID) for entry in subject.study.datasets}, subject.slices)


FORMATS: dict[str, Format] = {
    "dicom-seg": Format("-seg.dcm", _seg, _is_seg_of),
    "nifti": Format("-mask.nii.gz", lambda subject, _: nifti_bytes(subject), lambda at, of: is_of(at, of.source)),
    "csv": Format("-results.csv", lambda subject, _: csv_bytes(subject), is_table_of),
    "json": Format("-results.json", lambda subject, _: json_bytes(subject), is_json_of),
}
"""By the name that --format takes."""

_ELSEWHERE = "Choose another folder with --out, or add --overwrite to replace it."


def find_formats(names: Sequence[str]) -> list[str]:
    """Names of formats, each once, in the order of `FORMATS`.

    Raises:
        ConfigurationError: none, or one of another name.
    """
    unknown = next((name for name in names if name not in FORMATS), None)
    if unknown is not None or not names:
        what = "no format is given" if unknown is None else f"there is no format {unknown!r}"
        raise ConfigurationError(what, f"Choose {', '.join(FORMATS)} with --format.")
    return [name for name in FORMATS if name in names]


def require_expressible(formats: Sequence[str], study: Study, classes: Sequence[SegmentClass], codes: Codes) -> None:
    """Raise before long work what `write_results` would raise after it.

    Raises:
        ConfigurationError: a format is not known, or a class has no code.
        ImageError: a format cannot express the study.
        MissingBackendError: a package is not installed.
    """
    names = find_formats(formats)
    if "nifti" in names and study.volume is None:
        require_even(study.grid, study.name)
    if "dicom-seg" in names:
        require_codes(classes, codes)
        require_highdicom()
        labels = np.zeros((study.grid.slices, study.grid.rows, study.grid.columns), np.uint8)
        labels[0, 0, 0] = 1  # of one pixel all that the standard asks of its source is asked too
        _seg(Subject(study, labels, tuple(classes), _NOBODY), codes)


_NOBODY = Algorithm("none", "0")


def planned_paths(formats: Sequence[str], folder: Path, stem: str) -> list[Path]:
    """The files that `write_results` writes, in its order."""
    return [Path(folder) / f"{stem}{FORMATS[name].suffix}" for name in find_formats(formats)]


def write_results(
    formats: Sequence[str],
    folder: Path,
    stem: str,
    study: Study,
    labels: NDArray[np.uint8],
    classes: Sequence[SegmentClass],
    codes: Codes,
    algorithm: Algorithm,
    *,
    overwrite: bool = False,
    remedy: str = _ELSEWHERE,
    beside: Sequence[tuple[Path, Path]] = (),
    seg_type: SegType = "binary",
    fractions: NDArray[np.uint8] | None = None,
) -> list[Path]:
    """Write a study's results, all of them or none.

    A file that is there is replaced if it was written for the same slices of the same study; any other is left alone,
    and then nothing is written.

    Args:
        formats: names of `FORMATS`.
        stem: what the files' names begin with.
        labels: slices x rows x columns, uint8, in the study's order: 0 background, k of `classes[k - 1]`.
        codes: of the classes; only "dicom-seg" asks for them.
        overwrite: the user has said that any file may be replaced, but the study's own.
        remedy: what a user can do where a file is in the way.
        beside: files that are ready on the same disk, and their places: they appear with the results, or not at all.
            Whether they may be replaced is the caller's business. With them, no format need be given.
        seg_type, fractions: as a `Subject` has them.

    Returns:
        The paths of the formats, in the order of `FORMATS`.

    Raises:
        ConfigurationError: a format is not known, or a class has no code.
        ImageError: a format cannot express the study.
        MissingBackendError: a package is not installed.
        OutputError: a file would be lost, the folder cannot be written, or the disk is full. Nothing was written.
    """
    names, folder = find_formats(formats) if formats or not beside else [], Path(folder)
    kept = np.ascontiguousarray(labels, np.uint8)
    subject = Subject(study, kept, tuple(classes), algorithm, seg_type, fractions)
    require_writable(folder)
    require_free_places(names, folder, stem, subject, overwrite=overwrite, remedy=remedy)
    places = planned_paths(names, folder, stem) if names else []
    contents = [FORMATS[name].content(subject, codes) for name in names]
    try:
        with private_folder(folder / stem, "partial") as private:
            staged = [private / f"new-{index}" for index in range(len(places))]
            for path, content in zip(staged, contents, strict=True):
                stage(path, content)
            _publish(private, [*zip(staged, places, strict=True), *beside])
    except OSError as error:
        raise output_error(places[0] if places else beside[0][1], error) from None
    return places


def require_free_places(
    formats: Sequence[str],
    folder: Path,
    stem: str,
    subject: Subject,
    *,
    overwrite: bool = False,
    remedy: str = _ELSEWHERE,
) -> None:
    """Raise OutputError if a result would take the place of a file that was not written for the same slices of the same
    study, or has a name that is too long. The labels of the subject are not looked at."""
    for name in formats:
        _require_free(Path(folder) / f"{stem}{FORMATS[name].suffix}", FORMATS[name], subject, overwrite, remedy)


def _require_free(place: Path, kind: Format, subject: Subject, overwrite: bool, remedy: str) -> None:
    if len(os.fsencode(place.name)) > LONGEST_NAME:
        raise OutputError(
            f"{place.name[:40]}... would be a name of more than {LONGEST_NAME} bytes", "Give the study a shorter name."
        )
    if not os.path.lexists(place):
        return
    if place.is_dir():
        raise OutputError(f"{place} is a folder", remedy)
    if os.path.realpath(place) in _files_of(subject.study):
        raise OutputError(f"{place} is of the study itself", "Choose another folder.")
    if not overwrite and not kind.is_ours(place, subject):
        raise OutputError(
            f"{place} is there, and was not written for {subject.study.name} by s2m-edge as it is now", remedy
        )


def _files_of(study: Study) -> set[str]:
    named = [study.path, *(getattr(header, "filename", None) for header in study.datasets)]
    return {os.path.realpath(path) for path in named if isinstance(path, str | os.PathLike)}


def stage(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file that is to be put in its place later; a full disk says so here, before anything is moved.

    Args:
        sync: wait for the disk, or a power cut could leave an empty file in place of a good one.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("xb") as file:
        file.write(content)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def _publish(private: Path, staged: Sequence[tuple[Path, Path]]) -> None:
    """Put files in their places; what was there comes back where one of them fails.

    Args:
        private: a folder on the same disk, for what was there.
        staged: files and their places.

    Raises:
        OSError: one cannot be put there. KeyboardInterrupt: this command was asked to end. Either way all is as before.
    """
    interrupts.heed()
    done: list[tuple[Path, Path | None]] = []
    try:
        for index, (path, place) in enumerate(staged):
            before = private / f"old-{index}" if os.path.lexists(place) else None
            if before is not None:
                _keep(place, before)
            path.replace(place)
            done.append((place, before))
    except BaseException:
        for place, before in reversed(done):
            with suppress(OSError):
                if before is None:
                    place.unlink()
                else:
                    before.replace(place)
        raise


def _keep(place: Path, before: Path) -> None:
    """A second name of a file, or where the file system has none, a copy: at every moment one is in its place."""
    try:
        os.link(place, before, follow_symlinks=False)
    except OSError:
        import shutil

        shutil.copy2(place, before, follow_symlinks=False)
