"""Where MASL departs from the paper's formulas: the literal form by hand, and the page that compares the two."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from s2m_edge.errors import ConfigurationError
from s2m_edge.train.losses import make_loss
from s2m_edge.train.masl import MorphologyAwareLoss
from s2m_edge.train.masl.deviations import table
from s2m_edge.train.masl.morphology import literal_compactness
from s2m_edge.train.module import SegmentationModule
from s2m_edge.train.recipe import Phase, Recipe, recipe_from_values

PAGE = Path(__file__).parents[3] / "docs" / "masl.md"


def square() -> torch.Tensor:
    """2 x 2 pixels of 1 within 8 x 8."""
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    mask[..., 2:4, 2:4] = 1
    return mask


def square_kappa(sure: float) -> float:
    """4 pi area / perimeter^2 by hand: of the 64 pixels, six have one slope, one (the lower right corner of the square)
    has both, and 57 have none and add the root of the epsilon."""
    length = 6 * math.sqrt(sure**2 + 1e-6) + math.sqrt(2 * sure**2 + 1e-6) + 57 * math.sqrt(1e-6)
    return 4 * math.pi * 4 * sure / length**2


@pytest.mark.parametrize("sure", [1.0, 0.5, 0.01])
def test_literal_compactness_by_hand(sure):
    assert float(literal_compactness(sure * square())) == pytest.approx(square_kappa(sure), rel=1e-12)


def test_literal_compactness_of_any_picture_is_the_papers_sum():
    picture = np.random.default_rng(0).random((9, 7))
    length = 0.0
    for row in range(9):
        for column in range(7):
            dx = picture[row, column + 1] - picture[row, column] if column < 6 else 0.0
            dy = picture[row + 1, column] - picture[row, column] if row < 8 else 0.0
            length += math.sqrt(dx**2 + dy**2 + 1e-6)
    expected = 4 * math.pi * picture.sum() / length**2
    assert float(literal_compactness(torch.from_numpy(picture)[None, None])) == pytest.approx(expected, rel=1e-12)


def test_the_literal_structure_is_the_difference_of_both_compactnesses():
    loss = MorphologyAwareLoss(("structure",), structure="literal")
    found = loss.forward_with_parts(0.5 * square(), square()).components["structure"]
    assert float(found) == pytest.approx(abs(square_kappa(1.0) - square_kappa(0.5)), rel=1e-12)


def test_where_nothing_is_true_the_literal_structure_is_the_shape_of_what_was_predicted():
    found = {
        form: MorphologyAwareLoss(("structure",), structure=form)(square(), torch.zeros_like(square())).item()
        for form in ("literal", "bounded")
    }
    assert found["literal"] == pytest.approx(square_kappa(1.0), rel=1e-5)
    assert found["bounded"] == 0


def test_the_literal_structure_has_a_finite_gradient_where_nothing_is_predicted():
    nothing = torch.zeros(1, 1, 8, 8, requires_grad=True)
    MorphologyAwareLoss(structure="literal")(nothing, square()).backward()
    assert nothing.grad is not None
    assert torch.isfinite(nothing.grad).all()


def test_a_recipe_asks_for_it():
    values = Recipe("tiny", "Tiny", ("polyp",), (Phase(96, 1, 2, 1e-3),)).to_dict()
    recipe = recipe_from_values({**values, "structure": "literal"}, "here")
    logits, target = torch.full((1, 1, 8, 8), -1.0), square().float()
    found = SegmentationModule(recipe, recipe.phases[0]).loss(logits, target)
    assert float(found) == pytest.approx(float(make_loss("masl", 1, structure="literal")(logits, target)))
    assert float(found) != pytest.approx(float(make_loss("masl", 1)(logits, target)), rel=1e-4)


def test_an_unknown_structure_is_refused():
    with pytest.raises(ConfigurationError, match="bounded, literal"):
        MorphologyAwareLoss(structure="paper")


def test_the_page_shows_what_the_code_does():
    assert table() in PAGE.read_text(encoding="utf-8"), "run python -m s2m_edge.train.masl.deviations"
