"""The evaluator's operations against torch, in the cases that the network's own packages do not reach."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from s2m_edge.errors import LoweringError
from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operations import OPERATIONS


def _compute(kind, **values) -> Any:
    return OPERATIONS[kind].compute(Arguments(values, f"{kind} under test"))


@pytest.fixture
def x():
    return torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(0))


def test_convolution_with_uneven_padding_groups_and_dilation(x):
    weight, bias = torch.randn(6, 2, 3, 2), torch.randn(6)
    found = _compute(
        "conv",
        x=x,
        weight=weight,
        bias=bias,
        pad_type="custom",
        pad=torch.tensor([1, 2, 0, 3]),
        groups=torch.tensor(2),
        strides=torch.tensor([1, 2]),
        dilations=torch.tensor([2, 1]),
    )
    expected = F.conv2d(F.pad(x, (0, 3, 1, 2)), weight, bias, (1, 2), 0, (2, 1), 2)
    torch.testing.assert_close(found, expected)


def test_layer_norm_over_the_last_axes_and_over_channels(x):
    gamma, beta = torch.randn(8), torch.randn(8)
    found = _compute("layer_norm", x=x, axes=torch.tensor([-1]), gamma=gamma, beta=beta, epsilon=torch.tensor(0.1))
    torch.testing.assert_close(found, F.layer_norm(x, (8,), gamma, beta, 0.1))
    channels = _compute("layer_norm", x=x, axes=torch.tensor([1]), gamma=gamma[:4], beta=beta[:4])
    expected = F.layer_norm(x.movedim(1, -1), (4,), gamma[:4], beta[:4]).movedim(-1, 1)
    torch.testing.assert_close(channels, expected)


def test_half_precision_is_computed_in_float32(x):
    found = _compute("mul", x=torch.tensor([300.0]).half(), y=torch.tensor([300.0]).half())
    assert found.dtype == torch.float32
    assert float(found) == 90000.0


def test_mixed_types_are_refused(x):
    with pytest.raises(LoweringError, match="one type for both"):
        _compute("add", x=x, y=x.half())
    with pytest.raises(LoweringError, match="one type for all"):
        _compute("concat", values=[x, x.half()], axis=torch.tensor(1))


def test_slices(x):
    begin, end = torch.tensor([0, 1, 2, 1]), torch.tensor([1, -1, 5, 7])
    torch.testing.assert_close(_compute("slice_by_index", x=x, begin=begin, end=end), x[0:1, 1:-1, 2:5, 1:7])
    masked = _compute(
        "slice_by_index",
        x=x,
        begin=begin,
        end=end,
        stride=torch.tensor([1, 1, 1, 2]),
        begin_mask=torch.tensor([True, True, False, False]),
        end_mask=torch.tensor([False, True, True, False]),
    )
    torch.testing.assert_close(masked, x[0:1, :, 2:, 1:7:2])
    with pytest.raises(LoweringError, match="positive strides"):
        _compute("slice_by_index", x=x, begin=begin, end=end, stride=torch.tensor([1, 1, -1, 1]))


def test_matmul_transposes(x):
    y = torch.randn(6, 5)
    torch.testing.assert_close(_compute("matmul", x=x, y=y, transpose_x=torch.tensor(True)), x.transpose(-2, -1) @ y)
    torch.testing.assert_close(_compute("matmul", x=y, y=y, transpose_y=torch.tensor(True)), y @ y.T)


@pytest.mark.parametrize("corners", [True, False])
def test_bilinear(x, corners):
    factor, flag = torch.tensor(2.0), torch.tensor(corners)
    found = _compute(
        "upsample_bilinear", x=x, scale_factor_height=factor, scale_factor_width=factor, align_corners=flag
    )
    torch.testing.assert_close(found, F.interpolate(x, size=(12, 16), mode="bilinear", align_corners=corners))


def test_nearest_refuses_fractions(x):
    with pytest.raises(LoweringError, match="whole factors"):
        _compute("upsample_nearest_neighbor", x=x, scale_factor_height=torch.tensor(1.5))


def test_defaults(x):
    torch.testing.assert_close(_compute("softmax", x=x), x.softmax(-1))
    torch.testing.assert_close(_compute("reduce_mean", x=x), x.mean())
    torch.testing.assert_close(_compute("elu", x=x, alpha=torch.tensor(0.5)), F.elu(x, 0.5))


def test_cast_to_an_unknown_type(x):
    with pytest.raises(LoweringError, match="dtype = fp8"):
        OPERATIONS["cast"].result_dtype(Arguments({"x": x, "dtype": "fp8"}, "cast under test"))
