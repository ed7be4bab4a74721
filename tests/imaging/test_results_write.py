"""Results of a study are there all at once or not at all, and nothing of anybody else's is lost for them."""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from phantoms import GRIDS, HEART, HEART_CODES, NETWORK, Phantom, ellipsoid, enhanced, headers, stack
from s2m_edge.errors import ConfigurationError, ImageError, OutputError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results import write
from s2m_edge.imaging.results.write import (
    FORMATS,
    find_formats,
    planned_paths,
    require_expressible,
    write_results,
)

ALL = tuple(FORMATS)
NAMES = ["heart-mask.nii.gz", "heart-results.csv", "heart-results.json", "heart-seg.dcm"]


def study_of(grid: Grid = GRIDS["oblique"], **changes: Any) -> Phantom:
    return Phantom(grid, headers(grid), **changes)


def written(folder: Path, study: Phantom, formats: Any = ALL, **changes: Any) -> list[Path]:
    given = {"labels": ellipsoid(study.grid), "codes": HEART_CODES, "algorithm": NETWORK, **changes}
    labels, codes, algorithm = given.pop("labels"), given.pop("codes"), given.pop("algorithm")
    return write_results(formats, folder, "heart", study, labels, HEART, codes, algorithm, **given)


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_format_is_written_under_the_stem_and_opens(tmp_path: Path):
    paths = written(tmp_path / "new" / "out", study_of())
    assert paths == planned_paths(ALL, tmp_path / "new" / "out", "heart")
    assert sorted(path.name for path in paths) == NAMES == sorted(held(paths[0].parent))
    assert pydicom.dcmread(paths[0]).Modality == "SEG"
    assert nibabel.load(paths[1]).shape == (60, 44, 24)  # type: ignore[attr-defined]


def test_formats_are_chosen_by_name_once_in_one_order():
    assert find_formats(["csv", "nifti", "csv"]) == ["nifti", "csv"]
    with pytest.raises(ConfigurationError, match=r"no format 'stl'.*dicom-seg, nifti, csv, json"):
        find_formats(["csv", "stl"])
    with pytest.raises(ConfigurationError, match="no format is given"):
        find_formats([])


def test_frames_that_a_file_has_in_another_order_keep_their_masks(tmp_path: Path):
    """The study is sorted, the file is not."""
    grid = stack(slices=6)
    order = [3, 0, 5, 1, 4, 2]
    assert grid.positions is not None
    shuffled = Grid(6, 44, 60, grid.spacing, grid.directions, grid.positions[order], 2.0)
    study = Phantom(grid, [enhanced(shuffled)], kind="DICOM frames", order=order)
    [path] = written(tmp_path, study, ["dicom-seg"])
    found, labels = pydicom.dcmread(path), ellipsoid(grid)
    for plane, group in zip(found.pixel_array, found.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array([float(value) for value in group.PlanePositionSequence[0].ImagePositionPatient])
        at = int(np.linalg.norm(grid.positions - place, axis=1).argmin())
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        assert np.array_equal(plane > 0, labels[at] == number)
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert order[int(source.ReferencedFrameNumber) - 1] == at


def test_what_was_written_for_the_same_study_is_replaced(tmp_path: Path):
    study = study_of()
    written(tmp_path, study)
    other = np.zeros_like(ellipsoid(study.grid))
    other[5, 5, 5] = 1
    for path in written(tmp_path, study, labels=other):
        assert path.exists()
    assert sorted(held(tmp_path)) == NAMES
    assert np.count_nonzero(np.asarray(nibabel.load(tmp_path / NAMES[0]).dataobj)) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_anybody_else_stops_everything(name: str, tmp_path: Path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name} is there, and was not written for phantom"):
        written(tmp_path, study_of())
    assert held(tmp_path) == {name: b"mine"}
    written(tmp_path, study_of(), overwrite=True)
    assert sorted(held(tmp_path)) == NAMES


def test_results_of_another_study_and_a_mask_that_was_painted_in_are_kept(tmp_path: Path):
    study = study_of()
    written(tmp_path, study)
    before = held(tmp_path)
    with pytest.raises(OutputError, match="was not written for other"):
        written(tmp_path, study_of(name="other", identity="2e" * 32))
    assert held(tmp_path) == before
    mask = tmp_path / "heart-mask.nii.gz"
    painted = bytearray(gzip.decompress(mask.read_bytes()))
    painted[-1] = 1
    mask.write_bytes(gzip.compress(bytes(painted)))
    with pytest.raises(OutputError, match=r"mask\.nii\.gz is there"):
        written(tmp_path, study)


def test_the_study_itself_is_never_replaced(tmp_path: Path):
    study = study_of()
    study.path = tmp_path / "heart-seg.dcm"
    study.path.write_bytes(b"the only copy")
    with pytest.raises(OutputError, match="is of the study itself"):
        written(tmp_path, study, overwrite=True)
    study.path = tmp_path
    study.datasets[3].filename = str(tmp_path / "heart-seg.dcm")
    with pytest.raises(OutputError, match="is of the study itself"):
        written(tmp_path, study, overwrite=True)
    assert held(tmp_path) == {"heart-seg.dcm": b"the only copy"}


@pytest.mark.parametrize("name", ALL)
def test_results_of_other_slices_of_the_study_are_kept(name: str, tmp_path: Path):
    study = Phantom(stack(slices=6), [enhanced(stack(slices=6))], kind="DICOM frames")
    written(tmp_path, study, [name])
    study.chosen = range(2, 8)
    with pytest.raises(OutputError, match="was not written for phantom"):
        written(tmp_path, study, [name])
    study.chosen = range(6)
    written(tmp_path, study, [name])


def test_a_folder_or_a_long_name_in_the_way_is_said(tmp_path: Path):
    (tmp_path / "heart-results.csv").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        written(tmp_path, study_of(), overwrite=True)
    with pytest.raises(OutputError, match="more than 255 bytes"):
        write_results(["csv"], tmp_path, "x" * 250, study_of(), ellipsoid(GRIDS["oblique"]), HEART, {}, NETWORK)


def test_a_link_in_the_way_is_replaced_and_not_what_it_leads_to(tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "heart-results.csv").symlink_to(tmp_path / "mine")
    written(tmp_path / "out", study_of(), ["csv"], overwrite=True)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "out" / "heart-results.csv").is_symlink()


