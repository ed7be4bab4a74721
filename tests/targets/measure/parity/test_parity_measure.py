"""Which images a parity run takes: those asked for, and one that shows the object where these do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import ParityError
from s2m_edge.targets.measure.parity import measure
from s2m_edge.targets.measure.parity.report import ParityReport

SIDE = 96  # of the example bundle
SPEC = make_spec("bright", height=SIDE, width=SIDE, classes=("object",))


class Bright(nn.Module):
    """Foreground is what is brighter than half."""

    def forward(self, image: Tensor) -> Tensor:
        return 100 * (image.mean(dim=1, keepdim=True) - 0.5)


@dataclass
class Sound:
    """A runner that answers as the reference does."""

    verdict: str = "executed"
    device: str = "here"
    remark: str = ""
    asked: list[int] = field(default_factory=list)

    def predict(self, fitted: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.asked.append(int(fitted.max()))
        return probabilities(reference_logits(Bright(), fitted, SPEC.preprocessing))

    def observations(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Parity on pictures that are white (True) or black, with a limit."""
    runner = Sound()
    monkeypatch.setattr(measure, "open_runner", lambda bundle, threads: runner)

    def measured(shows: list[bool], limit: int | None = None) -> tuple[ParityReport, Sound]:
        images = []
        for index, white in enumerate(shows):
            images.append(tmp_path / f"{index}.png")
            Image.new("RGB", (SIDE, SIDE), "white" if white else "black").save(images[-1])
        bundle = open_bundle(VECTORS / EXAMPLE_BUNDLE)
        return measure.measure_parity(bundle, Bright(), SPEC, images, limit=limit), runner

    return measured


@pytest.mark.parametrize(
    ("shows", "limit", "taken"),
    [
        ([True, False, True], None, "012"),
        ([True, False, True], 1, "0"),
        ([False, False, True, True], 1, "02"),
        ([False, False, False], 1, "0"),
    ],
)
def test_of_limited_images_one_that_shows_the_object_is_taken_too(run, shows, limit, taken):
    report, runner = run(shows, limit)
    assert [image.name for image in report.images] == [f"{name}.png" for name in taken]
    assert len(runner.asked) == len(taken), "the artifact is slow, and runs on no other"
    assert report.images_given == len(shows)
    assert report.passed is any(shows)


def test_a_folder_without_an_object_is_a_breach_with_its_remedy(run):
    report, _ = run([False, False])
    with pytest.raises(ParityError, match=r"finds nothing on any of 2 images.*give --images that show the object"):
        report.require_passed()


def test_no_images_are_refused_before_anything_runs(run):
    with pytest.raises(ParityError, match=r"no images\. Give --images"):
        run([])
