"""The evaluator's operations of networks that are not S2M-Net, against torch's own layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operations import OPERATIONS


def compute(kind, **values) -> Any:
    given = {
        name: torch.tensor(value) if isinstance(value, list | int | float) else value for name, value in values.items()
    }
    return OPERATIONS[kind].compute(Arguments(given, f"{kind} under test"))


@pytest.fixture
def x():
    return torch.randn(2, 4, 6, 9, generator=torch.Generator().manual_seed(0))


def test_pooling_with_uneven_padding(x):
    window = {"kernel_sizes": [3, 2], "strides": [2, 1], "pad_type": "custom", "pad": [1, 0, 0, 1]}
    padded = F.pad(x, (0, 1, 1, 0), value=float("-inf"))
    torch.testing.assert_close(compute("max_pool", x=x, **window), F.max_pool2d(padded, (3, 2), (2, 1)))
    even = {"kernel_sizes": [2, 2], "strides": [2, 2], "pad_type": "custom", "pad": [1, 1, 1, 1]}
    for excluded in (True, False):
        found = compute("avg_pool", x=x, exclude_padding_from_average=torch.tensor(excluded), **even)
        expected = F.avg_pool2d(x, 2, 2, 1, count_include_pad=not excluded)
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(compute("max_pool", x=x, kernel_sizes=[2, 2]), F.max_pool2d(x, 2, stride=1))
    rounded_up = {"kernel_sizes": [3, 3], "strides": [2, 2], "ceil_mode": torch.tensor(True)}
    torch.testing.assert_close(compute("max_pool", x=x, **rounded_up), F.max_pool2d(x, 3, 2, ceil_mode=True))
    torch.testing.assert_close(compute("avg_pool", x=x, **rounded_up), F.avg_pool2d(x, 3, 2, ceil_mode=True))
    with pytest.raises(LoweringError, match="even padding"):
        compute("max_pool", x=x, pad_type="custom", pad=[1, 0, 0, 0], **rounded_up)
    with pytest.raises(LoweringError, match="valid and custom"):
        compute("avg_pool", x=x, kernel_sizes=[2, 2], pad_type="same")


def test_normalisations(x):
    gamma, beta, mean, variance = torch.rand(4, 4, generator=torch.Generator().manual_seed(1)).unbind()
    found = compute("instance_norm", x=x, gamma=gamma, beta=beta, epsilon=0.1)
    torch.testing.assert_close(found, F.instance_norm(x, weight=gamma, bias=beta, eps=0.1))
    found = compute("batch_norm", x=x, mean=mean, variance=variance, gamma=gamma, beta=beta, epsilon=0.1)
    torch.testing.assert_close(found, F.batch_norm(x, mean, variance, gamma, beta, eps=0.1))


@pytest.mark.parametrize(("size", "dilation"), [(3, 1), (4, 1), (4, 2), (3, 2)])
def test_a_convolution_that_keeps_the_size(x, size, dilation):
    weight = torch.randn(5, 4, size, size, generator=torch.Generator().manual_seed(3))
    found = compute("conv", x=x, weight=weight, pad_type="same", dilations=[dilation] * 2)
    torch.testing.assert_close(found, F.conv2d(x, weight, padding="same", dilation=dilation))
    with pytest.raises(LoweringError, match="strides of 1"):
        compute("conv", x=x, weight=weight, pad_type="same", strides=[2, 2])


@pytest.mark.parametrize(("stride", "padding", "groups"), [(2, 0, 1), (2, 1, 2), (3, 1, 1)])
def test_transposed_convolution(x, stride, padding, groups):
    weight, bias = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(2)), torch.ones(3 * groups)
    options = {"weight": weight, "bias": bias, "strides": [stride] * 2, "pad_type": "custom", "pad": [padding] * 4}
    expected = F.conv_transpose2d(x, weight, bias, stride, padding, groups=groups)
    found = compute("conv_transpose", x=x, groups=groups, output_shape=list(expected.shape), **options)
    torch.testing.assert_close(found, expected)
    with pytest.raises(LoweringError, match="output_shape"):
        compute("conv_transpose", x=x, groups=groups, output_shape=[1, 1, 1, 1], **options)


def test_shapes(x):
    torch.testing.assert_close(compute("reshape", x=x, shape=[0, 2, -1]), x.reshape(2, 2, -1))
    single = torch.tensor([False, True, False, False])
    cut = compute("slice_by_index", x=x, begin=[0, 2, 1, 0], end=[2, 0, 4, 9], squeeze_mask=single)
    torch.testing.assert_close(cut, x[:, 2, 1:4])
    torch.testing.assert_close(compute("expand_dims", x=x, axes=[0, -1]), x[None, ..., None])
    torch.testing.assert_close(compute("squeeze", x=x[None, ..., None], axes=[0, -1]), x)
    torch.testing.assert_close(compute("squeeze", x=x[None]), x)
    torch.testing.assert_close(compute("identity", x=x), x)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_padding_of_the_last_axes_where_all_four_are_named(x, mode):
    found = compute("pad", x=x, pad=[0, 0, 0, 0, 1, 2, 0, 3], mode=mode, constant_val=0.0)
    torch.testing.assert_close(found, F.pad(x, (0, 3, 1, 2), mode=mode))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate"])
def test_padding_names_the_last_axes_first_one_first(x, mode):
    found = compute("pad", x=x, pad=[1, 2, 0, 3], mode=mode, constant_val=0.5)
    options = {"value": 0.5} if mode == "constant" else {}
    torch.testing.assert_close(found, F.pad(x, (0, 3, 1, 2), mode=mode, **options))
    with pytest.raises(LoweringError, match="constant, reflect and replicate"):
        compute("pad", x=x, pad=[1, 1], mode="circular")


CURVES = [
    ("clip", {"alpha": -0.3, "beta": 0.4}, lambda x: x.clamp(-0.3, 0.4)),
    ("exp", {}, torch.exp),
    ("gelu", {}, F.gelu),
    ("gelu", {"mode": "TANH_APPROXIMATION"}, lambda x: F.gelu(x, approximate="tanh")),
    ("leaky_relu", {"alpha": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
    ("relu6", {}, lambda x: F.relu6(x)),
    ("rsqrt", {"epsilon": 9.0}, lambda x: (x + 9.0).rsqrt()),
    ("sigmoid_hard", {"alpha": 1 / 6, "beta": 0.5}, F.hardsigmoid),
    ("silu", {}, F.silu),
    ("sqrt", {}, torch.sqrt),
    ("square", {}, torch.square),
    ("tanh", {}, torch.tanh),
    ("thresholded_relu", {"alpha": 0.5}, lambda x: F.threshold(x, 0.5, 0.0)),
    ("thresholded_relu", {"alpha": -3.0}, lambda x: F.threshold(x, -3.0, 0.0)),
    ("reduce_sum", {"axes": [2, 3]}, lambda x: x.sum((2, 3))),
]


@pytest.mark.parametrize(("kind", "values", "expected"), CURVES, ids=[kind for kind, *_ in CURVES])
def test_curves(x, kind, values, expected):
    given = x.abs() if kind == "sqrt" else x * 3
    torch.testing.assert_close(compute(kind, x=given, **values), expected(given))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("maximum", torch.maximum), ("minimum", torch.minimum), ("pow", torch.pow), ("real_div", torch.div)],
)
def test_pairs(x, kind, expected):
    y = torch.full((1, 4, 1, 1), 2.0)
    torch.testing.assert_close(compute(kind, x=x, y=y), expected(x, y))


def test_indices_are_looked_up_and_any_that_has_no_defined_meaning_is_refused(x):
    places = torch.tensor([[2, 0], [1, 1]])
    torch.testing.assert_close(compute("gather", x=x, indices=places, axis=1), x[:, places])
    along = torch.zeros(2, 1, 6, 9, dtype=torch.int64)
    torch.testing.assert_close(compute("gather_along_axis", x=x, indices=along, axis=1), x[:, :1])
    torch.testing.assert_close(compute("gather_nd", x=x, indices=[[1, 3], [0, 2]]), x[[1, 0], [3, 2]])
    updated = compute("scatter", data=x, indices=[3, 1], updates=torch.zeros(2, 2, 6, 9), axis=1)
    torch.testing.assert_close(updated, torch.where(torch.arange(4)[:, None, None] % 2 == 1, 0.0, x))
    for wrong in (-1, 4):
        with pytest.raises(LoweringError, match="those from 0 to 3"):
            compute("gather", x=x, indices=[wrong], axis=1)
    with pytest.raises(LoweringError, match="whole numbers"):
        compute("gather", x=x, indices=[0.5], axis=1)
    with pytest.raises(LoweringError, match="implements update"):
        compute("scatter", data=x, indices=[0], updates=x[:, :1], axis=1, mode="add")


def test_several_results(x):
    values, places = compute("topk", x=x, k=2, axis=1)
    torch.testing.assert_close((values, places), tuple(x.topk(2, 1)))
    assert len(compute("topk", x=x, k=2, axis=1, return_indices=torch.tensor(False))) == 1
    halves = compute("split", x=x, axis=1, num_splits=2)
    torch.testing.assert_close(torch.cat(halves, 1), x)
    with pytest.raises(LoweringError, match="equal parts of 4"):
        compute("split", x=x, axis=1, num_splits=3)
    operation = OPERATIONS["topk"]
    assert operation.dtypes(Arguments({"x": x.half()}, "topk"), 2) == [torch.float16, torch.int32]


def test_the_points_of_a_resized_axis_are_those_of_the_operation_reference():
    """The reference's own examples, two values to five."""
    expected = {
        "UNALIGN_CORNERS": [0.0, 0.1, 0.5, 0.9, 1.0],
        "STRICT_ALIGN_CORNERS": [0.0, 0.25, 0.5, 0.75, 1.0],
        "ALIGN_CORNERS": [0.0, 0.25, 0.5, 0.75, 1.0],
        "DEFAULT": [0.0, 0.4, 0.8, 1.0, 1.0],
        "OFFSET_CORNERS": [0.1, 0.3, 0.5, 0.7, 0.9],
    }
    values = torch.tensor([[[[0.0, 1.0]]]])
    for mode, points in expected.items():
        options = {"target_size_height": 1, "target_size_width": 5, "sampling_mode": mode}
        found = compute("resize_bilinear", x=values, **options)
        torch.testing.assert_close(found.flatten(), torch.tensor(points))
    with pytest.raises(LoweringError, match="sampling_mode = CORNERS"):
        compute("resize_bilinear", x=values, target_size_width=2, sampling_mode="CORNERS")


