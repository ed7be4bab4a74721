"""The golden inputs show the object, wherever a picture does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch import Tensor, nn

from s2m_edge.deploy.golden import GOLDEN_CANDIDATES, Golden, Reference, choose_golden, reference_logits
from s2m_edge.deploy.spec import NetworkSpec, make_spec
from s2m_edge.samples import sample_images

SIDE = 32


class Bright(nn.Module):
    """Foreground is what is brighter than a level; counts how often it is asked."""

    def __init__(self, level: float = 0.5) -> None:
        super().__init__()
        self.level, self.asked = level, 0

    def forward(self, image: Tensor) -> Tensor:
        self.asked += 1
        return 100 * (image.mean(dim=1, keepdim=True) - self.level)


def spec(domain: str = "", channels: int = 3) -> NetworkSpec:
    provenance = {"domain": domain} if domain else {}
    return make_spec("bright", height=SIDE, width=SIDE, channels=channels, classes=("object",), provenance=provenance)


@pytest.fixture
def draw(tmp_path: Path):
    """A picture whose first rows are white."""

    def make(name: str, rows: int) -> Path:
        picture = np.zeros((SIDE, SIDE, 3), np.uint8)
        picture[:rows] = 255
        Image.fromarray(picture).save(tmp_path / name)
        return tmp_path / name

    return make


def chosen(network: nn.Module, described: NetworkSpec, images: list[Path], count: int) -> list[Golden]:
    return choose_golden(Reference(network, described.preprocessing), described, images, count)


def names(golden) -> list[str]:
    return [entry.name for entry in golden]


def test_pictures_that_show_the_object_come_first_and_keep_their_order(draw):
    images = [draw(f"{index}.png", rows) for index, rows in enumerate((0, 9, 0, 3, 0))]
    golden = chosen(Bright(), spec(), images, 3)
    assert names(golden) == ["1.png", "3.png", "0.png"]
    assert [int(entry.mask.sum()) for entry in golden] == [9 * SIDE, 3 * SIDE, 0]


def test_of_many_objects_different_sizes_are_taken_and_not_the_smallest(draw):
    images = [draw(f"{rows:02d}.png", rows) for rows in (1, 2, 9, 10, 11, 28, 29, 30, 31)]
    assert names(chosen(Bright(), spec(), images, 3)) == ["02.png", "11.png", "30.png"]


def test_samples_of_the_domain_take_the_places_of_pictures_without_an_object(draw):
    images = [draw("0.png", 0), draw("1.png", 8), draw("2.png", 0)]
    samples = [path.name for path in sample_images("polyp")]
    network = Bright(0.05)
    assert names(chosen(network, spec("polyp"), images, 3)) == ["1.png", *samples[:2]]
    assert names(chosen(network, spec(), images, 3)) == ["1.png", "0.png", "2.png"], "of no known domain"
    assert names(chosen(network, spec("brain"), images, 3)) == ["1.png", "0.png", "2.png"], "without samples"
    grey = chosen(network, spec("cardiac", channels=1), images, 3)
    assert grey[1].image.shape == (SIDE, SIDE, 1)
    assert grey[1].mask.any()


def test_a_sample_on_which_nothing_is_found_takes_no_place(draw):
    images = [draw("0.png", 0), draw("1.png", 0)]
    golden = chosen(Bright(2.0), spec("polyp"), images, 3)
    assert names(golden) == ["0.png", "1.png"]


def test_no_more_are_recorded_than_were_given(draw):
    assert names(chosen(Bright(0.05), spec("polyp"), [draw("0.png", 5)], 3)) == ["0.png"]
    assert chosen(Bright(), spec("polyp"), [], 3) == []


def test_of_a_large_folder_only_as_many_are_looked_at_as_are_needed(draw):
    empty = [draw(f"e{index}.png", 0) for index in range(GOLDEN_CANDIDATES)]
    showing = [draw(f"s{index}.png", 5 + index) for index in range(GOLDEN_CANDIDATES)]
    network = Bright()
    chosen(network, spec(), [*showing, *empty], 3)
    assert network.asked == GOLDEN_CANDIDATES
    assert all(entry.mask.any() for entry in chosen(Bright(), spec(), [*empty, *showing], 3))


def test_the_reference_answers_a_picture_once_and_as_it_would_anew():
    network, given = Bright(), spec().preprocessing
    pictures = [np.full((SIDE, SIDE, 3), level, np.uint8) for level in (10, 200)]
    reference = Reference(network, given)
    first = [reference.logits(picture) for picture in (*pictures, *pictures)]
    assert network.asked == 2
    for picture, found in zip((*pictures, *pictures), first, strict=True):
        np.testing.assert_array_equal(found, reference_logits(network, picture, given))
    first[0][:] = 0
    np.testing.assert_array_equal(reference.logits(pictures[0]), first[2], "whoever changes an answer changes his own")


def test_the_reference_keeps_no_more_than_it_has_room_for():
    network, given = Bright(), spec().preprocessing
    pictures = [np.full((SIDE, SIDE, 3), level, np.uint8) for level in (10, 200)]
    reference = Reference(network, given, room=SIDE * SIDE * 4)
    for picture in (*pictures, *pictures):
        assert reference.logits(picture).shape == (1, SIDE, SIDE)
    assert network.asked == 3, "the first is kept, the second is asked for again"
