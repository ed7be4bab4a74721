"""Networks made of one kind of operator each go to Core ML, and the saved package computes what PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import seeded
from s2m_edge.deploy.precision import Precision
from s2m_edge.deploy.spec import make_spec
from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import normalise
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.coreml.evaluator import Evaluator, open_package
from s2m_edge.targets.coreml.frontend import known_to_coremltools
from s2m_edge.targets.registry import find_target

CHANNELS, HEIGHT, WIDTH = 8, 24, 16
SPEC = make_spec("operators", height=HEIGHT, width=WIDTH, classes=("polyp",))
METADATA = {"name": "Operators", "version": "1", "licence": "MIT", "notice": "Research use only.", "dataset": "none"}


class Around(nn.Module):
    """The mean of several functions of eight maps, each of which gives maps of any number and size, to one map.

    Every function weighs so much that a wrong one shows.
    """

    def __init__(self, functions: list[Callable[..., Tensor]], layers: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, CHANNELS, 3, padding=1), nn.Conv2d(CHANNELS, 1, 1)
        nn.init.uniform_(self.last.weight, -2.0 / len(functions + layers), 2.0 / len(functions + layers))
        self.functions, self.layers = functions, nn.ModuleList(layers)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        results = [function(x) for function in self.functions] + [layer(x) for layer in self.layers]
        return self.last(torch.stack([self._fitted(result.to(x.dtype), x) for result in results]).sum(0))

    @staticmethod
    def _fitted(result: Tensor, x: Tensor) -> Tensor:
        result = result if result.shape[1] == CHANNELS else result.mean(1, keepdim=True)
        size = x.shape[-2:]
        return (result if result.shape[-2:] == size else F.interpolate(result, size=size)).expand_as(x)


def _attention(x: Tensor) -> Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    queries, keys, values = F.pad(tokens, (0, 4)).unflatten(2, (3, 4)).unbind(2)
    return F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).reshape(1, 4, HEIGHT, WIDTH)


def _windows(x: Tensor) -> Tensor:
    """Swin's: rolled, cut into windows of 8 x 8, softmax within each, and back."""
    rolled = torch.roll(x, (-3, 2), (2, 3))
    windows = rolled.view(1, CHANNELS, 3, 8, 2, 8).permute(0, 2, 4, 3, 5, 1).reshape(6, 64, CHANNELS)
    whole = windows.softmax(1).view(1, 3, 2, 8, 8, CHANNELS).permute(0, 5, 1, 3, 2, 4)
    return whole.reshape(1, CHANNELS, HEIGHT, WIDTH) * 20


