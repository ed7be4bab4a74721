"""Where slices lie: areas, what each slice stands for, and the affine that nibabel writes."""

from __future__ import annotations

import numpy as np
import pytest

from s2m_edge.imaging.grid import Grid

AXIAL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def stack(depths: list[float], tilt: float = 0.0) -> Grid:
    positions = np.array([[0.0, tilt * depth, depth] for depth in depths])
    return Grid(len(depths), 4, 6, (0.5, 0.25), AXIAL, positions, 9.0)


def test_a_pixel_has_the_area_of_its_spacing():
    assert stack([0.0]).pixel_area == 0.125
    assert Grid(1, 4, 6).pixel_area is None


def test_each_slice_stands_for_half_the_way_to_its_neighbours():
    assert stack([0.0, 2.0, 4.0]).extents == pytest.approx([2.0, 2.0, 2.0])
    assert stack([4.0, 2.0, 0.0]).extents == pytest.approx([2.0, 2.0, 2.0])
    assert stack([0.0, 2.0, 6.0, 8.0]).extents == pytest.approx([2.0, 3.0, 3.0, 2.0])  # one is missing


def test_a_tilted_gantry_makes_slices_no_thicker():
    """The way along the table is longer than the way across the slices."""
    grid = stack([0.0, 2.0, 4.0], tilt=0.5)
    assert grid.extents == pytest.approx([2.0, 2.0, 2.0])


def test_a_slice_by_itself_is_as_thick_as_its_file_says_and_a_stack_without_positions_is_unknown():
    assert stack([3.0]).extents == pytest.approx([9.0])
    assert Grid(1, 4, 6).extents is None
    assert Grid(3, 4, 6, thickness=2.0).extents is None


def test_the_affine_says_right_front_head_where_dicom_says_left_back_head():
    affine = stack([10.0, 12.0], tilt=0.5).affine()
    assert affine is not None
    column, row, at = 3, 2, 1
    # DICOM: 3 columns of 0.25 to the left, 2 rows of 0.5 to the back, the second slice 12 up and 6 to the back.
    assert affine @ [column, row, at, 1] == pytest.approx([-0.75, -(1.0 + 6.0), 12.0, 1.0])


def test_without_a_spacing_there_is_no_affine():
    assert Grid(1, 4, 6, directions=AXIAL, positions=np.zeros((1, 3))).affine() is None
