"""`s2m-edge guard`, and what it is for: bundles that warn of pictures unlike those their network was trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import Run
from s2m_edge.cli.main import main
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.guard import GUARD_FILE, read_guard, write_guard
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.predict import load_bundle
from support import assert_one_line_error, reseal, write_image_folder, write_sample_folder

WARNING = "looks unlike the pictures this network was trained on (score "


@pytest.fixture(scope="session")
def data(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real colonoscopy pictures, each with a mask that is not its own: a guard reads none."""
    mask = sample_mask(sample_images("polyp")[0])
    rows = [(image, mask, "val" if index % 4 == 3 else "train") for index, image in enumerate(polyp_images)]
    return write_image_folder(tmp_path_factory.mktemp("guard") / "colon", rows)


@pytest.fixture(scope="session")
def guard_file(data: Path, small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guard") / "polyp.safetensors"
    with pytest.raises(SystemExit) as caught:
        main(["guard", str(data), "--checkpoint", str(small_checkpoint), "--out", str(path)])
    assert not caught.value.code
    return path


@pytest.fixture(scope="session")
def guarded_bundle(
    guard_file: Path, small_checkpoint: Path, polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("guard")
    (folder / "pictures").mkdir()
    shutil.copy(polyp_images[0], folder / "pictures")
    source = ("--checkpoint", str(small_checkpoint), "--images", str(folder / "pictures"))
    with pytest.raises(SystemExit) as caught:
        main(["export", "-t", "onnx", *source, "--guard", str(guard_file), "--out", str(folder / "exports")])
    assert not caught.value.code
    return folder / "exports" / "small-onnx-float32"


@pytest.fixture
def grey(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    Image.new("RGB", (200, 150), (128, 128, 128)).save(path)
    return path


def test_a_guard_says_what_it_was_made_from(guard_file: Path, run: Run, data: Path, small_checkpoint: Path, tmp_path):
    guard = read_guard(guard_file)
    assert guard.channels == 3
    expected = {"training_pictures": "15", "validation_pictures": "5", "dataset": "colon", "domain": "polyp"}
    assert expected.items() <= guard.provenance.items()
    out = tmp_path / "again.safetensors"
    code, printed, _ = run("guard", data, "--checkpoint", small_checkpoint, "--out", out, "--json")
    assert code == 0
    values = json.loads(printed)
    assert values["threshold"] == guard.threshold
    assert values["bytes"] == out.stat().st_size


def test_pictures_of_another_kind_are_warned_of_and_the_networks_own_are_not(
    run: Run, guarded_bundle: Path, grey: Path, tmp_path: Path
):
    strange, own = [grey, *sample_images("vessel"), *sample_images("cardiac")], sample_images("polyp")
    arguments = ("predict", guarded_bundle, *strange, *own, "--out", tmp_path / "out")
    code, out, err = run(*arguments)
    assert code == 0
    warnings = [line for line in err.splitlines() if line.startswith("warning:")]
    assert [line.split()[1] for line in warnings] == [path.name for path in strange]
    assert all(WARNING in line and line.endswith("the mask may mean nothing") for line in warnings)
    assert out.count("unusual") == len(strange)
    code, out, err = run(*arguments, "--json")
    assert code == 0
    verdicts = [entry["guard"] for entry in json.loads(out)["images"]]
    assert [verdict["unusual"] for verdict in verdicts] == [True] * len(strange) + [False] * len(own)
    assert all((verdict["score"] > verdict["threshold"]) == verdict["unusual"] for verdict in verdicts)


def test_in_python_a_prediction_carries_its_verdict(guarded_bundle: Path, grey: Path):
    loaded = load_bundle(guarded_bundle)
    verdict, usual = loaded.predict(grey).guard, loaded.predict(read_image(sample_images("polyp")[0])).guard
    assert verdict is not None
    assert verdict.unusual
    assert WARNING in verdict.warning
    assert usual is not None
    assert not usual.unusual


def test_a_bundle_without_a_guard_predicts_as_before_and_info_says_so(
    run: Run, onnx_bundle: Path, guarded_bundle: Path, grey: Path, tmp_path: Path
):
    code, out, err = run("predict", onnx_bundle, grey, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out)["images"][0]["guard"] is None
    assert "warning" not in err
    assert json.loads(run("info", onnx_bundle, "--json")[1])["guard"].startswith("no guard")
    described = json.loads(run("info", guarded_bundle, "--json")[1])["guard"]
    assert described["dataset"] == "colon"
    assert described["threshold"] > 0


def test_the_file_in_the_bundle_is_the_one_that_was_given(guarded_bundle: Path, guard_file: Path):
    assert (guarded_bundle / GUARD_FILE).read_bytes() == guard_file.read_bytes()
    assert GUARD_FILE in open_bundle(guarded_bundle).contract.files


def test_a_guard_beside_a_checkpoint_goes_into_its_bundles_by_itself(
    run: Run, small_checkpoint: Path, guard_file: Path, polyp_images: list[Path], tmp_path: Path
):
    (tmp_path / "pictures").mkdir()
    shutil.copy(polyp_images[0], tmp_path / "pictures")
    shutil.copy(small_checkpoint, tmp_path / "mine.safetensors")
    shutil.copy(guard_file, tmp_path / "mine-guard.safetensors")
    source = ("--checkpoint", tmp_path / "mine.safetensors", "--images", tmp_path / "pictures")
    code, _, err = run("export", "-t", "onnx", *source, "--out", tmp_path / "exports")
    assert code == 0, err
    assert (tmp_path / "exports" / "mine-onnx-float32" / GUARD_FILE).read_bytes() == guard_file.read_bytes()


def test_a_guard_that_is_damaged_or_of_grey_pictures_is_refused(
    run: Run, guard_file: Path, small_checkpoint: Path, guarded_bundle: Path, grey: Path, tmp_path: Path
):
    from s2m_edge.deploy.guard import fit_guard
    from s2m_edge.imaging.descriptor import descriptor_length

    random = np.random.default_rng(0)
    other = tmp_path / "grey-guard.safetensors"
    write_guard(other, fit_guard(random.normal(size=(30, descriptor_length(1))), random.normal(size=(0, 31)), 1))
    export = ("export", "-t", "onnx", "--checkpoint", small_checkpoint, "--out", tmp_path / "exports", "--guard")
    assert_one_line_error(*run(*export, other), "1 channels, and the network takes 3")
    assert_one_line_error(*run(*export, small_checkpoint), "but no guard")
    assert_one_line_error(*run(*export, tmp_path / "nowhere"), "there is no guard")
    assert not (tmp_path / "exports").exists()
    copy = Path(shutil.copytree(guarded_bundle, tmp_path / "copy"))
    (copy / GUARD_FILE).write_bytes(guard_file.read_bytes()[:-8])
    reseal(copy)
    assert_one_line_error(*run("predict", copy, grey, "--out", tmp_path / "out"), GUARD_FILE)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "a guard is of one network"),
        (("--checkpoint", "polyp", "--spec", "any.yaml"), "a guard is of one network"),
        (("--checkpoint", "polyp", "--out", "."), "is a folder"),
        (("--checkpoint", "nowhere"), "there is no checkpoint"),
        (("--checkpoint", "polyp"), "training pictures are too few"),
        (("--checkpoint", "polyp", "--preset", "lung"), "there is no preset 'lung'"),
    ],
)
def test_a_wrong_request_is_one_line_and_leaves_no_file(run: Run, elsewhere: Path, options, words: str):
    few = write_sample_folder(elsewhere.parent / "few", ("train", "train", "val"), "polyp")
    assert_one_line_error(*run("guard", few, *options), words)
    assert not list(elsewhere.iterdir())
