"""A run by a recipe: what it leaves behind, and that nothing is lost when it is stopped."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s2m_edge.checkpoint import load_model, read_header, save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError, ImageError, OutputError, TrainingError
from s2m_edge.train.callbacks import average_with_warm_up
from s2m_edge.train.fit import Machine, require_possible, train_run
from s2m_edge.train.kernels import depthwise, lacking
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.recipe import Phase, Recipe
from s2m_edge.train.run import Run, begin_run, open_run
from s2m_edge.train.sheet import draw_sheet
from s2m_edge.train.start import start_from
from support import WHOLE, lively_network, write_sample_folder

CPU = Machine(accelerator="cpu", devices="1", sheet_every=2)
RECIPE = Recipe(
    "tiny", "Tiny", ("polyp",), (Phase(96, 3, 2, 1e-3),), domain="polyp", loss="dice_ce", average_decay=0.5, seed=3
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder of bundled real pictures: four to train on, one to validate."""
    return write_sample_folder(tmp_path_factory.mktemp("training") / "data", ("train",) * 4 + ("val",))


def begun(folder: Path, place: Path, recipe: Recipe = RECIPE, start: Path | None = None) -> Run:
    run = Run(place, recipe, folder, None, start)
    begin_run(run)
    return run


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, float]:
    """A run that nobody disturbed, and its best validation Dice."""
    run = begun(folder, tmp_path_factory.mktemp("runs") / "whole")
    return run, train_run(run, CPU)


def state(run: Run) -> dict:
    return torch.load(run.state(1), weights_only=True)


def assert_same_tensors(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0, msg=name)


def test_a_run_leaves_a_checkpoint_that_says_how_it_was_made(finished):
    run, best = finished
    header = read_header(run.best(1))
    assert 0 <= best <= 1
    assert header.provenance["validation_dice"] == pytest.approx(best, abs=1e-4)
    assert header.provenance["recipe"] == "tiny"
    assert header.provenance["device"] == "cpu"
    assert header.provenance["loss"] == "Dice + cross-entropy"
    phase = header.provenance["phases"][0]
    assert (phase["size"], phase["seed"], phase["started_from"]) == (96, 3, "random weights")
    assert torch.isfinite(load_model(run.best(1))(torch.rand(1, 3, 96, 96))).all()
    assert json.loads(run.result(1).read_text())["validation_dice"] == pytest.approx(best, abs=1e-6)


def test_a_run_leaves_logs_and_sheets_of_pictures(finished):
    run, _ = finished
    assert list((run.folder / "phase-1" / "log").glob("events*"))
    sheets = sorted((run.folder / "phase-1" / "pictures").iterdir())
    assert [sheet.name for sheet in sheets] == ["epoch-0002.png", "epoch-0003.png"]
    with Image.open(sheets[0]) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (20 + 192 + 20, 4 * 192, 3)
    columns = [pixels[20:212, 192 * column : 192 * (column + 1)] for column in range(4)]
    assert all(column.std() > 1 for column in columns[:3])
    assert columns[3].std() > 0  # an untrained decoder sees hardly a border
    assert not np.array_equal(columns[0], columns[1])  # the truth is drawn over it


