"""Which studies lie in a file or a folder: each DICOM series is one, each file of frames, each volume, each picture."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from s2m_edge.errors import ImageError
from s2m_edge.imaging.dicom import count_frames, open_dicom
from s2m_edge.imaging.folders import PICTURE_SUFFIXES, VOLUME_SUFFIXES, is_clutter, looks_like_dicom, stem_of
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.read import MINIMUM_SIDE, readable
from s2m_edge.imaging.study.cut import CutStudy
from s2m_edge.imaging.study.frames import GEOMETRY, Frame, frames_of
from s2m_edge.imaging.study.names import safe_name, series_name
from s2m_edge.imaging.study.order import stack
from s2m_edge.imaging.study.series import DicomStudy
from s2m_edge.imaging.study.study import Kind, Study
from s2m_edge.imaging.study.values import text, whole_number
from s2m_edge.imaging.study.volumes import PictureStudy, VolumeStudy, volume_kind
from s2m_edge.imaging.written import is_labels, is_output
from s2m_edge.silence import without_warnings
from s2m_edge.texts import printable

_NO_PICTURES = ("1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.481")
"""SOP classes with rows and columns that are no pictures: segmentations, registrations, those of radiotherapy."""
_SERIES = ("SeriesInstanceUID", "StudyInstanceUID", "SeriesDescription", "SeriesNumber", "PatientID", "SOPClassUID")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class StudySource:
    """A study that was found, not yet opened.

    Attributes:
        name: printable and safe as a file's name; several may have one name.
        path: of the file, or of the folder that all files of the series lie in.
        kind: of its files.
        frames: of a DICOM series, as its headers describe them.
        fault: why it is none, found while listing.
    """

    name: str
    path: Path
    kind: Kind
    frames: tuple[Frame, ...] = ()
    fault: ImageError | None = field(default=None, compare=False)

    def open(self, plane: Plane | None = None, volume: int | None = None) -> Study:
        """Open it; no pixels of DICOM and NIfTI are read yet.

        Args:
            plane: axial, coronal or sagittal: of DICOM the acquired one by default, of volumes axial.
            volume: which one of a series of volumes (4-D NIfTI, NRRD, MetaImage).

        Raises:
            ImageError: it is no study that can be read, and why; in one line, with its name.
            MissingBackendError: a package is missing.
            OutputError: there is no room to unpack it.
        """
        if self.fault is not None:
            raise self.fault
        study = self._opened(plane, volume)
        if min(study.grid.rows, study.grid.columns) < MINIMUM_SIDE:
            raise ImageError(
                f"{self.path} has slices of {study.grid.columns} x {study.grid.rows} pixels",
                f"Images need at least {MINIMUM_SIDE} pixels on each side.",
            )
        return study

    def _opened(self, plane: Plane | None, volume: int | None) -> Study:
        if self.kind == "picture":
            return PictureStudy(self.name, self.path)
        if not self.kind.startswith("DICOM"):
            return VolumeStudy(self.name, self.path, plane or "axial", volume)
        if self.kind == "DICOM series":
            study: Study = DicomStudy(self.name, self.path, stack(self.frames, self.name))
        else:
            header = readable(self.path, lambda: open_dicom(self.path))
            study = DicomStudy(self.name, self.path, stack(frames_of(header, self.path), self.name), header)
        return study if plane is None or plane == "stored" or study.slices == 1 else CutStudy(study, plane)


def find_studies(paths: Path | Sequence[Path], progress: Progress = lambda done, total: None) -> list[StudySource]:
    """The studies of files and folders, folders with all that lies in them, by name; those of DICOM in the order of
    their first files.

    DICOM files that belong to one series make one study, wherever they lie. In folders, what is no picture is passed
    over: clutter, documents, DICOM files without pixels, segmentations, and earlier results of this toolkit.

    Args:
        progress: called with files looked at and in all.

    Raises:
        ImageError: a path that is not there, or one in which there is no study.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    found: list[StudySource] = []
    instances: dict[str, list[_Instance]] = defaultdict(list)
    listed = [(path, named) for place in given for path, named in _files(place)]
    for done, (path, named) in enumerate(listed):
        progress(done, len(listed))
        lower = path.name.lower()
        if lower.endswith(VOLUME_SUFFIXES):
            if named or not is_labels(path):
                found.append(StudySource(_file_name(path), path, volume_kind(path)))
        elif looks_like_dicom(path):
            instance = _read(path, named)
            if isinstance(instance, StudySource):
                found.append(instance)
            elif instance is not None:
                instances[instance.series or f"no series {path}"].append(instance)
        elif named or (lower.endswith(PICTURE_SUFFIXES) and not is_output(path)):
            found.append(StudySource(_file_name(path), path, "picture"))
    found.extend(source for members in instances.values() for source in _series(members))
    if not found:
        places = ", ".join(map(str, given))
        raise ImageError(
            f"{places} holds no study", "Give DICOM files, NIfTI, NRRD, MHA or pictures, or a folder of them."
        )
    return found