def test_numbers_and_truth_values_are_not_taken_for_one_another(x):
    truths = x > 0
    torch.testing.assert_close(compute("select", cond=truths, a=x, b=-x), x.abs())
    torch.testing.assert_close(compute("logical_xor", x=truths, y=~truths), torch.ones_like(truths))
    torch.testing.assert_close(compute("floor_div", x=[-7, 7], y=[2, 2]), torch.tensor([-4, 3]))
    assert OPERATIONS["greater"].result_dtype(Arguments({"x": x, "y": x}, "greater")) == torch.bool
    with pytest.raises(LoweringError, match="of truth values, not of numbers"):
        compute("add", x=truths, y=truths)
    with pytest.raises(LoweringError, match="not of truth values"):
        compute("select", cond=x, a=x, b=x)
    with pytest.raises(LoweringError, match="not a float"):
        compute("real_div", x=[7], y=[2])


RUNS = [
    ("cumsum", {"axis": 3, "exclusive": torch.tensor(True)}, lambda x: x.cumsum(3) - x),
    ("cumsum", {"axis": 3, "reverse": torch.tensor(True)}, lambda x: x.flip(3).cumsum(3).flip(3)),
    ("reduce_prod", {"axes": [1, 2]}, lambda x: x.prod(2).prod(1)),
    ("reduce_max", {"axes": [1], "keep_dims": torch.tensor(True)}, lambda x: x.amax(1, keepdim=True)),
    ("reduce_l2_norm", {"axes": [1]}, lambda x: x.norm(dim=1)),
    ("reduce_argmax", {"axis": 1}, lambda x: x.argmax(1)),
    ("l2_norm", {"epsilon": 0.5}, lambda x: x / (x.square().sum((1, 2, 3), keepdim=True) + 0.5).sqrt()),
    ("tile", {"reps": [1, 2, 1, 1]}, lambda x: torch.cat((x, x), 1)),
    ("reverse", {"axes": [1, 3]}, lambda x: x.flip(1, 3)),
    ("crop", {"crop_height": [1, 2], "crop_width": [3, 0]}, lambda x: x[..., 1:-2, 3:]),
    ("slice_by_size", {"begin": [0, 1, 2, 3], "size": [-1, 2, 3, -1]}, lambda x: x[:, 1:3, 2:5, 3:]),
    ("band_part", {"lower": 1, "upper": 0}, lambda x: x.tril().triu(-1)),
    ("inverse", {"epsilon": 9.0}, lambda x: 1 / (x + 9.0)),
    ("clamped_relu", {"alpha": 0.5, "beta": 1.0}, lambda x: torch.where(x >= 0, x, 0.5 * x).clamp(max=1.0)),
]


@pytest.mark.parametrize(("kind", "values", "expected"), RUNS, ids=[kind for kind, *_ in RUNS])
def test_operations_of_other_networks(x, kind, values, expected):
    torch.testing.assert_close(compute(kind, x=x, **values), expected(x))
