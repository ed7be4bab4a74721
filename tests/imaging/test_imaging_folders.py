"""What counts in a folder, and what outputs are called after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge.apps.desktop.documents import open_documents
from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import alike, free_stems, image_files, is_clutter, list_images, looks_like_dicom, stem_of

EXPLICIT = b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.7\x00"
IMPLICIT = b"\x08\x00\x16\x00\x1a\x00\x00\x001.2.840.10008.5.1.4.1.1.7\x00"
PREAMBLE = b"\0" * 128 + b"DICM"
CLUTTER = ("._x.png", ".hidden.png", ".DS_Store", "Thumbs.db", "desktop.ini", "Desktop.ini", "DICOMDIR")


def test_what_systems_leave_lying_about_is_no_image(tmp_path: Path):
    Image.new("L", (9, 9)).save(tmp_path / "x.png")
    for name in CLUTTER:
        (tmp_path / name).write_bytes(PREAMBLE)
        assert is_clutter(name)
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["x.png"]
    documents, failures = open_documents([tmp_path])
    assert ([document.path.name for document in documents], failures) == (["x.png"], [])


def test_a_folder_of_clutter_alone_holds_no_images(tmp_path: Path):
    (tmp_path / "._x.png").write_bytes(b"\0\5\x16\7")
    with pytest.raises(ImageError, match="holds no images"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.113.7", "SLICE.IMA", "a b", "scan.dcm"])
@pytest.mark.parametrize("content", [PREAMBLE, EXPLICIT, IMPLICIT])
def test_dicom_is_found_by_its_first_bytes_whatever_its_name(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    assert image_files(tmp_path) == [tmp_path / name]
    assert looks_like_dicom(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("split.csv", b"stem,split\nx,test\n"),
        ("notes", b"plain words, longer than twelve bytes"),
        ("short", b"\x08\x00"),
        ("model.bin", b"\x08\x00\x00\x90\xff\xff\xff\xff" + b"\0" * 20),
        ("empty", b""),
    ],
)
def test_other_files_are_no_images(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    assert image_files(tmp_path) == []
    assert not looks_like_dicom(tmp_path / name)


def test_a_picture_is_dicom_by_its_preamble_alone(tmp_path: Path):
    (tmp_path / "x.png").write_bytes(EXPLICIT)
    assert not looks_like_dicom(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(PREAMBLE)
    assert looks_like_dicom(tmp_path / "x.png")
    assert not looks_like_dicom(tmp_path / "nowhere.png")


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("x.png", "x"),
        ("X.JPEG", "X"),
        ("v.nii.gz", "v"),
        ("im0001.ppm.gz", "im0001"),
        ("SLICE.IMA", "SLICE"),
        ("1.2.840.113.7", "1.2.840.113.7"),
        ("1.2.840.113.7.dcm", "1.2.840.113.7"),
        ("v1.5 scan.png", "v1.5 scan"),
        ("IM000001", "IM000001"),
        (".png", ".png"),
    ],
)
def test_the_stem_lacks_an_images_suffix_alone(name: str, stem: str):
    assert stem_of(Path("folder.png") / name) == stem


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["a/x.png", "a/y.png"], ["x", "y"]),
        (["a/case1.png", "a/case1.jpg", "a/z.png"], ["case1.png", "case1.jpg", "z"]),
        (["a/case1.png", "b/case1.png"], ["a-case1.png", "b-case1.png"]),
        (["p/a/case1.png", "q/a/case1.png"], ["p-a-case1.png", "q-a-case1.png"]),
        (["a/Case1.png", "b/case1.png"], ["a-Case1.png", "b-case1.png"]),
        (["a/1.2.7", "a/1.2.8"], ["1.2.7", "1.2.8"]),
        (["a/x.png", "a/x.jpg", "a/x.png.dcm"], ["a-x.png", "x.jpg", "a-x.png.dcm"]),
    ],
)
def test_images_of_one_run_are_named_apart_in_whatever_order(paths: list[str], stems: list[str]):
    found = free_stems([Path(path) for path in paths])
    assert found == stems
    assert free_stems([Path(path) for path in reversed(paths)]) == found[::-1]


def test_a_file_given_twice_is_numbered():
    assert free_stems([Path("a/x.png"), Path("a/x.png")])[1].endswith("x.png-2")


def test_names_that_differ_in_case_or_in_accents_alone_are_alike():
    assert alike(["a", "B", "b", "c", "\u00e9", "e\u0301"]) == [["B", "b"], ["\u00e9", "e\u0301"]]


def test_the_outputs_of_predict_do_not_overwrite_each_other(tmp_path: Path):
    """The same rule, over real files of two folders."""
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / place / "x.png")
    stems = free_stems([*list_images(tmp_path / "one"), *list_images(tmp_path / "two")])
    assert stems == ["one-x.png", "two-x.png"]
