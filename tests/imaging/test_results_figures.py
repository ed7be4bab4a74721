"""Areas, volumes and diameters: of shapes whose figures are known, in the units that the files allow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import find_contours

from phantoms import GRIDS, HEART, SEMI_AXES, VOLUME_ML, ellipsoid, stack
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.figures import longest_line, measure

ONE = (SegmentClass("left ventricle", (255, 0, 0)),)


def disc(radius: float, spacing: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    rows, columns = np.mgrid[:120, :120]
    return np.hypot((rows - 60.3) * spacing[0], (columns - 59.6) * spacing[1]) <= radius


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "missing slice"])
def test_the_volume_of_an_ellipsoid_is_known_in_every_position(name: str):
    grid = GRIDS[name]
    heart, muscle = measure(ellipsoid(grid), grid, HEART)
    assert heart.volume_ml == pytest.approx(VOLUME_ML, rel=0.02)
    assert grid.pixel_area is not None
    assert grid.extents is not None
    assert muscle.volume_ml == pytest.approx(6 * grid.pixel_area * grid.extents[5] / 1000)


def test_a_missing_slice_is_stood_for_by_its_neighbours():
    grid = GRIDS["missing slice"]
    [heart, _] = measure(ellipsoid(grid), grid, HEART)
    layer = math.pi * SEMI_AXES[0] * SEMI_AXES[1] * 2.0 / 1000.0
    assert heart.volume_ml == pytest.approx(VOLUME_ML, abs=0.1 * layer)
    assert grid.extents is not None
    assert grid.extents.max() == pytest.approx(3.0)


def test_areas_are_counted_pixels_and_mm2_of_each_slice():
    labels = np.zeros((2, 4, 5), np.uint8)
    labels[1, 1:3, 1:4] = 1
    [found] = measure(labels, Grid(2, 4, 5, (0.5, 0.25), stack().directions, np.eye(3)[[0, 2]]), ONE)
    assert (found.area_pixels, found.pixels) == ((0, 6), 6)
    assert found.area_mm2 == pytest.approx((0.0, 0.75))


def test_what_the_files_do_not_say_is_not_guessed():
    labels = np.ones((2, 4, 5), np.uint8)
    [nowhere] = measure(labels, Grid(2, 4, 5), ONE)
    assert (nowhere.area_pixels, nowhere.area_mm2, nowhere.volume_ml, nowhere.diameter) == ((20, 20), None, None, None)
    [flat] = measure(labels, Grid(2, 4, 5, (1.0, 1.0), thickness=2.0), ONE)
    assert flat.area_mm2 == (20.0, 20.0)
    assert flat.volume_ml is None
    assert flat.diameter is not None


def test_a_class_that_is_not_there_measures_nothing():
    [found] = measure(np.zeros((24, 44, 60), np.uint8), GRIDS["LPS"], ONE)
    assert (found.pixels, found.volume_ml, found.diameter) == (0, 0.0, None)


@pytest.mark.parametrize(("radius", "spacing"), [(5.0, (1.0, 1.0)), (20.0, (1.0, 1.0)), (30.0, (1.3, 0.7))])
def test_the_diameter_of_a_disc_is_twice_its_radius(radius: float, spacing: tuple[float, float]):
    found = longest_line(disc(radius, spacing), spacing)
    assert found is not None
    assert found[0] == pytest.approx(2 * radius, abs=max(spacing))


def test_pixels_in_a_row_are_as_long_as_their_sides():
    assert longest_line(np.ones((1, 5), bool), (1.0, 0.5)) == (2.5, (0.0, -0.5), (0.0, 4.5))
    assert longest_line(np.ones((1, 1), bool), (2.0, 0.5)) == (2.0, (-0.5, 0.0), (0.5, 0.0))


@pytest.mark.parametrize("seed", range(6))
def test_the_longest_line_is_that_of_all_points_of_the_outline(seed: int):
    """By brute force over the contour of another library."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :50]
    centres = generator.uniform(12, 30, (4, 2))
    blob = np.sum([np.exp(-((rows - r) ** 2 + (columns - c) ** 2) / 60.0) for r, c in centres], axis=0)
    mask, spacing = blob > 0.4, np.array([0.8, 0.6])
    points = np.concatenate(find_contours(np.pad(mask, 1).astype(float), 0.5)) - 1
    apart = np.linalg.norm((points[:, None] - points[None]) * spacing, axis=-1)
    found = longest_line(mask, (0.8, 0.6))
    assert found is not None
    assert found[0] == pytest.approx(apart.max())


def test_a_line_lies_within_one_piece_and_names_its_ends():
    mask = np.zeros((30, 30), bool)
    mask[2, 2:8] = mask[25:29, 27] = True
    assert longest_line(mask, (1.0, 1.0)) == (6.0, (2.0, 1.5), (2.0, 7.5))
    assert longest_line(mask, (1.0, 1.0), above=6.0) is None
    assert longest_line(np.zeros((3, 3), bool), (1.0, 1.0)) is None


def test_the_diameter_is_that_of_the_slice_where_it_is_largest():
    [heart, _] = measure(ellipsoid(GRIDS["LPS"]), GRIDS["LPS"], HEART)
    assert heart.diameter is not None
    assert heart.diameter.mm == pytest.approx(2 * SEMI_AXES[0], abs=1.0)
    assert heart.diameter.slice in (11, 12)
    assert heart.diameter.first[0] == pytest.approx(21.5, abs=2.0)


def test_labels_of_another_size_are_a_mistake():
    with pytest.raises(ValueError, match="labels are"):
        measure(np.zeros((1, 2, 3), np.uint8), Grid(1, 3, 2), ONE)
