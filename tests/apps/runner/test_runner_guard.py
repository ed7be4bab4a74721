"""The board's program warns of pictures that are unlike those that the network was trained on, and blocks none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner_support import Run
from s2m_edge.cli.main import main
from s2m_edge.deploy.guard import GUARD_FILE, Guard, fit_guard, write_guard
from s2m_edge.files import file_sha256
from s2m_edge.imaging.descriptor import describe
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.imaging.window import Window
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.registry import find_target

pytest.importorskip("executorch")

SCORE = 1e-3
"""Relative, as in the contract's test vectors."""


@pytest.fixture(scope="module")
def guard(foreign: Any, polyp_images: list[Path]) -> Guard:
    """Knows sixteen colonoscopy pictures, stretched to the network's size."""
    fitted = [fit_to_network(read_image(path), foreign.spec.preprocessing) for path in polyp_images[:16]]
    return fit_guard(np.stack([describe(picture) for picture in fitted]), np.zeros((0, 79)), 3)


@pytest.fixture(scope="module", params=[None, Window()], ids=["stretched", "in-windows"])
def guarded(
    request: pytest.FixtureRequest, foreign: Any, guard: Guard, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle with that guard, of a network that takes the stretched picture, and of one that slides over it."""
    folder = tmp_path_factory.mktemp("guarded")
    write_guard(folder / "polyps.safetensors", guard)
    export_bundle(
        find_target("executorch"),
        foreign.network,
        replace(foreign.spec, window=request.param),
        images=sample_images("polyp")[:1],
        out=folder / "bundle",
        guard=folder / "polyps.safetensors",
    )
    return folder / "bundle"


@pytest.fixture
def pictures(polyp_images: list[Path], tmp_path: Path) -> list[Path]:
    """A usual picture, a heart, a flat grey picture; PNG, which every decoder reads alike."""
    folder = tmp_path / "given"
    folder.mkdir()
    paths = [folder / "colon.png", folder / "heart.png", folder / "grey\x1b[2J.png"]
    with Image.open(polyp_images[0]) as picture:
        picture.crop((10, 20, 300, 260)).save(paths[0])
    with Image.open(sample_images("cardiac")[0]) as picture:
        picture.save(paths[1])
    Image.new("RGB", (150, 130), (128, 128, 128)).save(paths[2])
    return paths


def test_pictures_unlike_those_of_the_training_are_warned_of_and_segmented(
    guarded: Path, guard: Guard, run: Run, foreign: Any, pictures: list[Path], tmp_path: Path
):
    verdicts = [guard.judge(fit_to_network(read_image(path), foreign.spec.preprocessing)) for path in pictures]
    assert [verdict.unusual for verdict in verdicts] == [False, True, True]
    done = run(guarded, *pictures, "--out", tmp_path / "out", "--json")
    assert done.code == 0
    shown = ["heart.png", "grey\\x1b[2J.png"]
    assert done.err.splitlines() == [
        f"warning: {name} {verdict.warning}" for name, verdict in zip(shown, verdicts[1:], strict=True)
    ]
    assert done.values["failures"] == []
    for entry, verdict in zip(done.values["images"], verdicts, strict=True):
        assert Path(entry["mask"]).is_file()
        expected = verdict.to_dict()
        assert entry["guard"].keys() == expected.keys()
        assert entry["guard"]["score"] == pytest.approx(expected["score"], rel=SCORE, abs=SCORE)
        assert entry["guard"]["threshold"] == expected["threshold"]
        assert entry["guard"]["unusual"] is expected["unusual"]
    assert run(guarded, pictures[0], "--out", tmp_path / "out").err == ""


def test_the_folder_for_a_board_passes_the_programs_warnings_on(
    guarded: Path, native_program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "board", str(guarded), "--out", str(tmp_path / "board"), "--json"])
    assert ended.value.code == 0
    said = capsys.readouterr()
    unusual = [entry for entry in json.loads(said.out)["run"]["images"] if entry["guard"]["unusual"]]
    assert unusual
    warned = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert [line.split()[1] for line in warned] == [Path(entry["image"]).name for entry in unusual]


def damage(folder: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the guard, and the hash with it."""
    path, contract = folder / GUARD_FILE, folder / "contract.json"
    path.write_bytes(change(path.read_bytes()))
    values = json.loads(contract.read_text())
    values["files"][GUARD_FILE] = file_sha256(path)
    contract.write_text(json.dumps(values))


def test_a_bundle_without_a_guard_warns_of_nothing_and_one_with_a_damaged_guard_is_refused(
    guarded: Path, run: Run, pictures: list[Path], tmp_path: Path
):
    without = Path(shutil.copytree(guarded, tmp_path / "without"))
    (without / GUARD_FILE).unlink()
    run(without, "--self-test").assert_refused(2, f"lacks {GUARD_FILE}")
    values = json.loads((without / "contract.json").read_text())
    del values["files"][GUARD_FILE]
    (without / "contract.json").write_text(json.dumps(values))
    done = run(without, pictures[2], "--out", tmp_path / "out", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.values["images"][0]["guard"] is None

    for change, words in (
        (lambda whole: whole[:-1], "truncated"),
        (lambda whole: whole.replace(b'"channels":"3"', b'"channels":"1"'), "the network takes 3"),
        (lambda whole: whole.replace(b"thumbnail-cosine-1", b"thumbnail-cosine-9"), "this program knows"),
        (lambda whole: b"", "truncated"),
    ):
        copy = Path(shutil.copytree(guarded, tmp_path / "damaged"))
        damage(copy, change)
        run(copy, pictures[0], "--out", tmp_path / "none").assert_refused(2, GUARD_FILE, "is damaged", words)
        assert not (tmp_path / "none").exists()
        shutil.rmtree(copy)
