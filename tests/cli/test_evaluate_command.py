"""`s2m-edge evaluate`: the same figures for a checkpoint and its bundle, and nothing half-done."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2m_edge.checkpoint import BUNDLED_CHECKPOINTS, load_model, read_header, save_checkpoint
from s2m_edge.deploy.spec import DEFAULT_THRESHOLD
from s2m_edge.imaging.masks import read_mask
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images, sample_mask
from s2m_edge.targets.measure.evaluation.metrics import DEFAULT_TOLERANCE
from support import assert_one_line_error, lively_network, metric_rows, write_image_folder

pytestmark = pytest.mark.usefixtures("elsewhere")

THRESHOLD = 0.9  # near which the small checkpoint's answers lie


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An image folder of the bundled polyps: three to test on, one of them again to validate."""
    rows = [(image, sample_mask(image), "test") for image in sample_images("polyp")]
    folder = write_image_folder(tmp_path / "polyps", rows)
    assert len(rows) == 3
    return folder


@pytest.fixture(scope="session")
def three_classes(tmp_path_factory) -> Path:
    """A checkpoint with a background and two foreground classes."""
    path = tmp_path_factory.mktemp("classes") / "heart.safetensors"
    save_checkpoint(path, lively_network(classes=3), {"class_names": ["ventricle", "muscle"]})
    return path


def relabel(data: Path, label: int) -> None:
    """Masks of 0 and `label` instead of 0 and 255."""
    for path in (data / "masks").iterdir():
        Image.fromarray((read_mask(path) > 127).astype(np.uint8) * np.uint8(label)).save(path)


def test_a_checkpoint_is_scored_and_its_report_written(run, small_checkpoint, data, elsewhere):
    code, out, err = run("evaluate", small_checkpoint, "--data", data)
    assert code == 0, err
    report = elsewhere / "evaluation" / "small-test"
    assert sorted(path.name for path in report.iterdir()) == ["metrics.csv", "metrics.json", "worst.png"]
    values = json.loads((report / "metrics.json").read_text())
    dice = [float(row["dice"]) for row in metric_rows(report)]
    assert len(dice) == 3
    assert values["metrics"]["dice"]["mean"] == pytest.approx(np.mean(dice), abs=1e-5)
    assert values["model"]["checkpoint"]["sha256"] == read_header(small_checkpoint).sha256
    assert values["settings"]["surface_dice_tolerance_pixels"] == DEFAULT_TOLERANCE
    assert values["settings"]["threshold"] == DEFAULT_THRESHOLD
    assert "small on polyps, test: 3 images" in out
    assert "PyTorch eager, float32, cpu" in out
    assert "Research use only. Not a medical device." in out
    line = next(line for line in out.splitlines() if line.strip().startswith("Dice"))
    assert f"{np.mean(dice):.3f}" in line


def test_a_bundle_has_its_checkpoints_figures_and_those_of_the_masks_it_predicts(
    run, small_checkpoint, onnx_bundle, data, tmp_path
):
    found = {}
    for model in (small_checkpoint, onnx_bundle):
        code, out, err = run(
            "evaluate", model, "--data", data, "--threshold", THRESHOLD, "--out", tmp_path / model.stem, "--json"
        )
        assert code == 0, err
        found[model] = json.loads(out)
    reference, edge = found[small_checkpoint], found[onnx_bundle]
    for name, figures in reference["metrics"].items():
        assert edge["metrics"][name]["mean"] == pytest.approx(figures["mean"], rel=2e-3), name
    assert 0.05 < reference["metrics"]["dice"]["mean"] < 0.95
    assert edge["model"]["verdict"] == "executed"
    assert edge["model"]["files"]["s2mnet.onnx"]
    assert edge["model"]["checkpoint"] == reference["model"]["checkpoint"]
    code, _, err = run(
        "predict", onnx_bundle, data / "images", "--threshold", THRESHOLD, "--out", tmp_path / "predictions"
    )
    assert code == 0, err
    for row in metric_rows(tmp_path / onnx_bundle.stem):
        mask = read_mask(tmp_path / "predictions" / f"{row['image']}-mask.png") > 127
        truth = read_mask(data / "masks" / f"{row['image']}.png") > 127
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert float(row["dice"]) == pytest.approx(dice, abs=1e-5)


