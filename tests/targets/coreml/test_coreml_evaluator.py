"""The saved package, run by the reference evaluator, computes what the network computes."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from s2m_edge.errors import ImageError

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="Core ML itself runs there")
PACKAGES = ("float32-matmul", "float32-custom", "float16-matmul-grey", "float16-custom-classes")
PACKAGES_AT_352 = ("float32-matmul-352", "float16-custom-352")
# Largest and mean error. The test network's last convolution is scaled up until the probabilities fill their range,
# and with them every rounding before it: a trained network stays far below these.
TOLERANCES = {"float32": (1e-5, 1e-6), "float16": (2e-2, 2e-3)}


@pytest.mark.parametrize("name", [*PACKAGES, *(pytest.param(name, marks=pytest.mark.slow) for name in PACKAGES_AT_352)])
def test_agrees_with_the_network(saved, name):
    package = saved(name)
    picture = package.picture()
    expected = package.expected(picture)
    found = package.runner().predict(picture)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.ptp(expected) > 0.2, "the network's output must vary, or agreement says nothing"
    errors, (largest, mean) = np.abs(found - expected), TOLERANCES[package.request.precision]
    assert errors.max() < largest
    assert errors.mean() < mean


def test_softmax_sums_to_one(saved):
    package = saved("float16-custom-classes")
    found = package.runner().predict(package.picture())
    assert found.shape == (3, 96, 96)
    assert np.abs(found.sum(axis=0) - 1).max() < 5e-3


def test_custom_and_matmul_agree(saved):
    first, second = saved("float32-matmul"), saved("float32-custom")
    picture = first.picture(1)
    one, two = first.runner(), second.runner()
    assert np.abs(one.predict(picture) - two.predict(picture)).max() < 5e-6
    kinds = two.observations()["operation_kinds"]
    assert kinds["matmul"] == 30
    assert "linear" not in kinds
    assert one.observations()["operation_kinds"]["linear"] == 20


def test_colour_order_matters(saved):
    package = saved("float32-matmul")
    runner, picture = package.runner(), package.picture()
    swapped = np.ascontiguousarray(picture[..., ::-1])
    assert np.abs(runner.predict(picture) - runner.predict(swapped)).max() > 1e-3


def test_observations_of_float32(saved):
    runner = saved("float32-matmul").runner()
    assert (runner.verdict, runner.device) == ("artifact parity", "reference evaluator (cpu)")
    runner.predict(saved("float32-matmul").picture())
    observed = runner.observations()
    assert observed["float16_peak"] is None
    assert observed["float16_operations"] == 0
    assert observed["operations"] == sum(observed["operation_kinds"].values()) > 300


def test_observations_of_float16(saved):
    package = saved("float16-custom-classes")
    runner = package.runner()
    runner.predict(package.picture())
    observed = runner.observations()
    assert 1 < observed["float16_peak"] < 65504
    assert observed["float16_peak_operation"].split()[0] in observed["operation_kinds"]
    # All but scale and bias before, and the one cast after.
    assert observed["operations"] - observed["float16_operations"] == 3
    assert observed["subnormal_epsilons"] == 0


def test_the_peak_belongs_to_the_latest_picture(saved):
    package = saved("float16-matmul-grey")
    runner = package.runner()
    runner.predict(package.picture())
    first = runner.observations()["float16_peak"]
    runner.predict(np.zeros_like(package.picture()))
    second = runner.observations()["float16_peak"]
    runner.predict(package.picture())
    assert runner.observations()["float16_peak"] == first != second


@pytest.mark.parametrize(
    "picture", [np.zeros((96, 64, 3), np.uint8), np.zeros((96, 96, 1), np.uint8), np.zeros((96, 96, 3), np.float32)]
)
def test_refuses_other_pictures(saved, picture):
    with pytest.raises(ImageError, match="uint8"):
        saved("float32-matmul").runner().predict(picture)
