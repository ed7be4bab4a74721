"""Users' text files: UTF-8 with or without its mark; another encoding is one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run
from s2m_edge.deploy.spec import read_spec
from s2m_edge.errors import ConfigurationError, ImageError, S2MEdgeError
from s2m_edge.quantize.finetune import RUN_FILE, START_FILE, read_options
from s2m_edge.text_files import read_text
from s2m_edge.train.data.folders import read_split_table
from s2m_edge.train.recipe import read_recipe
from s2m_edge.train.run import open_run
from support import assert_one_line_error, write_sample_folder

TABLE = "stem,split\nÄpfel,train\n"


def test_utf_8_is_read_with_and_without_a_mark(tmp_path: Path):
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "split.csv").write_text(TABLE, encoding=encoding)
        assert read_text(tmp_path / "split.csv") == TABLE
        assert read_split_table(tmp_path / "split.csv") == [{"stem": "Äpfel", "split": "train", "case": ""}]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", "is UTF-16 text"),
        ("utf-16-be", "is UTF-16 text"),
        ("utf-16-le", "is UTF-16 text"),
        ("utf-32", "is UTF-32 text"),
        ("latin-1", r"than UTF-8 \(line 2; Latin-1 perhaps\)"),
        ("cp1252", r"than UTF-8 \(line 2; Latin-1 perhaps\)"),
    ],
)
def test_another_encoding_is_named_with_the_remedy(tmp_path: Path, encoding: str, words: str):
    (tmp_path / "split.csv").write_bytes(TABLE.encode(encoding))
    with pytest.raises(ImageError, match=rf"{words}\. Save it as UTF-8"):
        read_split_table(tmp_path / "split.csv")


def test_what_is_no_text_and_what_is_not_there_are_told_apart(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"text\0\1\2 and more of it, mostly letters")
    with pytest.raises(ConfigurationError, match="is no text"):
        read_text(tmp_path / "x")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_text(tmp_path / "y")


def test_every_file_that_a_user_writes_is_read_so(tmp_path: Path):
    content = "näme: x\n".encode("utf-16")
    for name in ("spec.yaml", "recipe.yaml", "run.json", RUN_FILE, START_FILE):
        (tmp_path / name).write_bytes(content)
    for read in (
        lambda: read_spec(tmp_path / "spec.yaml"),
        lambda: read_recipe(str(tmp_path / "recipe.yaml")),
        lambda: open_run(tmp_path),
        lambda: read_options(tmp_path),
    ):
        with pytest.raises(S2MEdgeError, match="is UTF-16 text"):
            read()


def test_the_command_says_it_in_one_line(run: Run, tmp_path: Path):
    folder = write_sample_folder(tmp_path / "data", ("train", "test"))
    (folder / "split.csv").write_bytes((folder / "split.csv").read_text().encode("utf-16"))
    for command in (["data", "check", str(folder)], ["evaluate", "polyp", "--data", str(folder)]):
        code, out, err = run(*command)
        assert_one_line_error(code, out, err, "split.csv is UTF-16 text", "Save it as UTF-8")
