"""Recipes are data: those that come with the package are sound, and a wrong one is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.network.config import S2MNetConfig
from s2m_edge.train.recipe import (
    Phase,
    parse_phase,
    read_recipe,
    recipe_from_values,
    recipe_names,
    with_changes,
)

SOUND = "title: T\nclass_names: [a]\nphases:\n  - {size: 96, epochs: 1, batch_size: 1, learning_rate: 0.001}\n"


STUDENTS = ("polyp", "vessel", "cardiac", "skin", "surgical", "ultrasound", "gland")


def test_the_seven_recipes_and_the_teachers_are_there():
    assert set(recipe_names()) == {*STUDENTS, "polyp-taught", "teacher-polyp"}


@pytest.mark.parametrize("name", STUDENTS)
def test_a_recipe_names_a_network_that_exists(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.loss == "masl"
    for phase in recipe.phases:
        S2MNetConfig.preset(recipe.layout, size=phase.size, in_channels=recipe.in_channels, classes=recipe.classes)


def test_several_classes_have_a_background():
    assert read_recipe("polyp").classes == 1
    assert read_recipe("cardiac").classes == 4


def test_a_recipe_survives_json():
    recipe = read_recipe("vessel")
    assert recipe_from_values(recipe.to_dict(), "memory") == recipe
    assert recipe.intensity == Intensity()
    deep = replace(recipe, intensity=Intensity("window", -200, 300, "volume"))
    assert recipe_from_values(deep.to_dict(), "memory") == deep


def test_a_file_of_ones_own(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text(SOUND)
    assert read_recipe(str(path)).name == "mine"
    assert read_recipe(str(path)).phases == (Phase(96, 1, 1, 0.001),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SOUND.replace("size: 96", "size: 100"), "phases.0.size"),
        (SOUND.replace("epochs: 1", "epochs: many"), "'many' is not of type 'integer'"),
        (SOUND + "lose: masl\n", "'lose' was unexpected"),
        (SOUND + "loss: hinge\n", "hinge"),
        (SOUND + "intensity: {rule: window, low: 0}\n", "intensity"),
        (SOUND + "intensity: {rule: window, low: 3, high: 2}\n", "low 3.0 and high 2.0"),
        (SOUND.replace("class_names: [a]", "class_names: []"), "class_names"),
        ("title: [", "cannot be read as YAML"),
        ("- a\n- b\n", "is no recipe"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text, words):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_recipe(str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_lists_those_there_are():
    with pytest.raises(ConfigurationError, match="Choose one of cardiac, gland, polyp"):
        read_recipe("lung")


def test_changes_reach_every_phase_and_are_checked():
    recipe = with_changes(read_recipe("polyp"), {"phases": (Phase(96, 3, 8, 0.01), Phase(128, 2, 8, 0.01))}, {})
    changed = with_changes(recipe, {"seed": 7, "loss": None}, {"batch_size": 4, "epochs": None})
    assert changed.seed == 7
    assert changed.loss == "masl"
    assert [(phase.epochs, phase.batch_size) for phase in changed.phases] == [(3, 4), (2, 4)]
    with pytest.raises(ConfigurationError, match="learning_rate"):
        with_changes(recipe, {}, {"learning_rate": -1.0})


def test_a_phase_in_one_word():
    assert parse_phase("160:12:16:0.001") == Phase(160, 12, 16, 0.001)
    assert parse_phase("160:12:16:0.001:dice_ce") == Phase(160, 12, 16, 0.001, "dice_ce")
    for text in ("96", "a:1:1:1", "96:1:1:1:1", "96:1:1:1:masl:1"):
        with pytest.raises(ConfigurationError, match="is not SIZE:EPOCHS:BATCH:RATE"):
            parse_phase(text)


def test_a_phase_may_have_a_loss_of_its_own():
    from s2m_edge.train.module import SegmentationModule

    phases = (parse_phase("96:1:2:0.001:dice_ce"), parse_phase("96:1:2:0.001"))
    recipe = with_changes(read_recipe("polyp"), {"phases": phases}, {})
    assert [recipe.loss_of(phase) for phase in recipe.phases] == ["dice_ce", "masl"]
    learned = [bool(SegmentationModule(recipe, phase).loss_figures()) for phase in recipe.phases]
    assert learned == [False, True]  # MASL alone has weights to log
    assert recipe_from_values(recipe.to_dict(), "memory") == recipe


@pytest.mark.parametrize("name", ["polyp", "cardiac", "skin", "surgical", "ultrasound", "gland"])
def test_masl_takes_over_from_a_loss_that_starts_from_random_weights(name):
    recipe = read_recipe(name)
    assert [recipe.loss_of(phase) for phase in recipe.phases] == ["dice_ce", "masl"]
    assert recipe.phases[0].epochs < recipe.phases[1].epochs


def test_a_loss_that_is_asked_for_is_every_phases_unless_they_name_their_own():
    asked = with_changes(read_recipe("polyp"), {"loss": "masl"}, {})
    assert [asked.loss_of(phase) for phase in asked.phases] == ["masl", "masl"]
    phases = (Phase(96, 1, 2, 0.001, "dice_ce"), Phase(96, 1, 2, 0.001))
    given = with_changes(read_recipe("polyp"), {"loss": "masl", "phases": phases}, {})
    assert [given.loss_of(phase) for phase in given.phases] == ["dice_ce", "masl"]


def test_masl_weights_learn_slowly_or_not_at_all():
    from types import SimpleNamespace

    from s2m_edge.train.module import SegmentationModule

    recipe = with_changes(read_recipe("polyp"), {"loss": "masl"}, {"size": 96, "learning_rate": 0.01})
    module = SegmentationModule(recipe, recipe.phases[0])
    module._trainer = SimpleNamespace(estimated_stepping_batches=1000)  # type: ignore[assignment]
    configured = module.configure_optimizers()
    groups = configured["optimizer"].param_groups
    assert [round(group["initial_lr"], 6) for group in groups] == [0.01, 0.01, 0.0005]
    shares = [configured["lr_scheduler"]["scheduler"].lr_lambdas[0](step) for step in range(1001)]
    assert shares[0] == pytest.approx(0.05)
    assert max(shares) == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(recipe.final_learning_rate)
    fixed = with_changes(recipe, {"loss_weight_rate": 0.0}, {})
    frozen = SegmentationModule(fixed, fixed.phases[0]).loss.parameters()
    assert not any(parameter.requires_grad for parameter in frozen)