def test_a_resumed_run_equals_an_uninterrupted_one(finished, folder: Path, tmp_path: Path, monkeypatch):
    """To the last bit: weights, averaged weights, optimizer, schedule and best checkpoint."""
    whole, best = finished
    run = begun(folder, tmp_path / "run")
    real = SegmentationModule.training_step

    def stop_in_the_second_epoch(self, batch, index):
        if self.current_epoch == 1 and index == 1:
            raise KeyboardInterrupt
        return real(self, batch, index)

    monkeypatch.setattr(SegmentationModule, "training_step", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train_run(run, CPU)
    assert not run.result(1).exists()
    assert state(run)["epoch"] == 0
    monkeypatch.setattr(SegmentationModule, "training_step", real)
    assert train_run(open_run(run.folder), CPU) == best
    resumed, uninterrupted = state(run), state(whole)
    assert_same_tensors(resumed["state_dict"], uninterrupted["state_dict"])
    assert_same_tensors(resumed["current_model_state"], uninterrupted["current_model_state"])
    assert resumed["lr_schedulers"] == uninterrupted["lr_schedulers"]
    for key, values in uninterrupted["optimizer_states"][0]["state"].items():
        assert_same_tensors(resumed["optimizer_states"][0]["state"][key], values)
    assert_same_tensors(load_model(run.best(1)).state_dict(), load_model(whole.best(1)).state_dict())


def test_the_weights_that_are_validated_and_pictured_are_the_weights_that_are_kept(
    folder: Path, tmp_path: Path, monkeypatch
):
    """The averaged ones, not the latest."""
    seen: dict[str, dict[str, torch.Tensor]] = {}

    def watching(name: str, real):
        def watch(network_or_module, *arguments):
            network = getattr(network_or_module, "network", network_or_module)
            seen[name] = {key: value.clone() for key, value in network.state_dict().items()}
            return real(network_or_module, *arguments)

        return watch

    monkeypatch.setattr(
        SegmentationModule, "validation_step", watching("validated", SegmentationModule.validation_step)
    )
    monkeypatch.setattr("s2m_edge.train.sheet.draw_sheet", watching("pictured", draw_sheet))
    recipe = replace(RECIPE, phases=(Phase(96, 1, 2, 1e-2),), average_decay=0.9)
    run = begun(folder, tmp_path / "run", recipe)
    train_run(run, CPU)
    assert_same_tensors(seen["pictured"], seen["validated"])
    kept, latest = load_model(run.best(1)).state_dict(), state(run)["current_model_state"]
    weight = "stem.0.weight"
    torch.testing.assert_close(kept[weight], seen["validated"][weight], rtol=1e-3, atol=1e-6)  # stored as float16
    assert (latest[f"network.{weight}"] - kept[weight]).abs().max() > 1e-3


@pytest.mark.skipif(lacking() != "", reason="no C++ compiler or no CMake here: the kernel cannot be built")
def test_on_a_cpu_the_native_kernel_sums_the_depthwise_gradients(folder: Path, tmp_path: Path, monkeypatch):
    results: list[bool] = []
    real = depthwise.try_kernel

    def watched(x, upstream, size):
        results.append((found := real(x, upstream, size)) is not None)
        return found

    monkeypatch.setattr(depthwise, "try_kernel", watched)
    train_run(begun(folder, tmp_path / "run", replace(RECIPE, phases=(Phase(96, 1, 2, 1e-3),))), CPU)
    assert results == [True] * 2 * 10, "two steps, kernels of five and seven at five stages"


def test_a_compiled_network_trains_with_what_its_compiler_makes(monkeypatch):
    monkeypatch.setattr("s2m_edge.train.kernels.mode.is_enabled", lambda: True)
    module = SegmentationModule(RECIPE, RECIPE.phases[0])
    norm = module.network.get_submodule("stem.1")
    with module.training_kernels():
        assert "forward" in vars(norm), "the norm and its ELU run as one"
    assert "forward" not in vars(norm)
    module.network.compile()
    assert isinstance(module.training_kernels(), nullcontext)


def test_another_seed_gives_another_network(finished, folder: Path, tmp_path: Path):
    """Or the equality of resumed runs would show nothing."""
    whole, _ = finished
    run = begun(folder, tmp_path / "run", replace(RECIPE, seed=4))
    train_run(run, CPU)
    other, first = state(run)["state_dict"], state(whole)["state_dict"]
    assert any(not torch.equal(value, other[name]) for name, value in first.items())


def test_a_finished_run_is_not_trained_again(finished, monkeypatch):
    run, best = finished
    monkeypatch.setattr(SegmentationModule, "__init__", lambda *_: pytest.fail("trained again"))
    assert train_run(open_run(run.folder), CPU) == pytest.approx(best, abs=1e-6)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_pictures(folder: Path, tmp_path: Path, monkeypatch):
    run = begun(folder, tmp_path / "run")
    real = SegmentationModule.training_step

    def poisoned(self, batch, index):
        if self.current_epoch == 1:
            batch = {**batch, "image": batch["image"] * float("nan")}
        return real(self, batch, index)

    monkeypatch.setattr(SegmentationModule, "training_step", poisoned)
    with pytest.raises(TrainingError, match=r"nan in epoch 2, batch 1 \((polyp|skin|cardiac|vessel)-") as caught:
        train_run(run, CPU)
    assert caught.value.exit_code == 1
    assert torch.isfinite(load_model(run.best(1))(torch.rand(1, 3, 96, 96))).all()
    assert state(run)["epoch"] == 0


def test_a_full_disk_keeps_the_state_of_the_epoch_before(folder: Path, tmp_path: Path, monkeypatch):
    from lightning import Trainer

    run = begun(folder, tmp_path / "run")
    real = Trainer.save_checkpoint

    def full(self, filepath, *arguments, **options):
        if self.current_epoch == 1:
            Path(filepath).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, filepath, *arguments, **options)

    monkeypatch.setattr(Trainer, "save_checkpoint", full)
    with pytest.raises(OutputError, match="the disk is full"):
        train_run(run, CPU)
    assert state(run)["epoch"] == 0
    assert not list((run.folder / "phase-1").glob("*.partial"))


