"""The parts of locating: blocks of a network, likeness, what may differ, and what a location says."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from s2m_edge.deploy.precision import PRECISION_ROWS
from s2m_edge.targets.deployed import DeployedNetwork
from s2m_edge.targets.measure.locate import BlockError, Location, OperatorError
from s2m_edge.targets.measure.locate.blocks import Border, block_paths, catching, dependents
from s2m_edge.targets.measure.locate.cut import CutNetwork
from s2m_edge.targets.measure.locate.deviation import deviation, may_be, span_of, tolerance
from s2m_edge.targets.measure.locate.expected import Levels
from s2m_edge.targets.measure.locate.report import ANSWER, KEEPS, LEAVES
from s2m_edge.targets.measure.locate.write import location_html, location_table
from support import lively_network

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def call(network: nn.Module) -> object:
    with torch.no_grad():
        return network(IMAGE)


class Listed(nn.Module):
    """Blocks in a list, one that does nothing, one that is called twice, and one that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Identity(), nn.ReLU()])
        self.pool = nn.AvgPool2d(2)
        self.split = Split()

    def forward(self, image: Tensor) -> Tensor:
        for step in self.steps:
            image = step(image)
        first, second = self.split(self.pool(self.pool(image)))
        return first + second


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, :1], x[:, 1:2] * 2


def test_blocks_are_the_top_level_modules_lists_stand_for_their_entries():
    assert block_paths(Listed().eval(), call) == ("steps.0", "steps.2", "pool", "split")
    assert block_paths(nn.Sequential(Listed()).eval(), call) == ("0.steps.0", "0.steps.2", "0.pool", "0.split")


def test_s2m_net_names_its_blocks_and_leaves_out_those_that_do_nothing():
    network = lively_network(mixer_stages=(1,), spatial_stages=())
    paths = block_paths(network, call)
    assert paths[:4] == ("stem", "encoder.0.down", "encoder.0.receptive", "encoder.0.mixer")
    assert "encoder.1.mixer" not in paths
    assert paths[-1] == "head"


def test_every_call_and_every_tensor_of_a_block_has_a_border_of_its_own():
    network = Listed().eval()
    with catching(network, block_paths(network, call)) as caught:
        call(network)
    assert [border.name for border in caught] == ["steps.0", "steps.2", "pool", "pool, call 2", "split", "split[1]"]
    followers = dependents(network, ("steps.0", "steps.2", "pool", "split"), Border("pool", 1), call)
    assert followers == {Border("split"), Border("split", number=1)}
    assert dependents(network, ("pool", "split"), Border("split"), call) == frozenset()


@pytest.mark.parametrize("border", [Border("pool", 1), Border("split", number=1)])
def test_a_cut_network_gives_what_the_block_gives_and_no_probabilities_of_it(border: Border):
    network = Listed().eval()
    with catching(network, ("pool", "split")) as caught:
        call(network)
    cut = DeployedNetwork(CutNetwork(network, border)).eval()
    assert torch.equal(call(cut), caught[border])  # type: ignore[arg-type]
    program = torch.export.export(cut, (IMAGE,))
    assert torch.equal(program.module()(IMAGE), caught[border])


def test_tolerances_are_the_gates_share_of_a_range():
    for name, row in PRECISION_ROWS.items():
        assert tolerance(name) == (row.gate.probability_error or row.gate.mean_probability_error)
    reference = np.linspace(-3, 7, 100, dtype=np.float32).reshape(1, 4, 5, 5)
    assert span_of(reference) == 10
    assert span_of(np.array([5, 5.5], np.float32)) == 5.5, "zero belongs to a range: rounding goes by size"
    moved = reference.copy()
    moved[0, 0, 0, 0] += 0.01
    found = deviation(reference, moved)
    assert found.relative("float32") == pytest.approx(1e-3, rel=1e-3)
    others = [name for name, row in PRECISION_ROWS.items() if row.gate.probability_error is None]
    assert {found.relative(name) for name in others} == {found.mean / 10}


def test_a_runtime_may_keep_channels_last_or_leave_out_sides_of_one():
    reference = np.random.default_rng(0).normal(size=(1, 4, 5, 5)).astype(np.float32)
    assert deviation(reference, reference.transpose(0, 2, 3, 1)).largest == 0
    assert deviation(reference, reference[0]).largest == 0
    assert deviation(reference[:, :1], reference[0, 0]).largest == 0
    assert not may_be((1, 5, 4, 5), reference.shape)
    with pytest.raises(ValueError, match="is none of"):
        deviation(reference, reference.transpose(0, 2, 1, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinitely_far(value: float):
    reference = np.ones((1, 2, 3, 3), np.float32)
    found = reference.copy()
    found[0, 0, 0, 0] = value
    assert deviation(reference, found).relative("float32") == math.inf


def test_saturated_values_lie_at_the_ends_but_for_a_rectifiers_zero():
    values = np.array([0.0, 0.0, 0.5, 2.55, 2.55], np.float32)
    assert Levels(0.0, 2.55).saturated(values) == pytest.approx(0.4)
    assert Levels(-1.0, 3.0).saturated(np.array([-1.0, -1.2, 0.0, 2.9], np.float32)) == pytest.approx(0.5)


def location(*judgements: str, operator: OperatorError | None = None, name: str = "stem") -> Location:
    shares = {KEEPS: 1e-6, LEAVES: math.inf}
    rows = [
        BlockError(name if place == 0 else ANSWER, (1, 2, 3, 3), 0.1, 0.1, shares[word], 1e-4, word)  # type: ignore[arg-type]
        for place, word in enumerate(judgements)
    ]
    return Location("onnx", "float32", "cpu", "read", "a.jpg", 1, tuple(rows), operator)


def test_a_location_says_what_leaves_first_and_is_json_whatever_the_figures():
    operator = OperatorError("node", "Conv", math.inf, 1e-4, "PyTorch")
    found = location(LEAVES, LEAVES, operator=operator)
    assert found.sentence == (
        "stem is the first block that leaves its tolerance: values that are not finite. "
        "The first operator that does: Conv node."
    )
    values = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert values["first_block"] == "stem"
    assert values["blocks"][0]["relative"] is None
    assert values["first_operator"]["relative"] is None
    assert location(KEEPS, LEAVES).sentence.startswith("No block before it, but the answer leaves")
    assert location(KEEPS, KEEPS).to_dict()["first_block"] is None


def test_the_page_needs_no_other_file_and_names_are_text_in_it():
    pytest.importorskip("matplotlib")
    html = location_html(location(LEAVES, KEEPS, name="<script>x"), "a<b>")
    assert "<script>" not in html
    assert "&lt;script&gt;x" in html
    assert "a&lt;b&gt;" in html
    assert "<svg" in html
    assert "://" not in html.split("<svg")[0]
    assert "Found." in html
    assert location_table(location(KEEPS, KEEPS)).row_count == 2