def test_a_bundle_that_is_called_like_a_bundled_checkpoint_is_still_the_bundle(run, onnx_bundle, data, elsewhere):
    shutil.copytree(onnx_bundle, elsewhere / "polyp")
    code, out, err = run("evaluate", "polyp", "--data", data, "--limit", 1, "--json")
    assert code == 0, err
    assert json.loads(out)["model"]["kind"] == "bundle"


def test_augmentation_works_for_both_and_changes_the_figures(run, small_checkpoint, onnx_bundle, data, elsewhere):
    found = []
    for model, options in ((small_checkpoint, ("--augment",)), (onnx_bundle, ("--augment",)), (small_checkpoint, ())):
        code, out, err = run("evaluate", model, "--data", data, "--threshold", THRESHOLD, "--json", *options)
        assert code == 0, err
        found.append(json.loads(out))
    reference, edge, plain = (values["metrics"]["dice"]["mean"] for values in found)
    assert edge == pytest.approx(reference, rel=2e-3)
    assert abs(plain - reference) > 1e-4
    assert [values["settings"]["augment"] for values in found] == [True, True, False]
    assert (elsewhere / "evaluation" / "small-test-augmented" / "metrics.json").is_file()


def test_several_classes_are_reported_apart(run, three_classes, data, tmp_path):
    relabel(data, 2)
    code, out, err = run("evaluate", three_classes, "--data", data, "--out", tmp_path / "report")
    assert code == 0, err
    assert [row["class"] for row in metric_rows(tmp_path / "report")] == ["ventricle", "muscle"] * 3
    values = json.loads((tmp_path / "report" / "metrics.json").read_text())
    first, second = values["classes"]
    assert (first["name"], first["images_with_truth"]) == ("ventricle", 0)
    assert (second["name"], second["images_with_truth"]) == ("muscle", 3)
    assert first["metrics"]["dice"]["mean"] == 0  # invented everywhere
    assert first["metrics"]["hd95"] == dict.fromkeys(
        ("mean", "mean_interval", "median", "median_interval")
    ) | {"images": 0, "undefined": 3}  # fmt: skip
    assert values["metrics"]["dice"]["mean"] == pytest.approx(second["metrics"]["dice"]["mean"] / 2, abs=1e-5)
    assert values["settings"]["threshold"] is None
    assert "ventricle" in out
    assert "undefined in 3" in out


def test_a_limit_and_another_tolerance_are_said(run, small_checkpoint, data, tmp_path):
    arguments = ("evaluate", small_checkpoint, "--data", data, "--limit", 2, "--out", tmp_path / "report")
    code, out, err = run(*arguments, "--tolerance", 500, "--size", 128, "--threads", 1)
    assert code == 0
    assert "only the first 2 of 3 images" in err
    assert "the first 2 of 3 images" in out
    values = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert (values["data"]["images"], values["data"]["images_in_split"]) == (2, 3)
    assert values["settings"]["surface_dice_tolerance_pixels"] == 500
    assert values["metrics"]["surface_dice"]["mean"] == 1  # nothing is farther than 500 pixels
    assert (values["model"]["height"], values["model"]["width"]) == (128, 128)


def test_a_published_data_set_is_read_by_its_preset(run, small_checkpoint, data, elsewhere):
    (data / "split.csv").write_text("stem,split\n" + "".join(f"{image.stem},val\n" for image in sample_images("polyp")))
    arguments = ("evaluate", small_checkpoint, "--data", data, "--preset", "kvasir_seg", "--json")
    assert_one_line_error(*run(*arguments), "no images of the split 'test'", "It has val")
    code, out, err = run(*arguments, "--split", "val")
    assert code == 0, err
    assert json.loads(out)["data"] == {"name": "kvasir_seg", "split": "val", "images": 3, "images_in_split": 3}


def test_recording_adds_the_figure_and_leaves_the_weights(run, small_checkpoint, data, tmp_path):
    import torch

    path = tmp_path / "copy.safetensors"
    shutil.copyfile(small_checkpoint, path)
    before = load_model(path).state_dict()
    for options in ((), ("--augment",)):
        code, out, err = run("evaluate", path, "--data", data, "--record", "--json", *options)
        assert code == 0, err
        values, header = json.loads(out), read_header(path)
        suffix = "_augmented" if options else ""
        dice = values["metrics"]["dice"]
        assert header.provenance[f"test_dice{suffix}"] == pytest.approx(dice["mean"], abs=1e-4)
        assert header.provenance[f"test_dice_interval{suffix}"] == pytest.approx(dice["mean_interval"], abs=1e-4)
        assert values["model"]["checkpoint"]["sha256"] == header.sha256
    assert read_header(path).provenance["test_images"] == 3
    assert read_header(path).provenance["domain"] == "polyp"
    after = load_model(path).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("named", ["polyp", "path"])