def test_a_damaged_state_is_refused_with_its_remedy(finished, folder: Path, tmp_path: Path):
    run = begun(folder, tmp_path / "run")
    run.state(1).parent.mkdir(parents=True)
    run.state(1).write_bytes(finished[0].state(1).read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="Delete it to start this phase again"):
        train_run(run, CPU)


def test_phases_follow_each_other_and_resample_the_filters(folder: Path, tmp_path: Path):
    recipe = replace(RECIPE, phases=(Phase(96, 1, 2, 1e-3), Phase(128, 1, 2, 1e-3)), average_decay=0.0)
    run = begun(folder, tmp_path / "run", recipe)
    train_run(run, CPU)
    header = read_header(run.best(2))
    assert header.config.size == 128
    assert [phase["size"] for phase in header.provenance["phases"]] == [96, 128]
    assert header.provenance["phases"][1]["started_from"] == "the phase before"


def test_several_classes_train_and_validate(folder: Path, tmp_path: Path):
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    (root / "split.csv").write_text((folder / "split.csv").read_text())
    for image in (folder / "images").iterdir():
        (root / "images" / image.name).write_bytes(image.read_bytes())
        with Image.open(folder / "masks" / f"{image.stem}.png") as mask:
            labels = (np.asarray(mask) > 0).astype(np.uint8)
        labels[: labels.shape[0] // 2] *= 2
        Image.fromarray(labels).save(root / "masks" / f"{image.stem}.png")
    recipe = replace(RECIPE, class_names=("lower", "upper"), loss="masl", phases=(Phase(96, 1, 2, 1e-3),))
    run = begun(root, tmp_path / "run", recipe)
    assert 0 <= train_run(run, CPU) <= 1
    assert read_header(run.best(1)).config.classes == 3
    assert load_model(run.best(1))(torch.rand(1, 3, 96, 96)).shape == (1, 3, 96, 96)


def test_masl_trains_and_its_weights_are_logged(folder: Path, tmp_path: Path, capsys):
    run = begun(folder, tmp_path / "run", replace(RECIPE, loss="masl", phases=(Phase(96, 1, 2, 1e-3),)))
    train_run(run, CPU)
    line = next(line for line in capsys.readouterr().err.splitlines() if "epoch 1/1" in line)
    for name in ("core", "boundary", "structure", "scale", "texture"):
        assert f"{name} " in line
    assert read_header(run.best(1)).provenance["loss"] == "MASL"


def test_a_colour_network_starts_a_grey_one_and_answers_alike(tmp_path: Path):
    start = tmp_path / "small.safetensors"
    save_checkpoint(start, lively_network(**WHOLE), {})
    grey = SegmentationModule(replace(RECIPE, in_channels=1), RECIPE.phases[0])
    start_from(grey, start)
    picture = torch.rand(1, 1, 96, 96)
    with torch.no_grad():
        expected = load_model(start)(picture.expand(-1, 3, -1, -1))
        assert torch.allclose(grey.network.eval()(picture), expected, atol=1e-4)


def test_a_start_keeps_everything_but_the_last_layer_for_other_classes(tmp_path: Path):
    start = tmp_path / "small.safetensors"
    save_checkpoint(start, lively_network(**WHOLE), {})
    three = SegmentationModule(replace(RECIPE, class_names=("a", "b")), RECIPE.phases[0])
    before = {name: tensor.clone() for name, tensor in three.network.state_dict().items()}
    start_from(three, start)
    weights = load_model(start).state_dict()
    for name, tensor in three.network.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith("head.5.") else weights[name]), name


