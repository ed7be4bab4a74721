"""What reaches the terminal and the files: strangers' names as they are, nothing that a terminal obeys, and results
whatever becomes of standard output."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from s2m_edge import console
from s2m_edge.errors import ImageError, S2MEdgeError
from s2m_edge.files import write_json
from s2m_edge.texts import encoded, json_text, printable
from support import assert_one_line_error

ROOT = Path(__file__).parents[2]
NAMES = ("[/]", "[bold red]x", "polyp [x2].png", ":smile:.png", "[link=http://a]b", "\\[x]")
MOVING = "a\x1b[2Jb\r\x07\x9b31m\u202egnp.\udcff\n.png"
"""Clears the screen, returns, rings, colours, reverses what follows, is no UTF-8, and breaks the line."""


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_printed_as_it_is_in_lines_and_in_tables(name: str, capsys: pytest.CaptureFixture[str]):
    console.output.print(f"image: {name}")
    console.status.print(f"image: {name}")
    console.print_error(ImageError(f"there is no image {name}", "Check the path."))
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    console.output.print(table, soft_wrap=False)
    with console.progress_bar(name) as update:
        update(name, 1, 2)
    printed = capsys.readouterr()
    assert f"image: {name}" in printed.out.splitlines()
    assert printed.out.count(name) == 4
    assert f"error: there is no image {name}. Check the path." in printed.err


def test_nothing_that_moves_a_terminal_is_sent_to_it(capsys: pytest.CaptureFixture[str]):
    assert printable(MOVING) == r"a\x1b[2Jb\r\x07\x9b31m\u202egnp.\udcff\n.png"
    console.output.print(MOVING)
    console.print_warning(MOVING)
    table = Table()
    table.add_column(MOVING)
    table.add_row(MOVING)
    console.output.print(table, soft_wrap=False)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert all(sign.isprintable() or sign == "\n" for sign in text)
        assert r"\x1b[2J" in text
    assert str(S2MEdgeError(MOVING, MOVING)).isprintable()
    assert printable("Bild\u00a0é 日本 🙂") == "Bild\u00a0é 日本 🙂", "what people write stays as it is"


def test_json_with_names_that_are_no_text_is_valid_and_gives_them_back(tmp_path: Path):
    values = {"image": MOVING, "é": "日本"}
    assert json.loads(json_text(values)) == values
    assert "日本" in json_text(values)
    assert json.loads(json_text(values, only_ascii=True).encode("ascii")) == values
    write_json(tmp_path / "report.json", values)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == values
    assert encoded(MOVING).decode().endswith("\\udcff\n.png")


class Refusing(io.TextIOBase):
    """A stream whose reader has gone, or whose disk is full."""

    encoding = "ascii"

    def __init__(self, error: OSError) -> None:
        self.error, self.taken = error, ""

    def write(self, text: str) -> int:
        self.taken += text
        raise self.error


def test_a_stream_that_refuses_is_written_to_once_and_stops_nobody():
    for error, lost in ((BrokenPipeError(32, "Broken pipe"), False), (OSError(28, "No space left on device"), True)):
        below = Refusing(error)
        stream = console.Stream(below)
        print("é", file=stream)
        print("more", file=stream)
        stream.flush()
        assert below.taken == "\\xe9"
        assert (stream.lost is not None) is lost


def command(redirection: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = f'"$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, "-m", "s2m_edge.cli.main", *words],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [("targets", "--json"), ("--version",), ("targets",)], ids=" ".join)
def test_output_that_is_lost_on_a_full_disk_costs_the_exit_code_and_is_one_line(words: tuple[str, ...]):
    done = command("> /dev/full", *words)
    assert_one_line_error(done.returncode, "", done.stderr, "standard output cannot be written (No space left")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_who_goes_and_streams_that_are_closed_change_nothing():
    done = command("| head -1; exit ${PIPESTATUS[0]}", "targets", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "["
    assert command(">&-", "targets").returncode == 0
    assert command("2> /dev/full", "info", "absent").returncode == 2
    assert command("2>&- >&-", "info", "absent").returncode == 2


def test_a_terminal_without_unicode_gets_what_it_can_show(tmp_path: Path):
    name = os.fsencode(str(tmp_path)) + b"/\xe9 \xff\xf0\x9f\x99\x82.png"
    done = subprocess.run(
        [sys.executable, "-m", "s2m_edge.cli.main", "info", name, "--json"],
        env={**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
        capture_output=True, timeout=120, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.decode("ascii").startswith("error: there is no checkpoint")


def test_a_name_that_is_too_long_is_a_wrong_request(run, tmp_path: Path):
    for words in (("info", "x" * 300), ("predict", "x" * 300, "y.png"), ("data", "check", "x" * 300)):
        assert_one_line_error(*run(*words), "too long")


def test_what_readers_remark_on_a_file_is_not_printed(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    import warnings

    import nibabel
    import numpy as np

    def warned(path: object) -> None:
        for module in ("monai.data.image_reader", "pydicom.valuerep", "nibabel.nifti1", "somebody"):
            warnings.warn_explicit(f"from {module}", UserWarning, f"{module}.py", 1, module=module)
        image = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4))
        image.header["pixdim"][0] = 5
        nibabel.Nifti1Header.from_fileobj(io.BytesIO(image.header.binaryblock))
        raise ImageError("no picture", "Give one.")

    monkeypatch.setattr("s2m_edge.checkpoint.locate_model", warned)
    before = list(warnings.filters)
    code, out, err = run("info", tmp_path)
    assert_one_line_error(code, out, err, "no picture")
    assert [line for line in err.splitlines() if "from " in line or "pixdim" in line or "qfac" in line] == [
        line for line in err.splitlines() if "from somebody" in line
    ]
    assert warnings.filters == before
