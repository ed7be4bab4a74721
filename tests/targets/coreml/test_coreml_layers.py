"""The evaluator's operations of networks that are not S2M-Net, against torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operations import OPERATIONS


def compute(kind, **values):
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
    torch.testing.assert_close(compute("max_pool", x=x, kernel_sizes=[2, 2]), F.max_pool2d(x, 2))
    with pytest.raises(LoweringError, match="rounded down"):
        compute("max_pool", x=x, kernel_sizes=[2, 2], ceil_mode=torch.tensor(True))
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