@dataclass(frozen=True)
class _Instance:
    """What a DICOM file says of itself, as far as it is sorted by it."""

    path: Path
    frames: tuple[Frame, ...]
    count: int
    series: str
    study: str
    patient: str
    description: str
    number: int | None


def _files(place: Path) -> Iterator[tuple[Path, bool]]:
    """The files to look at, and whether each was named itself."""
    if not place.is_dir():
        if not place.is_file():
            raise ImageError(f"there is no image {place}", "Check the path.")
        yield place, True
        return

    def refuse(error: OSError) -> None:
        raise ImageError(f"{error.filename} cannot be read ({error.strerror or error})", "Check the path.") from None

    for folder, folders, names in os.walk(place, onerror=refuse):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        for name in sorted(names):
            path = Path(folder, name)
            header_of_a_pair = name.lower().endswith((".hdr", ".hdr.gz"))
            if not is_clutter(name) and not header_of_a_pair and path.is_file():
                yield path, False


def _read(path: Path, named: bool) -> _Instance | StudySource | None:
    """A DICOM file's headers; None of one that holds no picture, unless it was named itself."""
    import pydicom

    def read() -> Any:
        return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=[*_SERIES, *_WANTED])

    try:
        with without_warnings(Warning):
            header = readable(path, read)
    except ImageError as error:
        return StudySource(_file_name(path), path, "DICOM series", fault=error)
    sop_class = text(header, "SOPClassUID")
    rows, columns = whole_number(header, "Rows") or 0, whole_number(header, "Columns") or 0
    if not (rows > 0 and columns > 0) or sop_class.startswith(_NO_PICTURES):
        if not named and sop_class:
            return None
        kind = getattr(header.get("SOPClassUID"), "name", "") or "not DICOM, or cut off"
        fault = ImageError(f"{path} holds no picture (it is {kind})", "Give a DICOM image.")
        return StudySource(_file_name(path), path, "DICOM series", fault=fault)
    count = count_frames(header)
    return _Instance(
        path,
        tuple(frames_of(header, path)) if count == 1 else (),
        count,
        text(header, "SeriesInstanceUID"),
        text(header, "StudyInstanceUID"),
        text(header, "PatientID"),
        text(header, "SeriesDescription"),
        whole_number(header, "SeriesNumber"),
    )


_WANTED = (*GEOMETRY, "SOPInstanceUID")


def _series(members: Sequence[_Instance]) -> Iterator[StudySource]:
    """The studies of one series: one of all its files of a single frame, and one of each with more."""
    first = members[0]
    single = [member for member in members if member.count == 1]
    if single:
        folder = _common([member.path for member in single])
        name = series_name(first.description, first.number, first.series) if first.series else _file_name(first.path)
        source = StudySource(name, folder, "DICOM series", tuple(frame for member in single for frame in member.frames))
        yield replace(source, fault=_fault(single, name))
    for number, member in enumerate((member for member in members if member.count > 1), start=1):
        name = series_name(member.description, member.number, member.series, number if len(members) > 1 else None)
        yield StudySource(name if member.series else _file_name(member.path), member.path, "DICOM frames")


def _fault(members: Sequence[_Instance], name: str) -> ImageError | None:
    for what, found in (
        ("patients", {member.patient for member in members}),
        ("studies", {member.study for member in members}),
    ):
        if len(found) > 1:
            return ImageError(
                f"the series {name} holds slices of {len(found)} {what} under one SeriesInstanceUID, for instance "
                f"{printable(members[0].path.name)} and "
                f"{printable(next(m.path.name for m in members if _differs(m, members[0], what)))}",
                "Put the files of each into a folder of their own.",
            )
    return None


def _differs(one: _Instance, other: _Instance, what: str) -> bool:
    return one.patient != other.patient if what == "patients" else one.study != other.study


def _common(paths: Iterable[Path]) -> Path:
    """The file itself of one, else the folder that all lie in."""
    found = sorted(set(paths))
    return found[0] if len(found) == 1 else Path(os.path.commonpath([path.absolute().parent for path in found]))


def _file_name(path: Path) -> str:
    return safe_name(stem_of(path)) or "study"
