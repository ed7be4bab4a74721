"""Faults are found in the block that has them, and sound artifacts have none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_faults import FAULTS, TinyNetwork, faulty, tiny_network
from torch import nn

from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import ParityError
from s2m_edge.network.blocks import ChannelLayerNorm
from s2m_edge.samples import sample_images
from s2m_edge.targets import registry
from s2m_edge.targets.base import Exporter
from s2m_edge.targets.measure.locate import Location, locate
from s2m_edge.targets.measure.locate.again import Again
from s2m_edge.targets.measure.locate.report import ANSWER, KEEPS, LEAVES, NOT_HELD, NOT_LOOKED_AT
from s2m_edge.targets.measure.locate.visible import OTHER_GRAPH
from s2m_edge.targets.registry import find_target
from support import assert_one_line_error, reseal

PICTURES = sample_images("polyp")[:2]
Lower = Callable[..., Bundle]
Tiny = tuple[TinyNetwork, NetworkSpec]
BLOCKS = ["stem", "down", "spectral", "deep", "joined", "head", ANSWER]
KINDS = {
    "onnx": ("Conv", "Conv", "Mul", "LayerNormalization", "Concat"),
    "openvino": ("Convolution", "Convolution", "Multiply", "MVN", "Concat"),
    "coreml": ("conv", "conv", "mul", "layer_norm", "concat"),
}
"""Of the operator that each of `FAULTS` is in."""


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    return tiny_network()


@pytest.fixture(scope="module")
def sound(tiny: Tiny, lower: Lower) -> Callable[[str], Bundle]:
    """The sound network's artifact for a target, float32, lowered once."""
    made: dict[str, Bundle] = {}

    def get(target: str) -> Bundle:
        if find_target(target).version() is None:
            pytest.skip(f"{target} is not installed")
        if target not in made:
            made[target] = lower(target, *tiny)
        return made[target]

    return get


@pytest.fixture
def lowered_once(sound, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Bundle]:
    """`sound`, whose file is also what lowering the whole network again gives."""
    monkeypatch.setattr(Again, "whole", lambda self: sound(self.target.name).artifact)
    return sound


def judgements(found: Location) -> list[str]:
    return [entry.judgement for entry in found.blocks]


@pytest.mark.parametrize("target", ["onnx", "openvino", "coreml", "litert"])
def test_a_sound_artifact_has_every_block_within_its_tolerance(target: str, tiny: Tiny, sound):
    found = locate(sound(target), *tiny, PICTURES)
    assert found.first is None
    assert [entry.block for entry in found.blocks] == BLOCKS
    assert set(judgements(found)) == {KEEPS}
    assert max(entry.relative or 0 for entry in found.blocks) < 1e-5
    assert found.sentence == "No block leaves its tolerance."
    found.require_kept()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_an_artifact_is_found_at_its_block_and_operator(
    fault: str, target: str, tiny: Tiny, lowered_once, lower: Lower
):
    lowered_once(target)
    network, spec = tiny
    found = locate(lower(target, faulty(network, fault), spec), network, spec, PICTURES)
    block = FAULTS[fault][1]
    first = found.first
    assert first is not None
    assert first.block == block
    place = BLOCKS.index(block)
    assert set(judgements(found)[:place]) <= {KEEPS}
    assert set(judgements(found)[place:]) == {LEAVES}
    assert found.operator is not None
    assert found.operator.kind == KINDS[target][list(FAULTS).index(fault)]
    assert (OTHER_GRAPH in found.remarks) == (block == "joined")
    with pytest.raises(ParityError, match=f"{target} float32: {block} is the first block"):
        found.require_kept()


@pytest.mark.parametrize("target", [*KINDS, "litert"])
def test_an_epsilon_of_zero_is_found(target: str, tiny: Tiny, lower: Lower):
    """Of a norm of small values, in which the epsilon decides."""
    if find_target(target).version() is None:
        pytest.skip(f"{target} is not installed")
    network, spec = tiny
    small = deepcopy(network)
    with torch.no_grad():
        for parameter in small.deep[0].parameters():
            parameter.mul_(1e-3)
    spec = spec.of(small)
    without = deepcopy(small)
    norm = without.deep[1]
    assert isinstance(norm, ChannelLayerNorm)
    norm.epsilon = 0.0
    found = locate(lower(target, without, spec), small, spec, PICTURES[:1])
    assert found.first is not None
    assert found.first.block == "deep"
    assert found.operator is not None
    if target in KINDS:
        assert found.operator.kind == KINDS[target][3]


