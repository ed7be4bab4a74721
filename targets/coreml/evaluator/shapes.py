"""MIL operations that move values and compute none: joining, cutting, turning, looking up."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s2m_edge.targets.coreml.evaluator.arguments import Arguments
from s2m_edge.targets.coreml.evaluator.operation import Operation, X, always, like


def _of_one_type(a: Arguments) -> list[Tensor]:
    values = a.tensors("values")
    if len({value.dtype for value in values}) != 1:
        raise a.refuse("values", [str(value.dtype) for value in values], "one type for all")
    return values


def _concat(a: Arguments) -> Tensor:
    if a.flag("interleave", False):
        raise a.refuse("interleave", "true", "plain concatenation")
    return torch.cat(_of_one_type(a), a.integer("axis", 0))


def _split(a: Arguments) -> tuple[Tensor, ...]:
    x, axis = a.tensor("x"), a.integer("axis", 0)
    count, sizes = a.integer("num_splits", 0), a.integers("split_sizes")
    if not sizes:
        if count < 1 or x.shape[axis] % count:
            raise a.refuse("num_splits", count, f"equal parts of {x.shape[axis]}")
        sizes = [x.shape[axis] // count] * count
    return x.split(sizes, axis)


def _slice_by_index(a: Arguments) -> Tensor:
    """Axes of `squeeze_mask` are looked up at their beginning, and go."""
    x = a.tensor("x")
    rank = x.dim()
    begin, end, stride = a.integers("begin"), a.integers("end"), a.integers("stride", [1] * rank)
    if min(stride) < 1:
        raise a.refuse("stride", stride, "positive strides")
    from_start, to_end = a.flags("begin_mask", rank), a.flags("end_mask", rank)
    single = a.flags("squeeze_mask", rank)
    spans = (
        begin[axis]
        if single[axis]
        else slice(None if from_start[axis] else begin[axis], None if to_end[axis] else end[axis], stride[axis])
        for axis in range(rank)
    )
    return x[tuple(spans)]


def _slice_by_size(a: Arguments) -> Tensor:
    """A size of -1 reaches to the end."""
    x = a.tensor("x")
    for axis, (begin, size) in enumerate(zip(a.integers("begin"), a.integers("size"), strict=True)):
        x = x.narrow(axis, begin, x.shape[axis] - begin if size == -1 else size)
    return x


def _crop(a: Arguments) -> Tensor:
    x, (top, bottom), (left, right) = a.tensor("x"), a.integers("crop_height"), a.integers("crop_width")
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


def _reshape(a: Arguments) -> Tensor:
    """-1 stands for what is left, 0 for the length that the axis has."""
    x, wanted = a.tensor("x"), a.integers("shape")
    return x.reshape([x.shape[axis] if length == 0 else length for axis, length in enumerate(wanted)])


def _expand_dims(a: Arguments) -> Tensor:
    x, axes = a.tensor("x"), a.integers("axes")
    for axis in sorted(value % (x.dim() + len(axes)) for value in axes):
        x = x.unsqueeze(axis)
    return x


def _squeeze(a: Arguments) -> Tensor:
    x = a.tensor("x")
    axes = a.integers("axes", [axis for axis, length in enumerate(x.shape) if length == 1])
    return x.squeeze(tuple(axes))


def _pad(a: Arguments) -> Tensor:
    """Pairs of lengths for the last axes, the first of them first."""
    x, lengths, mode = a.floating("x"), a.integers("pad"), a.text("mode", "constant")
    pairs = [lengths[index : index + 2] for index in range(0, len(lengths), 2)]
    flat = [length for pair in reversed(pairs) for length in pair]
    if mode == "constant":
        return F.pad(x, flat, value=a.number("constant_val", 0.0))
    if mode not in ("reflect", "replicate"):
        raise a.refuse("mode", mode, "constant, reflect and replicate")
    while len(flat) > 4 and flat[-2:] == [0, 0]:
        flat = flat[:-2]  # PyTorch repeats along two axes of a picture, and wants no others named
    return F.pad(x, flat, mode=mode)


def _band(a: Arguments) -> Tensor:
    x, lower, upper = a.tensor("x"), a.integer("lower", -1), a.integer("upper", -1)
    x = x if lower < 0 else x.triu(-lower)
    return x if upper < 0 else x.tril(upper)


def _indices(a: Arguments) -> Tensor:
    indices = a.tensor("indices")
    if indices.is_floating_point() or indices.dtype == torch.bool:
        raise a.refuse("indices", indices.dtype, "whole numbers")
    return indices.long()


def _within(a: Arguments, indices: Tensor, length: int) -> Tensor:
    """The indices, all from 0 to below `length`: since iOS 17 any other has no defined meaning."""
    if indices.numel() and not 0 <= int(indices.min()) <= int(indices.max()) < length:
        raise a.refuse("indices", f"{int(indices.min())} to {int(indices.max())}", f"those from 0 to {length - 1}")
    return indices


def _gather(a: Arguments) -> Tensor:
    x = a.tensor("x")
    if a.integer("batch_dims", 0):
        raise a.refuse("batch_dims", a.integer("batch_dims", 0), "0")
    axis = a.integer("axis", 0) % x.dim()
    indices = _within(a, _indices(a), x.shape[axis])
    found = x.index_select(axis, indices.flatten())
    return found.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_along_axis(a: Arguments) -> Tensor:
    x, axis = a.tensor("x"), a.integer("axis", 0)
    return x.gather(axis, _within(a, _indices(a), x.shape[axis]))


def _gather_nd(a: Arguments) -> Tensor:
    x = a.tensor("x")
    if a.integer("batch_dims", 0):
        raise a.refuse("batch_dims", a.integer("batch_dims", 0), "0")
    places = _indices(a).unbind(-1)
    return x[tuple(_within(a, indices, length) for indices, length in zip(places, x.shape, strict=False))]


def _scatter(a: Arguments) -> Tensor:
    """`updates` in place of what lies at the indices of an axis."""
    data, axis = a.tensor("data"), a.integer("axis", 0)
    if a.text("mode", "update") != "update":
        raise a.refuse("mode", a.text("mode", "update"), "update")
    return data.index_copy(axis, _within(a, _indices(a), data.shape[axis]), a.tensor("updates"))


def _one_hot(a: Arguments) -> Tensor:
    indices, size = a.tensor("indices"), a.integer("one_hot_vector_size", 1)
    on = a.tensor("on_value") if a.has("on_value") else torch.tensor(1, dtype=torch.int32)
    off = a.tensor("off_value") if a.has("off_value") else torch.zeros_like(on)
    hot = indices[..., None] == torch.arange(size)
    return torch.where(hot, on, off).movedim(-1, a.integer("axis", -1))


def _one_hot_dtype(a: Arguments) -> torch.dtype:
    return a.tensor("on_value").dtype if a.has("on_value") else torch.int32


def _range(a: Arguments) -> Tensor:
    start, end, step = (a.numeric(name).item() for name in ("start", "end", "step"))
    return torch.arange(start, end, step)


def _fill(a: Arguments) -> Tensor:
    return a.tensor("value").reshape(()).expand(a.integers("shape"))


_INDICES = X | {"indices"}
_LOOK_UP = frozenset({"axis", "batch_dims", "validate_indices"})

TABLE: dict[str, Operation] = {
    "concat": Operation(_concat, frozenset({"values", "axis"}), frozenset({"interleave"}), like("values")),
    "stack": Operation(
        lambda a: torch.stack(_of_one_type(a), a.integer("axis", 0)),
        frozenset({"values", "axis"}),
        result_dtype=like("values"),
    ),
    "split": Operation(_split, X | {"axis"}, frozenset({"num_splits", "split_sizes"})),
    "slice_by_index": Operation(
        _slice_by_index, X | {"begin", "end"}, frozenset({"stride", "begin_mask", "end_mask", "squeeze_mask"})
    ),
    "slice_by_size": Operation(_slice_by_size, X | {"begin", "size"}),
    "crop": Operation(_crop, X | {"crop_height", "crop_width"}),
    "reshape": Operation(_reshape, X | {"shape"}),
    "transpose": Operation(lambda a: a.tensor("x").permute(a.integers("perm")), X | {"perm"}),
    "expand_dims": Operation(_expand_dims, X | {"axes"}),
    "squeeze": Operation(_squeeze, X, frozenset({"axes"})),
    "tile": Operation(lambda a: a.tensor("x").repeat(a.integers("reps")), X | {"reps"}),
    "reverse": Operation(
        lambda a: a.tensor("x").flip(a.integers("axes", list(range(a.tensor("x").dim())))), X, frozenset({"axes"})
    ),
    "pad": Operation(_pad, X | {"pad"}, frozenset({"mode", "constant_val"})),
    "pixel_shuffle": Operation(
        lambda a: F.pixel_shuffle(a.floating("x"), a.integer("upscale_factor", 1)), X | {"upscale_factor"}
    ),
    "pixel_unshuffle": Operation(
        lambda a: F.pixel_unshuffle(a.floating("x"), a.integer("downscale_factor", 1)), X | {"downscale_factor"}
    ),
    "band_part": Operation(_band, X, frozenset({"lower", "upper"})),
    "gather": Operation(_gather, _INDICES, _LOOK_UP),
    "gather_along_axis": Operation(_gather_along_axis, _INDICES, frozenset({"axis", "validate_indices"})),
    "gather_nd": Operation(_gather_nd, _INDICES, frozenset({"batch_dims", "validate_indices"})),
    "scatter": Operation(
        _scatter,
        frozenset({"data", "indices", "updates"}),
        frozenset({"axis", "mode", "validate_indices"}),
        like("data"),
    ),
    "one_hot": Operation(
        _one_hot,
        frozenset({"indices", "one_hot_vector_size"}),
        frozenset({"axis", "on_value", "off_value"}),
        _one_hot_dtype,
    ),
    "range_1d": Operation(_range, frozenset({"start", "end", "step"}), result_dtype=like("start")),
    "fill": Operation(_fill, frozenset({"shape", "value"}), result_dtype=like("value")),
    "fill_like": Operation(
        lambda a: a.tensor("value").reshape(()).expand(a.tensor("ref_tensor").shape),
        frozenset({"ref_tensor", "value"}),
        result_dtype=like("value"),
    ),
    "shape": Operation(lambda a: torch.tensor(a.tensor("x").shape), X, result_dtype=always(torch.int32)),
}