def _masked(fill: float, *, added: bool = False) -> Callable[[Tensor], Tensor]:
    """Attention of pixels in which a mask, minus infinity or the least number, keeps the four quarters apart."""
    quarter = (torch.arange(HEIGHT)[:, None] // 12 * 2 + torch.arange(WIDTH) // 8).flatten()
    apart = quarter[:, None] != quarter

    def attention(x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        scores = tokens @ x.flatten(2)
        mask = torch.zeros(apart.shape).masked_fill(apart, fill)
        scores = scores + mask if added else scores.masked_fill(apart, fill)
        seen = ((scores.reshape(1, -1, HEIGHT * WIDTH) * 0.5).softmax(-1) @ tokens).transpose(1, 2).view_as(x)
        return (seen - seen.mean((2, 3), keepdim=True)) * 20

    return attention


def _grid(x: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij")
    grid = torch.stack((columns, rows), -1)[None] * 0.9
    return F.grid_sample(x, grid, align_corners=True) + rows * columns


def _assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 3:7] = 0.3
    y[:, 2] *= 2
    return y


def _statistics(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(4)
    for norm in (entry for entry in module.modules() if getattr(entry, "running_var", None) is not None):
        norm.running_mean.normal_(0.0, 0.3, generator=generator)  # type: ignore[operator, union-attr]
        norm.running_var.uniform_(0.5, 2.0, generator=generator)  # type: ignore[operator, union-attr]
    for norm in (entry for entry in module.modules() if isinstance(getattr(entry, "weight", None), nn.Parameter)):
        if norm.weight.dim() == 1:  # type: ignore[union-attr]
            norm.weight.data.uniform_(0.5, 1.5, generator=generator)  # type: ignore[operator, union-attr]
    return module


GROUPS: dict[str, Callable[[], tuple[list[Callable[..., Tensor]], list[nn.Module]]]] = {
    "attention": lambda: (
        [
            _attention,
            _windows,
            lambda x: (torch.einsum("bchw,bdhw->bcd", x, x).softmax(-1) @ x.flatten(2)).view_as(x),
        ],
        [],
    ),
    "masks": lambda: (
        [
            _masked(float("-inf")),
            _masked(float("-inf"), added=True),
            _masked(torch.finfo(torch.float32).min),
        ],
        [],
    ),
    "curves": lambda: (
        [
            *(F.mish, F.celu, F.selu, F.softsign, F.tanhshrink),
            *(torch.erf, torch.sin, torch.abs, torch.sign, torch.floor),
            lambda x: F.glu(x, 1),
            lambda x: F.softplus(x, beta=2),
            lambda x: torch.log1p(x.abs()),
            lambda x: 0.03 / (x.abs() + 0.02),
            lambda x: torch.remainder(x, 0.7),
            lambda x: torch.fmod(x, x.flip(1).abs() + 0.3),
            lambda x: torch.trunc(3 * x),
            lambda x: F.logsigmoid(40 * x) * 0.05,
            lambda x: torch.lerp(x, x.flip(1), x.sigmoid()),
            lambda x: x.abs() ** 1.5,
            lambda x: torch.atan2(x, x.flip(1)),
            lambda x: torch.atan2(x.relu(), -x.flip(3).abs()),  # of negative numbers among others
            lambda x: torch.atan2(x.relu(), x.relu()),  # of the origin among others
        ],
        [nn.PReLU(CHANNELS, 0.3), nn.Hardswish()],
    ),
    "pieces": lambda: (
        [
            lambda x: torch.cat(torch.split(x, [3, 5], 1)[::-1], 1),
            lambda x: torch.stack(x.unbind(1)[::-1], 1),
            lambda x: x.flip(2, 3),
            lambda x: torch.rot90(x, 1, (2, 3)),
            lambda x: F.pixel_shuffle(x, 2),
            lambda x: F.pixel_unshuffle(x, 2),
            lambda x: F.channel_shuffle(x, 2),
            lambda x: x[:, [3, 1, 0, 2, 7, 6, 5, 4]],
            lambda x: x[..., ::2],
            lambda x: x.mean((2, 3))[0][None, :, None, None] + x,
            lambda x: F.pad(x, (-3, -2, -1, -4)),
            _assigned,
        ],
        [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, padding_mode=mode) for mode in ("circular", "reflect")],
    ),
    "orders": lambda: (
        [
            lambda x: x.topk(3, 1)[0],
            lambda x: x.sort(1)[0],
            lambda x: x.gather(1, x.argsort(1)),
            lambda x: torch.take_along_dim(x, x.argsort(1), 1) * x,
            lambda x: x + x.argmax(1, keepdim=True).float(),
            lambda x: torch.cumsum(x, 3) * 0.1,
            lambda x: F.one_hot(x.argmax(1), CHANNELS).permute(0, 3, 1, 2).float(),
        ],
        [],
    ),
    "conditions": lambda: (
        [
            lambda x: torch.where(x.amax(1, keepdim=True) > 0.5, x, x.clamp(0, 1)),
            lambda x: x.masked_fill(x > 0, 0.5),
            lambda x: (((x > 0) & (x < 0.5)) | ~(x > -0.5)).float(),
            lambda x: (x > 0.2).any(1, keepdim=True).float() * x,
            lambda x: torch.nan_to_num(x),
            lambda x: torch.tril(x),
        ],
        [],
    ),
    "norms": lambda: (
        [
            lambda x: F.normalize(x, dim=1),
            lambda x: x * x.std(1, keepdim=True),
            lambda x: (
                (x - x.amin((2, 3), keepdim=True)) / (x.amax((2, 3), keepdim=True) - x.amin((2, 3), keepdim=True))
            ),
            lambda x: torch.logsumexp(x, 1, keepdim=True) + x,
            lambda x: (x + 1.2).prod(1, keepdim=True) * x,
            lambda x: (x[:, :3, :1, :1] + 1.2).prod() * x,
            lambda x: F.cosine_similarity(x, x.flip(1), dim=1)[:, None] * x,
            lambda x: F.rms_norm(x.movedim(1, -1), (CHANNELS,)).movedim(-1, 1),
        ],
        [
            _statistics(nn.GroupNorm(2, CHANNELS)),
            _statistics(nn.InstanceNorm2d(CHANNELS, affine=True, track_running_stats=True)),
            _statistics(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(CHANNELS))),
            nn.LocalResponseNorm(3, 0.5),
        ],
    ),
    "sizes": lambda: (
        [
            lambda x: F.interpolate(x, size=(17, 9)),
            lambda x: F.interpolate(x, size=(17, 9), mode="bilinear"),
            lambda x: F.interpolate(x, size=(50, 20), mode="bilinear", align_corners=True),
            lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
            lambda x: F.interpolate(x, scale_factor=1.5, mode="nearest-exact"),
            lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
            lambda x: F.avg_pool2d(x, 5, 3, 2, ceil_mode=True),
            lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            lambda x: F.adaptive_avg_pool2d(x, 5),
            lambda x: F.adaptive_max_pool2d(x, 4),
            _grid,
        ],
        [nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, 2, 1, output_padding=1)],
    ),
}