def test_faults_planted_in_a_litert_file_are_found(tiny: Tiny, lowered_once, tmp_path: Path):
    from s2m_edge.targets.litert.model_file import ModelFile

    bundle = lowered_once("litert")

    def planted(change: Callable[[ModelFile], None], name: str) -> Location:
        file = ModelFile.read(bundle.artifact)
        change(file)
        folder = tmp_path / name
        folder.mkdir()
        (folder / bundle.artifact.name).write_bytes(file.to_bytes())
        return locate(Bundle(folder, bundle.contract), *tiny, PICTURES[:1])

    def convolutions(file: ModelFile) -> list:
        return [entry for entry in file.main.operators if file.operator_name(entry) == "CONV_2D"]

    def scale_second(file: ModelFile) -> None:
        buffer = file.model.buffers[file.main.tensors[convolutions(file)[1].inputs[1]].buffer]
        values = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), np.float32) * np.float32(1.01)
        buffer.data = values.view(np.uint8)

    def swap_join(file: ModelFile) -> None:
        last = [entry for entry in file.main.operators if file.operator_name(entry) == "CONCATENATION"][-1]
        last.inputs = list(reversed(list(last.inputs)))

    scaled = planted(scale_second, "scaled")
    assert (scaled.first.block, scaled.operator.kind) == ("down", "CONV_2D")  # type: ignore[union-attr]
    swapped = planted(swap_join, "swapped")
    assert (swapped.first.block, swapped.operator.kind) == ("joined", "CONCATENATION")  # type: ignore[union-attr]


