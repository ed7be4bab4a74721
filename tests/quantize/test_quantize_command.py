"""`s2m-edge quantize`: calibration and fine-tuning on real pictures, and everything that it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from s2m_edge.checkpoint import load_model, read_header
from s2m_edge.errors import ImageError
from s2m_edge.quantize.images import class_coverage, read_calibration_set
from support import assert_one_line_error

TRAINING, VALIDATION = 8, 2


@pytest.fixture(scope="module")
def data(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten real pictures with a disc as the mask of each."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rows = ["stem,split"]
    for index, path in enumerate(polyp_images[: TRAINING + VALIDATION]):
        width, height = Image.open(path).size
        y, x = np.mgrid[:height, :width]
        disc = (x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 4) ** 2
        (root / "images" / path.name).write_bytes(path.read_bytes())
        Image.fromarray((disc * 255).astype(np.uint8)).save(root / "masks" / f"{path.stem}.png")
        rows.append(f"{path.stem},{'train' if index < TRAINING else 'val'}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def copy_of(data: Path, root: Path) -> Path:
    import shutil

    return Path(shutil.copytree(data, root / "copy"))


def test_calibration_writes_a_checkpoint_with_its_provenance(run, data, small_checkpoint, tmp_path):
    out = tmp_path / "made" / "int8.safetensors"
    code, printed, err = run("quantize", small_checkpoint, "--data", data, "--method", "ptq", "--out", out, "--json")
    assert code == 0, err
    assert json.loads(printed)["checkpoint"] == str(out)
    header = read_header(out)
    calibration = header.provenance["calibration"]
    assert calibration["count"] == TRAINING
    assert len(calibration["sha256"]) == TRAINING
    assert all(len(digest) == 64 for digest in calibration["sha256"].values())
    assert calibration["coverage"][0]["images"] == TRAINING
    assert 0.05 < calibration["coverage"][0]["pixels"] < 0.5
    assert header.provenance["float"]["weights_sha256"] == read_header(small_checkpoint).weights_sha256
    made_with = header.provenance["quantized_with"]
    assert {"s2m-edge", "python", "torch", "torchao"} <= set(made_with)
    assert not {"onnxruntime", "openvino", "executorch"} & set(made_with), "no target has been chosen yet"
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        moved = (load_model(out)(picture) - load_model(small_checkpoint)(picture)).abs()
    assert 0 < moved.mean() < 0.3
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_the_same_images_give_the_same_checkpoint(run, data, small_checkpoint, tmp_path):
    made = []
    for name in ("a", "b"):
        out = tmp_path / f"{name}.safetensors"
        assert run("quantize", small_checkpoint, "--data", data, "--method", "ptq", "--out", out)[0] == 0
        made.append(load_file(out))
    assert made[0].keys() == made[1].keys()
    assert all(torch.equal(value, made[1][name]) for name, value in made[0].items())


def test_coverage_counts_images_and_pixels_of_every_class(data, small_model):
    images = read_calibration_set(data, small_model.config).images
    assert [entry["label"] for entry in class_coverage(images, 3)] == [1, 2]
    assert class_coverage(images, 3)[1] == {"label": 2, "images": 0, "pixels": 0.0}


@pytest.mark.slow
def test_fine_tuning_moves_the_weights_and_goes_on_after_an_interrupt_exactly(
    run, data, small_checkpoint, tmp_path, monkeypatch
):
    from s2m_edge.quantize import finetune

    options = (
        "--data", data, "--steps", 2, "--every", 1, "--batch-size", 2, "--loss", "dice_ce", "--learning-rate", 0.001
    )  # fmt: skip
    made = []
    for name in ("whole", "interrupted"):
        out = tmp_path / f"{name}.safetensors"
        if name == "interrupted":
            kept = finetune.KeepState

            class Interrupting(kept):
                def on_train_epoch_end(self, trainer, pl_module):
                    super().on_train_epoch_end(trainer, pl_module)
                    raise KeyboardInterrupt

            monkeypatch.setattr(finetune, "KeepState", Interrupting)
            code, _, err = run("quantize", small_checkpoint, *options, "--out", out)
            assert code == 130
            words = " ".join(err.split())
            assert words.endswith(f"go on with: s2m-edge quantize {small_checkpoint} --resume --out {out}")
            assert words.count("interrupted;") == 1
            assert not out.exists()
            monkeypatch.setattr(finetune, "KeepState", kept)
            code, _, err = run("quantize", small_checkpoint, *options, "--out", out)
            assert_one_line_error(code, "", err, "unfinished", "--resume")
            assert run("quantize", "--resume", "--out", out)[0] == 0
        else:
            assert run("quantize", small_checkpoint, *options, "--out", out)[0] == 0
        assert not out.with_suffix(".run").exists()
        made.append(load_model(out).state_dict())
    assert all(torch.equal(value, made[1][key]) for key, value in made[0].items())
    provenance = read_header(tmp_path / "whole.safetensors").provenance
    if "fine_tuning" in provenance:  # a step was better than calibration
        assert provenance["fine_tuning"]["distillation"] == 1.0


def test_what_cannot_be_quantized_is_refused_in_one_line_and_leaves_nothing(
    run, data, small_checkpoint, small_quantized_checkpoint, tmp_path
):
    out = tmp_path / "out" / "x.safetensors"
    for arguments, words in (
        ((small_quantized_checkpoint, "--data", data), ("quantized already",)),
        ((small_checkpoint,), ("no data",)),
        ((small_checkpoint, "--data", tmp_path / "absent"), ("absent",)),
        ((small_checkpoint, "--data", data, "--method", "magic"), ("magic", "qat or ptq")),
        ((small_checkpoint, "--data", data, "--loss", "luck"), ("luck", "dice_ce")),
        (("--resume",), ("no fine-tuning to resume",)),
    ):
        code, printed, err = run("quantize", *arguments, "--out", out)
        assert_one_line_error(code, printed, err, *words)
    assert not out.exists()
    assert not out.with_suffix(".run").exists()


def one_image(root: Path) -> None:
    lines = (root / "split.csv").read_text().splitlines()
    (root / "split.csv").write_text("\n".join([*lines[:2], *lines[-VALIDATION:]]) + "\n")


def one_image_many_times(root: Path) -> None:
    images = sorted((root / "images").iterdir())
    for path in images[1:]:
        path.write_bytes(images[0].read_bytes())


def empty_masks(root: Path) -> None:
    for path in (root / "masks").iterdir():
        Image.new("L", Image.open(path).size).save(path)


def an_unreadable_image(root: Path) -> None:
    sorted((root / "images").iterdir())[2].write_bytes(b"no picture")


def a_foreign_image(root: Path) -> None:
    """A mask of another picture's size."""
    path = sorted((root / "masks").iterdir())[1]
    Image.new("L", (40, 30), 255).save(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_image, "1 different training image,"),
        (one_image_many_times, "different training image"),
        (empty_masks, "masks of all 8 calibration images"),
        (an_unreadable_image, ".jpg"),
        (a_foreign_image, "40 x 30"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_images_that_ranges_cannot_come_from_are_refused(data, small_model, tmp_path, change, words):
    folder = copy_of(data, tmp_path)
    change(folder)
    with pytest.raises(ImageError) as caught:
        read_calibration_set(folder, small_model.config)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fine_tuning_that_was_not_started_takes_only_its_own_file_with_it(tmp_path):
    from s2m_edge.cli.quantize import _remove_unstarted
    from s2m_edge.quantize.finetune import RUN_FILE

    for kept in ("notes.txt", None):
        folder = tmp_path / f"{kept}.run"
        folder.mkdir()
        (folder / RUN_FILE).write_text("{}")
        if kept is not None:
            (folder / kept).write_text("years of work")
        _remove_unstarted(folder)
        assert not (folder / RUN_FILE).exists()
        assert folder.exists() == (kept is not None)
    assert (tmp_path / "notes.txt.run" / "notes.txt").read_text() == "years of work"