def _evaluated(
    network: nn.Module, folder: Path, precision: Precision = "float32"
) -> tuple[Evaluator, np.ndarray, np.ndarray]:
    """The evaluator of the saved package, what it makes of a picture, and what PyTorch does."""
    coarse = np.random.default_rng(0).integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    picture = coarse.repeat(4, 0).repeat(4, 1)
    with torch.no_grad():
        expected = network(torch.from_numpy(normalise(picture, SPEC.preprocessing))).sigmoid().numpy()
    request = LoweringRequest(network, SPEC, precision, "matmul", METADATA)
    evaluator = Evaluator(open_package(find_target("coreml").make_exporter().export(request, folder)))
    return evaluator, evaluator.run(picture), expected


@pytest.mark.parametrize("group", GROUPS)
def test_operators_of_many_kinds_come_out_as_in_pytorch(group: str, tmp_path: Path):
    _, found, expected = _evaluated(seeded(lambda: Around(*GROUPS[group]())), tmp_path)
    assert float(expected.max() - expected.min()) > 0.2, "a constant answer proves nothing"
    np.testing.assert_allclose(found, expected, atol=3e-6)


def test_a_scale_and_a_shift_are_not_taken_for_a_batch_norm_whose_epsilon_would_change_them(tmp_path: Path):
    gain, shift = torch.linspace(0.5, 2.0, CHANNELS)[:, None, None], torch.linspace(-1.0, 1.0, CHANNELS)[:, None, None]

    def far_from_zero(x: Tensor) -> Tensor:
        return torch.relu((x + 60.0) * gain + shift) - 60.0 * gain

    evaluator, found, expected = _evaluated(seeded(lambda: Around([far_from_zero], [])), tmp_path)
    assert not evaluator.counts["batch_norm"]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: (x.abs() + 1.0) * -300.0 * 300.0, "mul"),
        (lambda x: (x.abs() + 1.0) * -3e4 - (x.square() + 1.0) * 3e4, "sub"),
        (lambda x: x.masked_fill(x > 0, float("inf")).clamp(max=1.0), "select"),
        (lambda x: x.masked_fill(x > 0, float("-inf")).cumsum(3).clamp(min=-1.0), "cumsum"),
        (lambda x: x.masked_fill(x > 0, float("-inf")).mul((x - 100.0).relu()).nan_to_num(), "mul"),
    ],
    ids=["a product", "a sum", "plus infinity", "an operation that masks nothing", "no number"],
)
def test_an_overflow_is_not_taken_for_a_mask(function: Callable[[Tensor], Tensor], kind: str, tmp_path: Path):
    with pytest.raises(LoweringError, match=rf"the operation {kind} .* not finite"):
        _evaluated(seeded(lambda: Around([function], [])), tmp_path, "float16")


def test_a_part_of_several_is_a_result_of_its_own(tmp_path: Path):
    network = seeded(lambda: Around([lambda x: torch.cat(torch.split(x, [3, 5], 1)[::-1], 1)], []))
    evaluator, _, _ = _evaluated(network, tmp_path)
    parts = [note for note in evaluator.operations if note.kind == "split"]
    assert [note.declared.shape[1] for note in parts] == [3, 5]
    assert evaluator.counts["split"] == 1


@pytest.mark.parametrize(("window", "stride"), [((2, None), [2, 2]), ((3, 1), [1, 1])])
def test_a_max_pooling_names_its_stride(window, stride):
    class Pooled(nn.Module):
        def forward(self, x):
            return F.max_pool2d(x, *window)

    program = torch.export.export(Pooled(), (torch.zeros(1, 3, 6, 6),)).run_decompositions({})
    program = known_to_coremltools(program)
    (node,) = [node for node in program.graph.nodes if node.target is torch.ops.aten.max_pool2d.default]
    assert list(node.args[2]) == stride
    assert program.module()(torch.ones(1, 3, 6, 6)).shape == Pooled()(torch.ones(1, 3, 6, 6)).shape