def test_the_bundled_checkpoint_is_nobodys_to_record_in(run, data, named):
    path = BUNDLED_CHECKPOINTS["polyp"]
    before = path.read_bytes()
    given = "polyp" if named == "polyp" else path
    assert_one_line_error(*run("evaluate", given, "--data", data, "--record"), "bundled checkpoint", "Copy it first")
    assert path.read_bytes() == before


def test_figures_are_not_recorded_in_a_file_that_was_changed_meanwhile(
    run, small_checkpoint, data, tmp_path, monkeypatch
):
    import s2m_edge.targets.measure.evaluation.evaluate as evaluation

    path = tmp_path / "copy.safetensors"
    shutil.copyfile(small_checkpoint, path)
    other = lively_network(seed=1)
    honest = evaluation.evaluate_samples

    def swapped(*arguments):
        save_checkpoint(path, other, {})
        return honest(*arguments)

    monkeypatch.setattr(evaluation, "evaluate_samples", swapped)
    assert_one_line_error(*run("evaluate", path, "--data", data, "--record", "--out", tmp_path / "r"), "was changed")
    assert read_header(path).provenance == {}
    assert not (tmp_path / "r").exists()


def test_nothing_is_recorded_without_its_report(run, small_checkpoint, data, tmp_path, monkeypatch):
    import s2m_edge.targets.measure.evaluation.report as report

    path = tmp_path / "copy.safetensors"
    shutil.copyfile(small_checkpoint, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "r"))

    monkeypatch.setattr(report, "write_json", full)
    result = run("evaluate", path, "--data", data, "--record", "--out", tmp_path / "r")
    assert_one_line_error(*result, "the disk is full")
    assert "Dice" in result[1], "the figures are printed all the same"
    assert path.read_bytes() == before


def test_recording_behind_a_link_leaves_the_link(run, small_checkpoint, data, tmp_path):
    path, link = tmp_path / "copy.safetensors", tmp_path / "link.safetensors"
    shutil.copyfile(small_checkpoint, path)
    link.symlink_to(path)
    assert run("evaluate", link, "--data", data, "--record")[0] == 0
    assert link.is_symlink()
    assert read_header(path).provenance["test_images"] == 3


def test_all_images_need_no_split(run, small_checkpoint, data):
    arguments = ("evaluate", small_checkpoint, "--data", data, "--json")
    by_split = json.loads(run(*arguments)[1])
    (data / "split.csv").unlink()
    code, out, err = run(*arguments, "--all-images")
    assert code == 0, err
    values = json.loads(out)
    assert values["data"] == {"name": "polyps", "split": "all", "images": 3, "images_in_split": 3}
    assert values["metrics"] == by_split["metrics"]
    assert (Path("evaluation") / "small-all" / "metrics.json").is_file()
    (data / "masks" / f"{sample_images('polyp')[1].stem}.png").unlink()
    assert_one_line_error(*run(*arguments, "--all-images"), sample_images("polyp")[1].stem, "has no mask")


def test_pictures_and_classes_of_any_name_are_scored_and_reported(run, data, tmp_path):
    named = os.fsdecode(b"[bold] \xff\x1b[2J")
    image, mask = sample_images("polyp")[0], sample_mask(sample_images("polyp")[0])
    (data / "images" / f"{named}{image.suffix}").write_bytes(image.read_bytes())
    (data / "masks" / f"{named}{mask.suffix}").write_bytes(mask.read_bytes())
    (data / "split.csv").unlink()
    path = tmp_path / "[bold].safetensors"
    save_checkpoint(path, lively_network(), {"class_names": ["[/]"]})
    for folder in ("images", "masks"):
        (data / "test" / folder).mkdir(parents=True)
        for file in (data / folder).iterdir():
            shutil.move(file, data / "test" / folder / file.name)
    code, out, err = run("evaluate", path, "--data", data)
    assert code == 0, err
    assert "\x1b" not in out + err
    report = Path("evaluation") / "[bold]-test"
    assert "[bold] \\udcff\\x1b" in (report / "metrics.csv").read_text(encoding="utf-8")
    assert named in [entry["image"] for entry in json.loads((report / "metrics.json").read_text())["worst"]]