def with_faulty_exporter(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Every lowering has the fault, of whole networks and of cut ones."""
    honest = Exporter.export

    def export(self, request, folder):
        changed = deepcopy(request.network)
        with torch.no_grad():
            FAULTS[fault][0](getattr(changed, "network", changed))
        return honest(self, replace(request, network=changed), folder)

    monkeypatch.setattr(Exporter, "export", export)


@pytest.mark.parametrize("fault", ["a filter has its axes swapped", "a norm has another epsilon"])
def test_a_fault_of_the_exporter_is_found_by_lowering_the_block_alone(
    fault: str, tiny: Tiny, lower: Lower, monkeypatch: pytest.MonkeyPatch
):
    with_faulty_exporter(monkeypatch, fault)
    found = locate(lower("openvino", *tiny), *tiny, PICTURES[:1])
    block = FAULTS[fault][1]
    assert found.first is not None
    assert found.first.block == block
    assert any("cut behind it" in remark for remark in found.remarks)
    assert found.operator is not None
    if block == "deep":
        assert found.operator.kind == "MVN"
    assert judgements(found)[BLOCKS.index(block) + 1 : -1] == [NOT_LOOKED_AT] * (5 - BLOCKS.index(block))


@pytest.fixture
def hidden_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO, as if its results could not be read."""
    rows = [replace(row, look="", hidden="it is hidden") if row.name == "openvino" else row for row in registry.TARGETS]
    monkeypatch.setattr(registry, "TARGETS", tuple(rows))


@pytest.mark.parametrize("fault", [*FAULTS][::2])
def test_where_results_cannot_be_read_prefixes_are_lowered_again(
    fault: str, tiny: Tiny, lower: Lower, hidden_openvino, monkeypatch: pytest.MonkeyPatch
):
    cuts: list[str] = []
    at = Again.at
    monkeypatch.setattr(
        Again, "at", lambda self, border, fitted: (cuts.append(border.name), at(self, border, fitted))[1]
    )
    with_faulty_exporter(monkeypatch, fault)
    found = locate(lower("openvino", *tiny), *tiny, PICTURES[:1])
    assert found.first is not None
    assert found.first.block == FAULTS[fault][1]
    assert found.operator is None
    assert len(cuts) <= 3  # of six blocks
    assert found.method == "the same network lowered again, cut at block borders, because it is hidden"


def test_a_hidden_artifact_that_is_sound_or_alone_wrong_is_said_to_be(tiny: Tiny, sound, lower: Lower, hidden_openvino):
    network, spec = tiny
    found = locate(sound("openvino"), network, spec, PICTURES[:1])
    assert found.first is None
    assert set(judgements(found)) == {NOT_LOOKED_AT, KEEPS}
    wrong = locate(lower("openvino", faulty(network, "one kernel is another"), spec), network, spec, PICTURES[:1])
    assert wrong.first is not None
    assert wrong.first.block == ANSWER
    assert "in this file alone" in wrong.remarks[0]
    assert "no block could be looked at" in wrong.sentence


@pytest.mark.slow
def test_executorch_is_located_by_cutting(tiny: Tiny, lower: Lower, monkeypatch: pytest.MonkeyPatch):
    if find_target("executorch").version() is None:
        pytest.skip("executorch is not installed")
    with_faulty_exporter(monkeypatch, "a norm has another epsilon")
    found = locate(lower("executorch", *tiny), *tiny, PICTURES[:1])
    assert found.first is not None
    assert found.first.block == "deep"
    assert "XNNPACK's delegates" in found.method


def overflowing(network: TinyNetwork) -> TinyNetwork:
    """An equal network, but for an epsilon, whose convolution before the LayerNorm gives values beyond 65504."""
    changed = deepcopy(network)
    convolution = changed.deep[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.weight.mul_(3e5)
        convolution.bias.mul_(3e5)
    return changed


def test_a_layer_that_overflows_in_half_precision_is_found(tiny: Tiny, lower: Lower):
    pytest.importorskip("coremltools")
    network, spec = tiny
    large = overflowing(network)
    found = locate(lower("coreml", large, spec.of(large), "float16"), large, spec, PICTURES)
    assert found.first is not None
    assert found.first.block == "deep"
    assert found.operator is not None
    assert found.operator.kind == "conv"
    assert "not finite" in found.sentence
    json.dumps(found.to_dict(), allow_nan=False)


def test_float16_shows_how_near_each_block_comes_to_overflow(tiny: Tiny, lower: Lower):
    pytest.importorskip("coremltools")
    network, spec = tiny
    found = locate(lower("coreml", network, spec, "float16"), network, spec, PICTURES)
    assert found.first is None
    peaks = [entry.peak for entry in found.blocks[:-1]]
    assert all(peak is not None and 0 < peak < 65504 for peak in peaks)


def test_a_sound_bundle_of_int8_has_no_fault(exported, small_models, small_checkpoints):
    row = find_target("onnx")
    bundle = open_bundle(exported(row, "int8", row.default_lowering).folder)
    network, spec = small_models[True], network_spec(read_header(small_checkpoints[True]))
    found = locate(bundle, network, spec, sample_images("polyp")[:1])
    assert found.first is None, found.sentence
    assert {entry.judgement for entry in found.blocks} <= {KEEPS, NOT_HELD}
    assert sum(entry.judgement == KEEPS for entry in found.blocks) >= len(found.blocks) - 3, "three stages mix nothing"
    shares = [entry.saturated for entry in found.blocks if entry.saturated is not None]
    assert shares
    assert all(0 <= share < 0.5 for share in shares)


def test_requests_that_do_not_fit_are_one_line(run, exported, small_checkpoint: Path, tmp_path: Path):
    folder = exported(find_target("openvino"), "float32", "matmul").folder
    page = tmp_path / "located.html"
    words = ("parity", folder, "--checkpoint", small_checkpoint, "--locate", "--limit", 1)
    code, out, err = run("parity", folder, "--checkpoint", small_checkpoint, "--out", page)
    assert_one_line_error(code, out, err, "is a page's name", "--locate")
    code, out, err = run(*words, "--reference", page)
    assert_one_line_error(code, out, err, "--locate looks at a network's blocks")


def test_the_command_fails_where_a_block_leaves(run, exported, small_checkpoint: Path, tmp_path: Path):
    """A constant of the weights' file is changed, and the file's hash with it."""
    folder = Path(shutil.copytree(exported(find_target("openvino"), "float32", "matmul").folder, tmp_path / "bundle"))
    weights = folder / "s2mnet.bin"
    values = np.fromfile(weights, np.float32)
    large = np.flatnonzero((np.abs(values) > 0.05) & (np.abs(values) < 1))
    values[large[: len(large) // 2]] *= np.float32(1.01)
    values.tofile(weights)
    reseal(folder)
    page = tmp_path / "located.html"
    words = ("parity", folder, "--checkpoint", small_checkpoint, "--locate", "--limit", 1)
    code, out, err = run(*words, "--json", "--out", page)
    assert code == 1, err
    values = json.loads(out)
    assert "is the first block that leaves its tolerance" in page.read_text()
    assert "encoder.0.receptive" in page.read_text()
    assert values["first_block"] in ("stem", "encoder.0.down")
    assert values["first_operator"] is not None
    assert "error: openvino float32: " in err