def test_a_format_that_cannot_express_the_study_leaves_nothing(tmp_path: Path):
    with pytest.raises(ImageError, match="not evenly spaced"):
        written(tmp_path, study_of(GRIDS["missing slice"]))
    with pytest.raises(ConfigurationError, match="no code"):
        written(tmp_path, study_of(), codes={})
    assert held(tmp_path) == {}
    assert len(written(tmp_path, study_of(GRIDS["missing slice"]), ["dicom-seg", "csv", "json"])) == 3
    assert len(written(tmp_path / "other", study_of(), ["csv"], codes={})) == 1


def test_what_would_be_refused_in_the_end_is_refused_before_long_work():
    even, gap = study_of(), study_of(GRIDS["missing slice"])
    require_expressible(ALL, even, HEART, HEART_CODES)
    require_expressible(["dicom-seg", "csv"], gap, HEART, HEART_CODES)
    with pytest.raises(ImageError, match="not evenly spaced"):
        require_expressible(ALL, gap, HEART, HEART_CODES)
    with pytest.raises(ConfigurationError, match="no code"):
        require_expressible(["dicom-seg"], even, HEART, {})
    with pytest.raises(ImageError, match="is no DICOM"):
        require_expressible(["dicom-seg"], Phantom(even.grid), HEART, HEART_CODES)
    with pytest.raises(ConfigurationError, match="no format 'stl'"):
        require_expressible(["stl"], even, HEART, HEART_CODES)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: a refusal to write that needs no disk of its own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("first", [True, False], ids=["nothing there", "results there"])
def test_a_file_that_the_system_refuses_leaves_all_as_it_was(first: bool, tmp_path: Path):
    study = study_of()
    if not first:
        written(tmp_path, study)
    before = held(tmp_path)
    with largest_file(4096), pytest.raises(OutputError, match="File too large"):
        written(tmp_path, study)
    assert held(tmp_path) == before


def test_a_full_disk_leaves_nothing(tmp_path: Path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own takes Linux and the right to mount one")
    try:
        with pytest.raises(OutputError, match=r"the disk is full while writing \S+heart-seg\.dcm\. Make room"):
            written(tmp_path, study_of())
        assert held(tmp_path) == {}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
@pytest.mark.parametrize("there", [False, True], ids=["nothing there", "results there"])
def test_a_failure_among_the_moves_puts_everything_back(
    failure: BaseException, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    study = study_of()
    if there:
        written(tmp_path, study)
    before, honest = held(tmp_path), Path.replace

    def failing(self: Path, target: Any) -> Path:
        if self.name == "new-2":
            raise failure
        return honest(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        written(tmp_path, study, labels=np.ones_like(ellipsoid(study.grid)))
    assert held(tmp_path) == before


def test_where_there_are_no_hard_links_copies_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = study_of()
    written(tmp_path, study)

    def none(*arguments: Any, **options: Any) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(write.os, "link", none)
    written(tmp_path, study, labels=np.zeros_like(ellipsoid(study.grid)))
    assert sorted(held(tmp_path)) == NAMES
