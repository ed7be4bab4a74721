"""What predict writes, and what it never replaces. The network is a fake: only names and files are looked at."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2m_edge.apps.vectors.generate import VECTORS
from s2m_edge.apps.vectors.refusals import REFUSALS
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.files import write_json
from support import assert_one_line_error, reseal


class FakeRunner:
    verdict, remark, device, opened = "executed", "", "none", 0

    def __init__(self, bundle: Any, threads: int | None = None) -> None:
        FakeRunner.opened += 1
        self.shape = tuple(bundle.contract.values["output"]["shape"][1:])

    def predict(self, fitted: Any) -> Any:
        return np.full(self.shape, 0.9, np.float32)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundle"
    shutil.copytree(VECTORS / REFUSALS / "sound", folder)
    monkeypatch.setattr("s2m_edge.targets.opening.open_runner", FakeRunner)
    FakeRunner.opened = 0
    return folder


def draw(path: Path, value: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), (value, 0, 0)).save(path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["case1-mask.png", "case1-overlay.png"])
def test_a_file_of_the_users_beside_the_picture_stays(run, bundle: Path, tmp_path: Path, name: str):
    folder = tmp_path / "pictures"
    picture = draw(folder / "case1.png")
    draw(folder / name, 200)
    before = contents(folder)
    assert_one_line_error(*run("predict", bundle, picture, "--out", folder), name, "--overwrite", "--out")
    assert contents(folder) == before
    assert FakeRunner.opened == 0, "refused before the artifact is loaded"
    assert run("predict", bundle, picture, "--out", folder, "--overwrite")[0] == 0
    assert contents(folder)[name] != before[name]


def test_pictures_of_one_name_are_told_apart_in_the_table(
    run, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # short names, which the table does not fold
    for name in ("a/case1.png", "b/case1.png", "b/case2.png"):
        draw(tmp_path / name)
    code, out, _ = run("predict", bundle, "a/case1.png", "b/case1.png", "b/case2.png", "--out", "out")
    assert code == 0
    assert out.count("a/case1.png") == out.count("b/case1.png") == 1
    assert "b/case2.png" not in out
    assert "case2.png" in out


def test_the_same_call_again_goes_through_and_gives_the_same_files(run, bundle: Path, tmp_path: Path):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    for name in ("a.png", "b.png"):
        draw(folder / name, len(name))
    written = []
    for _ in range(2):
        assert run("predict", bundle, folder, "--out", out)[0] == 0
        written.append({name: np.asarray(Image.open(out / name)).tobytes() for name in contents(out)})
    assert written[0] == written[1]
    assert len(written[0]) == 4


def test_masks_of_other_pictures_with_the_same_names_stay(run, bundle: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert run("predict", bundle, draw(tmp_path / "first" / "x.png", 1), "--out", out)[0] == 0
    before = contents(out)
    result = run("predict", bundle, draw(tmp_path / "second" / "x.png", 2), "--out", out)
    assert_one_line_error(*result, "x-mask.png", "--overwrite")
    assert contents(out) == before


def test_a_mask_that_somebody_corrected_stays(run, bundle: Path, tmp_path: Path):
    picture, out = draw(tmp_path / "x.png"), tmp_path / "out"
    assert run("predict", bundle, picture, "--out", out)[0] == 0
    from PIL.PngImagePlugin import PngInfo

    with Image.open(out / "x-mask.png") as written:
        kept = PngInfo()
        for name, text in written.text.items():  # type: ignore[attr-defined]
            kept.add_text(name, text)
        written.putpixel((3, 3), 0)
        written.save(out / "x-mask.png", pnginfo=kept)
    assert_one_line_error(*run("predict", bundle, picture, "--out", out), "x-mask.png")


def test_masks_of_two_slices_are_not_taken_for_each_other(run, bundle: Path, tmp_path: Path):
    frames = [Image.new("L", (30, 20), value) for value in (10, 90)]
    frames[0].save(tmp_path / "stack.tif", save_all=True, append_images=frames[1:])
    out = tmp_path / "out"
    assert run("predict", bundle, tmp_path / "stack.tif", "--slice", 0, "--out", out)[0] == 0
    assert_one_line_error(*run("predict", bundle, tmp_path / "stack.tif", "--slice", 1, "--out", out), "stack-mask.png")


def test_a_link_and_a_folder_in_the_place_of_a_mask_stay(run, bundle: Path, tmp_path: Path):
    picture, out = draw(tmp_path / "x.png"), tmp_path / "out"
    out.mkdir()
    (out / "x-mask.png").symlink_to(tmp_path / "nowhere")
    assert_one_line_error(*run("predict", bundle, picture, "--out", out), "x-mask.png")
    (out / "x-mask.png").unlink()
    (out / "x-mask.png").mkdir()
    assert_one_line_error(*run("predict", bundle, picture, "--out", out, "--overwrite"), "x-mask.png", "folder")


def test_a_picture_of_the_call_is_never_replaced_by_an_output_of_it(run, bundle: Path, tmp_path: Path):
    folder = tmp_path / "pictures"
    draw(folder / "a.png")
    assert run("predict", bundle, folder / "a.png", "--out", folder)[0] == 0
    before = contents(folder)
    words = ("predict", bundle, folder / "a.png", folder / "a-mask.png", "--out", folder, "--overwrite")
    assert_one_line_error(*run(*words), "picture of this call")
    assert contents(folder) == before


def test_a_folder_that_holds_its_own_masks_is_segmented_again_without_them(run, bundle: Path, tmp_path: Path):
    folder = tmp_path / "pictures"
    for name in ("a.png", "b.png"):
        draw(folder / name)
    for _ in range(2):
        code, out, err = run("predict", bundle, folder, "--out", folder, "--json")
        assert code == 0, err
        assert [Path(entry["image"]).name for entry in json.loads(out)["images"]] == ["a.png", "b.png"]
    assert len(list(folder.iterdir())) == 6
    for name in ("a.png", "b.png"):
        (folder / name).unlink()
    assert_one_line_error(*run("predict", bundle, folder, "--out", folder), "masks and overlays alone")


def test_a_name_that_is_too_long_with_its_ending_is_refused_before_the_work(run, bundle: Path, tmp_path: Path):
    picture = draw(tmp_path / f"{'n' * 248}.png")
    assert_one_line_error(*run("predict", bundle, picture, "--out", tmp_path / "out"), "shorter name")
    assert FakeRunner.opened == 0
    fitting = draw(tmp_path / f"{'n' * 243}.png")  # the name under which it is written first would not fit
    assert run("predict", bundle, fitting, "--out", tmp_path / "out")[0] == 0


NAMES = ["polyp [x2].png", "x[/y].png".replace("/", "_"), "[/].png".replace("/", ""), "[bold].png", "e\x1b[2Jnd.png"]


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "table"])
def test_pictures_and_classes_of_any_name_are_segmented_and_reported(run, bundle: Path, tmp_path: Path, as_json: bool):
    contract = open_bundle(bundle).contract.values
    contract["classes"][0]["name"] = "[/]"
    write_json(bundle / "contract.json", contract)
    reseal(bundle)
    unreadable = os.fsdecode(b"no \xff text.png")
    pictures = [draw(tmp_path / "in" / name) for name in [*NAMES, unreadable]]
    missing = tmp_path / "x[" / "y].png"
    options = ["--json"] if as_json else []
    code, out, err = run("predict", bundle, *pictures, missing, "--out", tmp_path / "out", *options)
    assert_one_line_error(code, out, err, f"there is no image {missing}")
    assert "\x1b" not in out + err
    if as_json:
        values = json.loads(out)
        assert [Path(entry["image"]) for entry in values["images"]] == pictures
        assert all(Path(entry["mask"]).is_file() for entry in values["images"])
        assert values["images"][0]["area_pixels"] == {"[/]": 600}
    else:
        for word in ("polyp [x2].png", "[bold].png", "no \\udcff text.png", "e\\x1b[2Jnd.png"):
            assert word in out


def test_a_disk_that_fills_ends_the_work_and_what_is_done_is_reported(run, bundle: Path, tmp_path: Path, monkeypatch):
    import errno

    import s2m_edge.files as files

    pictures = [draw(tmp_path / f"{name}.png") for name in "abc"]
    honest = files.write_bytes

    def full(path: Path, content: bytes) -> None:
        if path.name.startswith("b"):
            raise files.output_error(path, OSError(errno.ENOSPC, "No space left on device"))
        honest(path, content)

    monkeypatch.setattr(files, "write_bytes", full)
    code, out, err = run("predict", bundle, *pictures, "--out", tmp_path / "out", "--json")
    assert_one_line_error(code, out, err, "the disk is full")
    values = json.loads(out)
    assert [Path(entry["image"]).name for entry in values["images"]] == ["a.png"]
    assert len(values["failures"]) == 1
