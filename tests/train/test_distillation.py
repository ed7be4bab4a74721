"""Learning from teachers: what is compared, what they see, and what of them stays in the network (nothing)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from s2m_edge.checkpoint import load_model, read_header, save_checkpoint
from s2m_edge.errors import CheckpointError, ConfigurationError, ImageError
from s2m_edge.samples import sample_images
from s2m_edge.train.data.items import LABELLED
from s2m_edge.train.data.module import ImageFolderData
from s2m_edge.train.distillation.compare import divergence, feature_error, mean_prediction
from s2m_edge.train.distillation.mixing import mix_pictures
from s2m_edge.train.distillation.module import MatchedStages, TaughtModule, taught_module
from s2m_edge.train.distillation.teachers import Teachers, load_teachers
from s2m_edge.train.fit import Machine, require_possible, train_run
from s2m_edge.train.recipe import Phase, Recipe, Teaching, read_recipe, recipe_from_values, with_teachers
from s2m_edge.train.run import Run, begin_run, open_run
from support import ENCODER_STAGES, STAGE_CHANNELS, assert_one_line_error, lively_network, write_sample_folder

LOGITS = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
CPU = Machine(accelerator="cpu", devices="1")
RECIPE = Recipe("tiny", "Tiny", ("polyp",), (Phase(96, 1, 2, 1e-3),), domain="polyp", loss="dice_ce", seed=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sample_folder(tmp_path / "data", ("train",) * 2 + ("val",))


@pytest.fixture
def teacher_file(tmp_path: Path) -> Path:
    """A checkpoint of S2M-Net that answers differently from place to place."""
    save_checkpoint(tmp_path / "teacher.safetensors", lively_network(), {})
    return tmp_path / "teacher.safetensors"


def pictures(count: int = 2, size: int = 96) -> torch.Tensor:
    chosen = [Image.open(path).convert("RGB").resize((size, size)) for path in sample_images("polyp")[:count]]
    return torch.stack([torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1) / 255 for image in chosen])


@pytest.mark.parametrize("classes", [1, 4])
def test_the_divergence_is_zero_for_equal_answers_positive_else_and_finite_for_certain_ones(classes):
    generator = torch.Generator().manual_seed(2)
    taught, other = (torch.randn(2, classes, 8, 8, generator=generator) for _ in range(2))
    assert float(divergence(taught, taught)) == pytest.approx(0.0, abs=1e-6)
    assert float(divergence(other, taught)) > 0.1
    certain = divergence(200.0 * other, -200.0 * taught)
    assert torch.isfinite(certain)


def test_the_divergence_has_the_gradient_of_the_cross_entropy_with_the_teachers_probabilities():
    taught, own = torch.randn(2, 1, 8, 8), LOGITS.clone().requires_grad_(True)
    divergence(own, taught).backward()
    assert own.grad is not None
    assert torch.allclose(own.grad, (own.detach().sigmoid() - taught.sigmoid()) / 128, atol=1e-6)


def test_features_are_compared_as_shares_of_their_variance(small_model):
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        output = small_model.forward_with_features(image)
    assert len(output.features) == 2 * ENCODER_STAGES - 1
    assert float(feature_error(output.features, output.features)) == 0.0
    moved = output._replace(features=tuple(x + 0.1 * x.std() for x in output.features))
    assert float(feature_error(moved.features, output.features)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("classes", [1, 3])
def test_several_teachers_answer_with_the_mean_of_their_probabilities(classes):
    generator = torch.Generator().manual_seed(4)
    answers = [3 * torch.randn(2, classes, 8, 8, generator=generator) for _ in range(3)]
    activation = torch.sigmoid if classes == 1 else lambda x: x.softmax(dim=1)
    expected = torch.stack([activation(x) for x in answers]).mean(dim=0)
    torch.testing.assert_close(activation(mean_prediction(answers)), expected)
    assert mean_prediction(answers[:1]) is answers[0]


def test_a_teacher_answers_just_the_pictures_that_its_student_sees():
    teacher, image = lively_network(), pictures()
    taught = Teachers([teacher]).teach(image)
    output = teacher.forward_with_features(image)
    torch.testing.assert_close(taught.logits, output.logits, rtol=1e-3, atol=1e-4)  # channels last: other sums
    assert len(taught.features) == len(output.features) == 2 * ENCODER_STAGES - 1
    assert not taught.logits.requires_grad


def test_a_mirrored_teacher_answers_alike_for_a_picture_and_its_mirror_image():
    image = pictures()
    plain, mirrored = Teachers([lively_network()]), Teachers([lively_network()], mirrored=True)
    there, back = (mirrored.teach(x).logits for x in (image, image.flip(-1)))
    torch.testing.assert_close(there, back.flip(-1), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(plain.teach(image).logits, plain.teach(image.flip(-1)).logits.flip(-1), atol=1e-2)


def test_a_teacher_of_another_size_sees_pictures_of_its_own_and_answers_in_the_students():
    teacher = lively_network(size=128)
    taught = Teachers([teacher]).teach(pictures(size=96))
    assert taught.logits.shape[-2:] == (96, 96)
    assert taught.features[0].shape[-2:] == (64, 64)
    coarse = Teachers([teacher]).teach(pictures(size=128)).logits.mean()
    assert float(taught.logits.mean()) == pytest.approx(float(coarse), abs=0.2)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [96, 128])
def test_what_is_taught_is_of_float32_under_autocast_too(size, mirrored):
    """The CPU shrinks no picture of bfloat16, which is coarse for the mean of several answers."""
    teachers, image = Teachers([lively_network(size=size)], mirrored=mirrored), pictures(size=96)
    expected = teachers.teach(image).logits
    with torch.autocast("cpu", torch.bfloat16):
        found = teachers.teach(image).logits
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sigmoid(), expected.sigmoid(), rtol=0, atol=0.05)


def test_stages_that_a_projection_maps_onto_each_other_match_and_others_do_not():
    generator = torch.Generator().manual_seed(5)
    own = [torch.randn(4, 6, 12, 12, generator=generator), torch.randn(4, 8, 6, 6, generator=generator)]
    taught = [own[0][:, :4] * 5 + 1, own[1][:, :3] - 2]
    stages = MatchedStages((6, 8), (4, 3))
    with torch.no_grad():
        untrained = float(stages(own, taught))
    assert untrained == pytest.approx(1.0, abs=0.01)
    optimizer = torch.optim.Adam(stages.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        error = stages(own, taught)
        error.backward()
        optimizer.step()
    assert float(error.detach()) < 0.02
    strange = [torch.randn(x.shape, generator=generator) for x in taught]
    assert float(stages(own, strange).detach()) > 0.9


def taught(share: float, *, features: float = 0.0, mixed: float = 0.0) -> TaughtModule:
    stages = MatchedStages(*[STAGE_CHANNELS] * 2) if features else None
    torch.manual_seed(6)
    network = lively_network(seed=7).requires_grad_(True)
    teachers = Teachers([lively_network()])
    options = {"feature_factor": features, "stages": stages, "mixed": mixed}
    return TaughtModule(RECIPE, RECIPE.phases[0], network, teachers, share, **options)


def test_the_loss_is_shared_between_labels_and_teachers():
    image = pictures()
    batch = {"image": image, "mask": (image[:, :1] > 0.5).float()}
    labels, half, all_taught = (float(taught(share).training_loss(batch)) for share in (0.0, 0.5, 1.0))
    assert half == pytest.approx((labels + all_taught) / 2, rel=1e-4)
    assert labels != pytest.approx(all_taught, rel=0.05)


def test_pictures_without_labels_teach_by_their_teachers_alone():
    image = pictures(3)
    mask = (image[:, :1] > 0.5).float()
    wrong = torch.cat((mask[:2], 1 - mask[2:]))
    known = torch.tensor([True, True, False])
    module = taught(0.5).eval()
    ones = [module.training_loss({"image": image, "mask": m, LABELLED: known}) for m in (mask, wrong)]
    assert float(ones[0].detach()) == float(ones[1].detach())
    assert float(module.training_loss({"image": image, "mask": wrong}).detach()) != float(ones[0].detach())
    none = module.training_loss({"image": image, "mask": mask, LABELLED: torch.zeros(3, dtype=torch.bool)})
    only_taught = taught(1.0).eval().training_loss({"image": image, "mask": mask})
    assert float(none.detach()) == pytest.approx(0.5 * float(only_taught.detach()), rel=1e-4)


def test_teachers_and_projections_are_no_part_of_the_network_but_projections_learn():
    module = taught(0.5, features=0.1)
    names = set(module.state_dict())
    assert not [name for name in names if "teacher" in name]
    assert all(name.startswith(("network.", "stages.")) for name in names)
    learned = {id(p) for group in module.parameter_groups() for p in group["params"]}
    assert learned == {id(p) for p in module.parameters()}
    image = pictures()
    module.training_loss({"image": image, "mask": (image[:, :1] > 0.5).float()}).backward()
    assert module.stages is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.stages.parameters())


def test_mixed_pictures_carry_their_masks_along():
    image = torch.arange(3.0)[:, None, None, None].expand(3, 3, 32, 32)
    mask, known = image[:, :1].clone(), torch.tensor([True, False, True])
    torch.manual_seed(8)
    mixed, labels, labelled = mix_pictures(image, mask, known)
    torch.testing.assert_close(mixed[:, :1], labels)
    for picture in range(3):
        found = set(mixed[picture].unique().tolist())
        assert found == {float(picture), float((picture - 1) % 3)}
        assert 1 / 16 <= float((mixed[picture] != picture).float().mean()) <= 9 / 16
    assert labelled is not None
    assert labelled.tolist() == [True, False, False]
    assert mix_pictures(image, mask, None)[2] is None


def test_unlabelled_pictures_come_with_the_others_and_say_what_they_are(folder: Path, tmp_path: Path):
    others = tmp_path / "others"
    others.mkdir()
    (others / "vessel-1.jpg").write_bytes(sample_images("vessel")[0].read_bytes())
    data = ImageFolderData(folder, 96, 3, 1, 0, unlabelled=others)
    data.setup("fit")
    seen = {
        stem: bool(known)
        for batch in data.train_dataloader()
        for stem, known in zip(batch["stem"], batch[LABELLED], strict=True)
    }
    assert len(seen) == 3
    assert sum(seen.values()) == 2
    assert not seen["vessel-1"]
    plain = ImageFolderData(folder, 96, 3, 2, 0)
    plain.setup("fit")
    assert all(LABELLED not in batch for batch in plain.train_dataloader())


def test_a_taught_run_says_who_taught_it_and_goes_on_where_it_was_left(
    folder: Path, teacher_file: Path, tmp_path: Path
):
    teaching = Teaching((str(teacher_file),), share=0.5, features=0.1, mirrored=True, mixed=0.5)
    run = Run(tmp_path / "run", replace(RECIPE, phases=(Phase(96, 2, 2, 1e-3),), teacher=teaching), folder, None, None)
    require_possible(run, CPU)
    begin_run(run)
    assert open_run(run.folder).recipe == run.recipe
    train_run(run, CPU)
    told = read_header(run.best(1)).provenance["phases"][-1]["teacher"]
    assert told["networks"] == [{"file": teacher_file.name, "sha256": read_header(teacher_file).sha256}]
    assert (told["share"], told["features"], told["mirrored"], told["mixed"]) == (0.5, 0.1, True, 0.5)
    assert str(tmp_path) not in str(told)
    assert torch.isfinite(load_model(run.best(1))(pictures())).all()


def test_what_cannot_teach_is_refused_before_a_folder_is_made(folder: Path, teacher_file: Path, tmp_path: Path):
    several = tmp_path / "several.safetensors"
    save_checkpoint(several, lively_network(classes=3), {})
    taught_by = {
        "has 3 classes": (RECIPE, Teaching((str(several),))),
        "quantized already": (RECIPE, Teaching(("polyp-int8",))),
        "no images": (RECIPE, Teaching((str(teacher_file),), unlabelled=str(folder))),
        "a teacher itself": (replace(RECIPE, network="efficientnet-lite0"), Teaching((str(teacher_file),))),
    }
    for words, (recipe, teaching) in taught_by.items():
        run = Run(tmp_path / "run", replace(recipe, teacher=teaching), folder, None, None)
        with pytest.raises((CheckpointError, ImageError, ConfigurationError), match=words):
            require_possible(run, CPU)


def test_a_recipe_keeps_how_it_is_taught_until_a_teacher_is_named(teacher_file: Path):
    values = {**RECIPE.to_dict(), "teacher": {"share": 0.7, "mirrored": True}}
    recipe = recipe_from_values(values, "here")
    assert recipe.taught is None, "how, but not by whom"
    named = with_teachers(recipe, [str(teacher_file), "polyp"], None)
    assert named.taught == Teaching((str(teacher_file.resolve()), "polyp"), share=0.7, mirrored=True)
    assert recipe_from_values(named.to_dict(), "there") == named
    assert with_teachers(RECIPE, (), None) is RECIPE
    with pytest.raises(ConfigurationError, match="nobody labels"):
        with_teachers(RECIPE, (), teacher_file.parent)
    with pytest.raises(ConfigurationError, match=r"teacher\.share"):
        recipe_from_values({**values, "teacher": {"share": 2}}, "here")


def test_grey_pictures_are_shown_to_a_teacher_of_colours():
    grey = pictures().mean(dim=1, keepdim=True)
    teachers = Teachers([lively_network()])
    torch.testing.assert_close(teachers.teach(grey).logits, teachers.teach(grey.expand(-1, 3, -1, -1)).logits)


def test_the_taught_module_of_a_recipe_projects_onto_the_teachers_stages(teacher_file: Path):
    teaching = Teaching((str(teacher_file),), features=0.2)
    module, sources = taught_module(RECIPE, RECIPE.phases[0], teaching)
    assert module.stages is not None
    assert len(module.stages.projections) == ENCODER_STAGES, "the teacher has no more stages than that"
    assert sources[0]["file"] == teacher_file.name
    assert load_teachers(["polyp"], 1)[1][0]["file"] == "s2mnet-polyp-352.safetensors"
    assert read_recipe("polyp").taught is None


def test_the_command_names_the_teacher_and_says_what_is_missing(folder: Path, teacher_file: Path, tmp_path: Path, run):
    place, phase = tmp_path / "run", "96:1:2:0.001:dice_ce"
    words = ("train", "polyp", "--data", folder, "--out", place, "--phase", phase)
    assert_one_line_error(*run(*words, "--unlabelled", folder), "nobody labels the pictures", "--teacher")
    assert_one_line_error(*run(*words, "--teacher", tmp_path / "none.safetensors"), "none.safetensors")
    assert not place.exists()
    code, out, err = run(*words, "--teacher", teacher_file, "--accelerator", "cpu")
    assert code == 0, err
    assert "best validation Dice" in out
    teacher = read_header(place / "phase-1" / "best.safetensors").provenance["phases"][0]["teacher"]
    assert teacher["networks"][0]["file"] == teacher_file.name
    assert_one_line_error(*run("train", "--resume", "--out", place, "--teacher", teacher_file), "keeps its recipe")
