"""What takes part: whatever the registry has, refusals for what was named, remarks for the rest."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.errors import CapabilityError, ContractError, MissingBackendError
from s2m_edge.installation import install_command
from s2m_edge.targets.measure.benchmark import exports, reuse
from s2m_edge.targets.measure.benchmark.exports import (
    common_size,
    export_entries,
    find_bundles,
    given_entries,
    kept_lines,
    look_up,
    other_networks,
)
from s2m_edge.targets.measure.benchmark.plan import Combination, make_plan
from s2m_edge.targets.measure.benchmark.progress import Pace
from s2m_edge.targets.registry import TARGETS, Target, find_target
from s2m_edge.versions import tool_versions


def names(plan):
    return [(entry.target.name, entry.precision, entry.spectral) for entry in plan.combinations]


def test_by_default_every_target_whose_times_mean_something_takes_part_with_its_default_lowering():
    fast = [target for target in TARGETS if not target.slow_runtime]
    plan = make_plan(None)
    assert names(plan) == [(target.name, "float32", target.default_lowering) for target in fast]
    both = make_plan(None, spectral=["matmul", "custom"])
    assert names(both) == [(target.name, "float32", entry.name) for target in fast for entry in target.lowerings]
    assert any("-t coreai" in remark for remark in plan.remarks)
    assert "coreai" in {target for target, _, _ in names(make_plan([find_target("coreai")]))}


def test_what_runs_elsewhere_alone_can_be_left_out_with_a_remark(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    plan = make_plan(None, executed=True)
    assert "coreml" not in {target for target, _, _ in names(plan)}
    assert "left out: coreml is executed on Darwin only" in plan.remarks
    assert "coreml" in {target for target, _, _ in names(make_plan([find_target("coreml")], executed=True))}


def test_what_a_target_lacks_is_left_out_with_a_remark_unless_it_was_named():
    plan = make_plan(None, ["float16"], ["matmul"])
    assert "executorch" not in {target for target, _, _ in names(plan)}
    assert any("the target executorch has no precision 'float16'" in remark for remark in plan.remarks)
    with pytest.raises(CapabilityError, match="float16"):
        make_plan([find_target("executorch")], ["float16"])


def test_a_backend_that_is_not_installed_is_left_out_with_a_remark_unless_it_was_named(monkeypatch):
    version = Target.version
    monkeypatch.setattr(Target, "version", lambda self: None if self.name == "openvino" else version(self))
    plan = make_plan(None)
    assert "openvino" not in {target for target, _, _ in names(plan)}
    assert any(install_command("openvino") in remark for remark in plan.remarks)
    with pytest.raises(MissingBackendError):
        make_plan([find_target("openvino")])


def test_without_any_backend_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(Target, "version", lambda self: None)
    with pytest.raises(CapabilityError, match="no installed target"):
        make_plan(None)


@pytest.fixture(scope="module")
def exported_once(small_checkpoint, polyp_images, tmp_path_factory):
    """A folder with an ONNX bundle of the small checkpoint, its combination, and the checkpoint's header."""
    folder, header = tmp_path_factory.mktemp("kept"), read_header(small_checkpoint)
    combination = Combination(find_target("onnx"), "float32", "matmul")
    _, breaches = export_entries(look_up([combination], header, 96, folder), 96, polyp_images[:1], Pace())
    assert not breaches
    return folder, combination, header


@pytest.fixture
def exported(exported_once, tmp_path):
    """The same, a copy for one test, and the bundle's entry."""
    once, combination, header = exported_once
    folder = shutil.copytree(once, tmp_path / "kept")
    (entry,), _ = export_entries(look_up([combination], header, 96, folder), 96, [], Pace())
    assert not entry.failure
    return folder, combination, header, entry


def test_a_bundle_is_exported_once(exported, polyp_images, monkeypatch):
    folder, combination, header, first = exported
    monkeypatch.setattr(exports, "export_bundle", lambda *arguments, **options: pytest.fail("exported again"))
    kept = look_up([combination], header, 96, folder)
    assert kept_lines(kept, folder) == [f"taken from {folder}: onnx float32 matmul"]
    (again,), _ = export_entries(kept, 96, polyp_images[:1], Pace())
    assert again == first
    assert first.artifact_bytes == (first.contender.source / "s2mnet.onnx").stat().st_size


def test_what_is_not_there_is_exported_and_that_is_said_before(small_checkpoint, tmp_path):
    kept = look_up([Combination(find_target("onnx"), "float32", "custom")], read_header(small_checkpoint), 96, tmp_path)
    assert kept_lines(kept, tmp_path) == [f"exported to {tmp_path}: onnx float32 custom"]


def upgrade_torch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "tool_versions", lambda: {**tool_versions(), "torch": "0.0"})


def change_the_exporter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "exporter_digest", lambda target: "another")


def damage_the_artifact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "s2mnet.onnx").open("ab") as file:
        file.write(b"more")


def withdraw_the_proof(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = json.loads((folder / CONTRACT_FILE).read_text())
    contract["parity"]["passed"] = False
    (folder / CONTRACT_FILE).write_text(json.dumps(contract))


def train_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of the same name has other weights."""
    monkeypatch.setattr(exports, "network_spec", lambda *given: replace(network_spec(*given), weights_sha256="0" * 64))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (upgrade_torch, "made with torch .*, now 0.0"),
        (change_the_exporter, "the exporter's sources changed"),
        (damage_the_artifact, "s2mnet.onnx .*SHA-256 differs"),
        (withdraw_the_proof, "gate"),
        (train_on, "its weights differ"),
    ],
)
def test_a_stale_bundle_is_exported_anew_and_the_reason_is_said(exported, monkeypatch, change, reason):
    folder, combination, header, first = exported
    change(first.contender.source, monkeypatch)
    (line,) = kept_lines(look_up([combination], header, 96, folder), folder)
    assert re.fullmatch(rf"exported anew: onnx float32 matmul \(.*{reason}.*\)", line)


def test_another_targets_backend_makes_no_bundle_stale(exported, monkeypatch):
    folder, combination, header, _ = exported
    monkeypatch.setattr(reuse, "tool_versions", lambda: {**tool_versions(), "openvino": "0.0"})
    assert look_up([combination], header, 96, folder)[0].reason is None


def test_a_given_bundle_that_did_not_pass_its_gate_is_refused(exported, monkeypatch):
    folder, *_, first = exported
    withdraw_the_proof(first.contender.source, monkeypatch)
    with pytest.raises(ContractError, match="gate"):
        find_bundles([folder])


def test_given_bundles_of_the_checkpoint_must_be_of_one_size_and_others_are_other_networks(
    exported, small_model, tmp_path
):
    folder, combination, header, _ = exported
    found = find_bundles([folder])
    assert [bundle.folder for bundle in found] == [bundle.folder for bundle in find_bundles([found[0].folder])]
    assert common_size(found, header, None) == 96
    with pytest.raises(ContractError, match="96, 128"):
        common_size(found, header, 128)
    assert common_size(found, read_header(None), None) is None
    stranger = given_entries(found, [combination], read_header(None))[0][0].contender
    assert (stranger.network, stranger.title) == ("small", "small, onnx float32 matmul")
    assert other_networks(found)["small"].parameters == sum(value.numel() for value in small_model.parameters())
    entries, others = given_entries([*found, *found], [combination], header)
    assert len({entry.contender.title for entry in entries}) == 2
    assert others == []
    with pytest.raises(CapabilityError, match="none of the bundles"):
        given_entries(found, [Combination(combination.target, "float16", "matmul")], header)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ContractError, match="holds none"):
        find_bundles([empty])
