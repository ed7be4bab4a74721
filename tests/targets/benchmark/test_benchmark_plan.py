"""What takes part: whatever the registry has, refusals for what was named, remarks for the rest."""

from __future__ import annotations

import pytest

from s2m_edge.errors import CapabilityError, ContractError, MissingBackendError
from s2m_edge.targets.benchmark import bundles as module
from s2m_edge.targets.benchmark.bundles import export_entries, find_bundles, given_entries, require_same_network
from s2m_edge.targets.benchmark.plan import Combination, make_plan
from s2m_edge.targets.export import bundle_name
from s2m_edge.targets.registry import TARGETS, Target, find_target
from s2m_edge.versions import tool_versions


def names(plan):
    return [(entry.target.name, entry.precision, entry.spectral) for entry in plan.combinations]


def test_by_default_every_target_whose_times_mean_something_takes_part_with_every_lowering_it_has():
    expected = [
        (target.name, "float32", lowering.name)
        for target in TARGETS
        for lowering in target.lowerings
        if not target.slow_runtime
    ]
    plan = make_plan(None)
    assert names(plan) == expected
    assert any("-t coreai" in remark for remark in plan.remarks)
    assert "coreai" in {target for target, _, _ in names(make_plan([find_target("coreai")]))}


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
    assert any("pip install 's2m-edge[openvino]'" in remark for remark in plan.remarks)
    with pytest.raises(MissingBackendError):
        make_plan([find_target("openvino")])


def test_without_any_backend_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(Target, "version", lambda self: None)
    with pytest.raises(CapabilityError, match="no installed target"):
        make_plan(None)


@pytest.fixture
def exported(small_model, small_checkpoint, polyp_images, tmp_path):
    """A folder with an ONNX bundle of the small checkpoint, its combination, and the checkpoint's header."""
    from s2m_edge.checkpoint import read_header

    header = read_header(small_checkpoint)
    combination = Combination(find_target("onnx"), "float32", "matmul")
    entries, breaches = export_entries(
        [combination], small_model, header, polyp_images[:1], tmp_path, lambda step, done, total: None
    )
    assert not breaches
    assert not entries[0].failure
    return tmp_path, combination, header, entries[0]


def test_a_bundle_is_exported_once_and_again_after_an_upgrade(exported, small_model, polyp_images, monkeypatch):
    folder, combination, header, first = exported
    calls = []
    monkeypatch.setattr(module, "export_bundle", lambda *arguments, **options: calls.append(options["out"]))

    def again():
        notify = lambda step, done, total: None  # noqa: E731
        return export_entries([combination], small_model, header, polyp_images[:1], folder, notify)[0][0]

    assert again() == first
    assert calls == []
    assert first.artifact_bytes == (first.contender.source / "s2mnet.onnx").stat().st_size
    monkeypatch.setattr(module, "tool_versions", lambda: {**tool_versions(), "torch": "0.0"})
    again()
    assert calls == [folder / bundle_name(header, combination.target, 96, "float32", "matmul")]


def test_given_bundles_must_be_of_the_checkpoint_and_of_one_size(exported, tmp_path):
    from s2m_edge.checkpoint import read_header

    folder, combination, header, _ = exported
    found = find_bundles([folder])
    assert [bundle.folder for bundle in found] == [bundle.folder for bundle in find_bundles([found[0].folder])]
    assert require_same_network(found, header, None) == 96
    with pytest.raises(ContractError, match="96, 128"):
        require_same_network(found, header, 128)
    with pytest.raises(ContractError, match="another checkpoint"):
        require_same_network(found, read_header(None), None)
    entries, others = given_entries([*found, *found], [combination])
    assert len({entry.contender.title for entry in entries}) == 2
    assert others == []
    with pytest.raises(CapabilityError, match="none of the bundles"):
        given_entries(found, [Combination(combination.target, "float16", "matmul")])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ContractError, match="holds none"):
        find_bundles([empty])