def test_recording_of_several_classes_names_each(run, three_classes, data, tmp_path):
    path = tmp_path / "copy.safetensors"
    shutil.copyfile(three_classes, path)
    relabel(data, 2)
    code, _, err = run("evaluate", path, "--data", data, "--record")
    assert code == 0, err
    assert set(read_header(path).provenance["test_dice_per_class"]) == {"ventricle", "muscle"}


@pytest.mark.parametrize(
    "options", [("--limit", 1), ("--size", 128), ("--threshold", 0.3), ("--all-images",)], ids=lambda it: it[0]
)
def test_only_the_checkpoints_own_figure_on_the_whole_split_is_recorded(run, small_checkpoint, data, options):
    before = small_checkpoint.read_bytes()
    assert_one_line_error(*run("evaluate", small_checkpoint, "--data", data, "--record", *options), "--record")
    assert small_checkpoint.read_bytes() == before


def test_a_bundle_has_its_own_size_and_no_provenance_of_its_own(run, onnx_bundle, data):
    arguments = ("evaluate", onnx_bundle, "--data", data)
    assert_one_line_error(*run(*arguments, "--size", 128), "a bundle has the size that it was exported for", "--size")
    assert_one_line_error(*run(*arguments, "--record"), "only a checkpoint", "--record")


def test_the_cpu_is_the_default_also_where_there_is_a_gpu(run, small_checkpoint, data, tmp_path, monkeypatch):
    import torch

    found = []
    for options in (("--device", "cpu"), ("--device", "auto"), ()):
        monkeypatch.setattr(torch.cuda, "is_available", lambda options=options: not options)
        arguments = ("evaluate", small_checkpoint, "--data", data, "--limit", 1, "--out", tmp_path / "report", "--json")
        code, out, err = run(*arguments, *options)
        assert code == 0, err
        found.append(json.loads(out))
    assert all("float32, cpu" in values["model"]["device"] for values in found)
    assert found[0]["metrics"] == found[1]["metrics"] == found[2]["metrics"]


def test_a_checkpoint_is_scored_on_a_gpu_in_full_float32(run, small_checkpoint, data, tmp_path, monkeypatch):
    """Of a GPU that is not there: the network is sent to it, and what it computes is seen on the CPU."""
    import torch

    from s2m_edge.network.model import S2MNet
    from s2m_edge.targets.measure.evaluation import predictors

    sent, precisions, honest = [], [], predictors.reference_logits

    def logits(*arguments):
        precisions.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
        return honest(*arguments)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU of {device}")
    assert torch.backends.cudnn.allow_tf32  # PyTorch's default
    monkeypatch.setattr(S2MNet, "to", lambda network, device: sent.append(device) or network)
    monkeypatch.setattr(predictors, "reference_logits", logits)
    report = tmp_path / "report"
    code, out, err = run(
        "evaluate", small_checkpoint, "--data", data, "--limit", 1, "--device", "auto", "--out", report
    )
    assert code == 0, err
    assert sent == ["cuda"]
    assert precisions == [(False, False)]
    assert "PyTorch eager, float32, cuda (GPU of cuda" in out
    device = json.loads((report / "metrics.json").read_text())["model"]["device"]
    assert device.startswith("PyTorch eager, float32, cuda (GPU of cuda")


