"""Files that a user names for a report or a checkpoint: only one of ours is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2m_edge.errors import ConfigurationError, OutputError
from s2m_edge.files import write_bytes, write_json
from s2m_edge.notice import NOTICE
from s2m_edge.outputs import require_own_file
from support import assert_one_line_error

THEIRS = {
    "photo.png": b"\x89PNG\r\n\x1a\n and a picture",
    "thesis.json": b'{"notice": "my own"}',
    "notes.md": b"about s2m-edge",
    "weights.safetensors": b'\x10\x00\x00\x00\x00\x00\x00\x00{"a":{}}        ',
    "broken.json": b"{",
    "list.json": b"[1]",
    "photo.jpg": b"\xff\xd8\xff",
}


@pytest.mark.parametrize("name", THEIRS)
def test_a_file_of_the_users_is_not_replaced(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(THEIRS[name])
    with pytest.raises(OutputError, match=r"was not written by s2m-edge.*--markdown"):
        require_own_file(tmp_path / name, "--markdown")
    with pytest.raises(OutputError, match="is a folder"):
        require_own_file(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="was not written"):
        require_own_file(tmp_path / "link")


def test_reports_charts_pages_and_checkpoints_of_ours_are(tmp_path: Path, small_checkpoint: Path):
    from s2m_edge.charts import write_figure

    def draw():
        from matplotlib.figure import Figure

        return Figure(figsize=(1, 1))

    write_json(tmp_path / "report.json", {"notice": NOTICE})
    write_bytes(tmp_path / "page.md", f"# Figures\n\n{NOTICE}\n".encode())
    write_bytes(tmp_path / "empty", b"")
    for name in ("chart.png", "chart.svg"):
        write_figure(tmp_path / name, draw, 9, 72)
    for path in (*sorted(tmp_path.iterdir()), small_checkpoint, tmp_path / "absent"):
        require_own_file(path)


def test_a_place_that_cannot_be_written_is_refused_before_the_work_and_no_folder_is_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot be written.*--out"):
        require_own_file(tmp_path / "file" / "below" / "report.json")
    require_own_file(tmp_path / "new" / "report.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


WORDS = {
    "average": ["average", "polyp", "polyp", "--out"],
    "guard": ["guard", "absent", "--checkpoint", "polyp", "--out"],
    "gate": ["gate", "polyp", "--data", "absent", "--out"],
    "parity": ["parity", "absent", "--out"],
    "sensitivity": ["sensitivity", "polyp", "--data", "absent", "--out"],
    "quantize": ["quantize", "polyp", "--data", "absent", "--out"],
    "benchmark --json": ["benchmark", "--json"],
    "benchmark --markdown": ["benchmark", "--markdown"],
}


@pytest.mark.parametrize("name", WORDS)
def test_every_command_that_writes_a_file_asks_first(run, tmp_path: Path, name: str):
    theirs = tmp_path / "notes.txt"
    theirs.write_text("years of work")
    assert_one_line_error(*run(*WORDS[name], theirs), "notes.txt is there, and was not written by s2m-edge")
    assert theirs.read_text() == "years of work"


def test_the_picture_beside_a_report_is_no_way_around_it(run, tmp_path: Path):
    (tmp_path / "scan.png").write_bytes(THEIRS["photo.png"])
    result = run("sensitivity", "polyp", "--data", "absent", "--out", tmp_path / "scan.json")
    assert_one_line_error(*result, "scan.png is there")


def test_a_run_begins_in_no_folder_that_holds_anything_in_its_way(tmp_path: Path):
    from s2m_edge.quantize.finetune import FineTuning, begin
    from s2m_edge.train.recipe import read_recipe
    from s2m_edge.train.run import Run, begin_run

    (tmp_path / "phase-1").mkdir()
    with pytest.raises(ConfigurationError, match="phase-1 is there"):
        begin_run(Run(tmp_path, read_recipe("polyp"), tmp_path, None, None))
    with pytest.raises(ConfigurationError, match="is no fine-tuning"):  # the folder is removed in the end
        begin(tmp_path, FineTuning("a", "b", None))
    assert [path.name for path in tmp_path.iterdir()] == ["phase-1"]
