"""The kernels of the MRF-SE block and of the norm over channels keep to their memory and their definition, whatever the
processor's vectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzzing import OTHER_VECTORS, SANITIZERS, find_wrong_shapes
from s2m_edge.native import RECEPTIVE_FIELD_FOLDER, find_compiler

SOURCE = RECEPTIVE_FIELD_FOLDER / "test" / "fuzz.cpp"

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler here: the kernels cannot be built")


def test_random_shapes_under_sanitizers(tmp_path: Path):
    find_wrong_shapes(SOURCE, SANITIZERS, 12, tmp_path, RECEPTIVE_FIELD_FOLDER)


@pytest.mark.parametrize("flags", OTHER_VECTORS)
def test_random_shapes_with_the_vectors_of_other_processors(flags: list[str], tmp_path: Path):
    find_wrong_shapes(SOURCE, flags, 30, tmp_path, RECEPTIVE_FIELD_FOLDER)