def test_a_device_that_cannot_be_had_is_refused(run, small_checkpoint, onnx_bundle, data, elsewhere, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ("--data", data, "--device")
    missing = run("evaluate", small_checkpoint, *arguments, "cuda")
    assert_one_line_error(*missing, "PyTorch finds no CUDA device here", "--device cpu")
    assert_one_line_error(*run("evaluate", small_checkpoint, *arguments, "tpu"), "there is no device 'tpu'")
    bundled = run("evaluate", onnx_bundle, *arguments, "cpu")
    assert_one_line_error(*bundled, "a bundle runs on its own runtime's device", "Leave --device out")
    assert list(elsewhere.iterdir()) == []


def damage_middle_image(data: Path) -> None:
    sorted((data / "images").iterdir())[1].write_bytes(b"no picture")


def crop_middle_mask(data: Path) -> None:
    path = sorted((data / "masks").iterdir())[1]
    Image.fromarray(read_mask(path)[:100, :80]).save(path)


@pytest.mark.parametrize(
    ("damage", "options", "words"),
    [
        (lambda data: (data / "split.csv").unlink(), (), ("has no split.csv", "stem,split", "--all-images")),
        (lambda data: None, ("--split", "exam"), ("'exam'", "train, val, test")),
        (lambda data: None, ("--preset", "none"), ("preset", "none")),
        (damage_middle_image, (), (sample_images("polyp")[1].name, "cannot be read")),
        (crop_middle_mask, (), (sample_images("polyp")[1].stem, "80 x 100", "352 x 352")),
        (lambda data: relabel(data, 3), (), ("labels up to 3", "one class")),
    ],
    ids=["no split.csv", "unknown split", "unknown preset", "unreadable image", "other size", "class labels"],
)
@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_bad_data_stops_with_one_line_and_leaves_nothing(
    run, small_checkpoint, onnx_bundle, data, elsewhere, damage, options, words, kind
):
    damage(data)
    model = small_checkpoint if kind == "checkpoint" else onnx_bundle
    assert_one_line_error(*run("evaluate", model, "--data", data, *options), *words)
    assert list(elsewhere.iterdir()) == []


def test_labels_beyond_the_classes_are_refused(run, three_classes, data, elsewhere):
    relabel(data, 3)
    refused = run("evaluate", three_classes, "--data", data)
    assert_one_line_error(*refused, sample_images("polyp")[0].stem, "holds the label 3", "0 to 2")
    assert list(elsewhere.iterdir()) == []


def test_what_is_no_model_or_no_place_is_refused(run, small_checkpoint, three_classes, data, tmp_path):
    assert_one_line_error(*run("evaluate", tmp_path / "no", "--data", data), "there is no checkpoint or bundle")
    assert_one_line_error(*run("evaluate", data, "--data", data), "is not a bundle")
    assert_one_line_error(*run("evaluate", data / "split.csv", "--data", data), "not a readable safetensors file")
    occupied = run("evaluate", small_checkpoint, "--data", data, "--out", data)
    assert_one_line_error(*occupied, "is not an evaluation", "--out")
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("metrics.json", "weights.pt", "notes.txt"):
        (kept / name).write_text("{}")
    another = run("evaluate", small_checkpoint, "--data", data, "--out", kept)
    assert_one_line_error(*another, "is not an evaluation", "metrics.json", "Move that file")
    assert len(list(kept.iterdir())) == 3
    under_a_file = run("evaluate", small_checkpoint, "--data", data, "--out", data / "split.csv" / "report")
    assert_one_line_error(*under_a_file, "cannot be written", "--out")
    several = run("evaluate", three_classes, "--data", data, "--threshold", 0.4)
    assert_one_line_error(*several, "3 classes", "--threshold")
    assert len(list((data / "images").iterdir())) == 3


def test_an_interrupt_leaves_nothing(run, small_checkpoint, data, elsewhere, monkeypatch):
    from s2m_edge.targets.measure.evaluation import evaluate

    honest, calls = evaluate.measure, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return honest(*arguments)

    monkeypatch.setattr(evaluate, "measure", interrupted)
    path = elsewhere.parent / "copy.safetensors"
    shutil.copyfile(small_checkpoint, path)
    code, _, err = run("evaluate", path, "--data", data, "--record")
    assert code == 130
    assert "interrupted" in err
    assert list(elsewhere.iterdir()) == []
    assert path.read_bytes() == small_checkpoint.read_bytes()


def test_an_interrupt_while_the_report_is_written_leaves_nothing(run, small_checkpoint, data, tmp_path, monkeypatch):
    from s2m_edge.targets.measure.evaluation import report

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "publish_folder", interrupted)
    out = tmp_path / "reports" / "first"
    out.parent.mkdir()
    code, _, _ = run("evaluate", small_checkpoint, "--data", data, "--limit", 1, "--out", out)
    assert code == 130
    assert list(out.parent.iterdir()) == []


def test_an_image_of_any_size_is_scored_in_it(run, small_checkpoint, data, tmp_path):
    for kind in ("images", "masks"):
        for path in (data / kind).iterdir():
            pixels = read_image(path)[:200] if kind == "images" else read_mask(path)[:200]
            Image.fromarray(pixels).save(path)
    code, _, err = run("evaluate", small_checkpoint, "--data", data, "--out", tmp_path / "report")
    assert code == 0, err
    assert {(row["width"], row["height"]) for row in metric_rows(tmp_path / "report")} == {("352", "200")}