def test_a_checkpoint_of_another_layout_is_no_start(folder: Path, tmp_path: Path, small_model):
    start = tmp_path / "small.safetensors"
    save_checkpoint(start, small_model, {})
    run = begun(folder, tmp_path / "run", replace(RECIPE, layout="without_sstm"), start)
    said = r"than the recipe \(layout: paper, the recipe's without_sstm; .*mixer_stages: 1 3, the recipe's none; "
    with pytest.raises(CheckpointError, match=said):
        train_run(run, CPU)


def test_the_average_forgets_the_first_weights_of_a_short_run():
    average = average_with_warm_up(0.99)
    value = torch.tensor(100.0)
    for step in range(1, 60):
        value = average(value, torch.tensor(0.0), torch.tensor(step))
    assert value < 0.01, "at the full decay more than half would be left"
    assert average(torch.tensor(1.0), torch.tensor(0.0), 10_000) == pytest.approx(0.99)


def test_a_folder_that_holds_a_run_is_not_overwritten(finished, folder: Path):
    with pytest.raises(ConfigurationError, match=r"holds a run already.*--resume"):
        begun(folder, finished[0].folder)


def test_a_place_without_a_run_cannot_be_resumed(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="holds no run"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text('{"recipe": 1}')
    with pytest.raises(ConfigurationError, match=r"is no recipe"):
        open_run(tmp_path)


def test_data_without_a_split_to_validate_with_holds_some_out_and_says_so(folder: Path, tmp_path: Path):
    root = tmp_path / "data"
    root.mkdir()
    for name in ("images", "masks"):
        (root / name).symlink_to(folder / name)
    (root / "split.csv").write_text((folder / "split.csv").read_text().replace(",val", ",train"))
    remark = require_possible(Run(tmp_path / "run", RECIPE, root, None, None), CPU)
    assert "has no split 'val': 1 of its 5 training samples" in remark
    (root / "split.csv").write_text((folder / "split.csv").read_text().replace(",train", ",test"))
    with pytest.raises(ImageError, match="too few samples to train on"):
        require_possible(Run(tmp_path / "run", RECIPE, root, None, None), CPU)


@pytest.mark.parametrize(
    ("features", "precision", "remark"),
    [
        ({"avx512f"}, None, ""),
        ({"avx512f"}, "32-true", ""),
        ({"avx512f"}, "bf16-mixed", "no bfloat16 instructions"),
        ({"avx512f", "avx512_bf16"}, None, "--precision bf16-mixed takes less time"),
        ({"avx512f", "avx512_bf16"}, "32-true", ""),
        ({"asimd", "bf16"}, "bf16-mixed", ""),
        (None, None, ""),
    ],
)
def test_who_begins_on_a_cpu_hears_which_precision_is_fast_there(
    features, precision, remark, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("s2m_edge.train.fit.features_known", lambda: features is not None)
    monkeypatch.setattr("s2m_edge.train.fit.processor_features", lambda: frozenset(features or ()))
    found = require_possible(Run(tmp_path / "run", RECIPE, folder, None, None), replace(CPU, precision=precision))
    assert ("bfloat16" in found) == bool(remark)
    assert remark in found


@pytest.mark.slow
def test_two_processes_train_together(folder: Path, tmp_path: Path):
    """torchrun with two processes on the CPU: each sees half of the pictures, one writes, both end alike."""
    options = "--phase 96:1:1:0.001 --loss dice_ce --accelerator cpu --devices 2 --strategy ddp"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "s2m_edge.train", "polyp", "--data", str(folder), "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*command, *options.split()],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best validation Dice") == 1
    header = read_header(tmp_path / "run" / "phase-1" / "best.safetensors")
    assert header.provenance["phases"][0]["devices"] == 2
    assert state(open_run(tmp_path / "run"))["global_step"] == 2  # four pictures, two processes, one each
