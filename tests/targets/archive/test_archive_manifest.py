"""The list of an archive's pictures: what is read, how rows are named, and every refusal in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2m_edge.errors import ConfigurationError
from s2m_edge.targets.archive.manifest import read_manifest


def table(folder: Path, text: str | bytes, name: str = "studies.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_paths_are_relative_to_the_manifests_folder_or_absolute(tmp_path: Path):
    found = read_manifest(table(tmp_path, "path\na/one.png\n/data/two.dcm\n"))
    assert [item.path for item in found.items] == [tmp_path / "a" / "one.png", Path("/data/two.dcm")]
    assert [item.written for item in found.items] == ["a/one.png", "/data/two.dcm"]


def test_rows_without_a_name_are_named_by_their_path(tmp_path: Path):
    found = read_manifest(table(tmp_path, "path,name,slice\na/b/one.nii.gz,,\na/b/one.nii.gz,,12\nb/two.png,mine,\n"))
    assert [item.name for item in found.items] == ["a/b/one", "a/b/one-slice-12", "mine"]
    assert [item.slice_index for item in found.items] == [None, 12, None]


def test_pictures_of_other_folders_stay_within_the_archive_and_apart(tmp_path: Path):
    found = read_manifest(table(tmp_path, "path\n../a/one.png\n../b/one.png\n/a/one.png\n"))
    names = [item.name for item in found.items]
    assert len(set(names)) == 3
    assert all(name.startswith("elsewhere/") and name.endswith("/one") and ".." not in name for name in names)


def test_a_name_stays_when_the_list_grows(tmp_path: Path):
    before = read_manifest(table(tmp_path, "path\na/one.png\n"))
    after = read_manifest(table(tmp_path, "path\nb/one.png\na/one.png\n"))
    assert before.items[0].name == after.items[1].name


def test_a_byte_order_mark_blank_lines_quotes_and_other_columns_are_taken(tmp_path: Path):
    text = '\ufeffpath,patient\r\n"a,b.png",7\r\n\r\nc.png,8\r\n'
    found = read_manifest(table(tmp_path, text))
    assert [item.written for item in found.items] == ["a,b.png", "c.png"]
    assert found.ignored == ("patient",)


def test_the_default_slice_is_of_rows_that_name_none(tmp_path: Path):
    found = read_manifest(table(tmp_path, "path,slice\na.nii,\nb.nii,0\n"), default_slice=5)
    assert [(item.name, item.slice_index) for item in found.items] == [("a", 5), ("b-slice-0", 0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("lacks the column path",)),
        ("file\na.png\n", ("lacks the column path",)),
        ("path;name\na.png;a\n", ("lacks the column path", "comma-separated")),
        ("path\n", ("lists no pictures",)),
        ("path,path\na.png,b.png\n", ("column path more than once",)),
        ("path,name\na.png,b,c\n", ("line 2", "more values than columns")),
        ("path,name\na.png,b\n,c\n", ("line 3", "the path is empty")),
        ("path,slice\na.nii,two\n", ("line 2", "the slice is 'two'")),
        ("path,slice\na.nii,-1\n", ("line 2", "the slice is '-1'")),
        ("path,name\na.png,../b\n", ("line 2", "the name '../b'")),
        ("path,name\na.png,.b\n", ("line 2", "begins with a dot")),
        ("path\na.png\nb.png\na.png\n", ("a.png is in line 2 and in line 4",)),
        ("path\na.png\n./a.png\n", ("line 2 and in line 3",)),
        ("path,name\na.png,x\nb.png,X\n", ("the lines 2, 3 would be written to the same place",)),
        ("path\na.png\na.jpg\n", ("the lines 2, 3 would be written to the same place", "column name")),
        (f"path\n{'a' * 250}.png\n", ("line 2", "too long")),
        ('path\n"a.png\n', ("is no table",)),
        ("path\nä.png\n".encode("utf-16"), ("UTF-16 text", "UTF-8")),
        (b"path\n\xe4.png\n", ("another encoding than UTF-8 (line 2",)),
    ],
)
def test_what_is_not_understood_is_refused_in_one_line(text: str | bytes, words: tuple[str, ...], tmp_path: Path):
    with pytest.raises(ConfigurationError) as caught:
        read_manifest(table(tmp_path, text))
    assert "\n" not in str(caught.value)
    for word in (*words, "studies.csv"):
        assert word in str(caught.value)


def test_a_table_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_manifest(tmp_path / "absent.csv")


def test_parquet_gives_what_csv_gives(tmp_path: Path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install s2m-edge[archive]")
    from pyarrow import parquet

    columns = {"path": ["a.nii", "b.png"], "name": [None, "mine"], "slice": [3.0, None], "patient": ["1", "2"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "studies.parquet")
    found = read_manifest(tmp_path / "studies.parquet")
    same = read_manifest(table(tmp_path, "path,name,slice,patient\na.nii,,3,1\nb.png,mine,,2\n"))
    assert [(item.path, item.name, item.slice_index) for item in found.items] == [
        (item.path, item.name, item.slice_index) for item in same.items
    ]
    assert found.ignored == same.ignored == ("patient",)
    table(tmp_path, "path\na.png\n", "fake.parquet")
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        read_manifest(tmp_path / "fake.parquet")


@pytest.mark.parametrize("written", [".", "/", "..", "a/..", "./"])
def test_a_path_that_ends_in_no_name_needs_one(tmp_path: Path, written: str):
    table = tmp_path / "studies.csv"
    table.write_text(f"path,name\n{written},\n")
    with pytest.raises(ConfigurationError, match=r"line 2: the path '.*' gives no name\. Give the row one"):
        read_manifest(table)
    table.write_text(f"path,name\n{written},mine\n")
    assert [item.name for item in read_manifest(table).items] == ["mine"]
