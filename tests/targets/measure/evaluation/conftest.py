"""A predictor whose answer is known: what is bright is foreground."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s2m_edge.imaging.classes import default_classes
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.measure.evaluation.predictors import Predictor


def brightness(fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (fitted[None, :, :, 0] / 255).astype(np.float32)


@pytest.fixture
def bright() -> Predictor:
    """Probability is the red channel, at 96 x 96."""
    return Predictor(
        name="bright",
        title="brightness",
        predict=brightness,
        channels=1,
        classes=default_classes(1, ("lamp",)),
        preprocessing=Preprocessing(96, 96),
        threshold=0.5,
        verdict="reference",
        device="numpy",
        facts={"kind": "test"},
    )
