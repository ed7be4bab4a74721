"""The bundle that an app starts from: exported once, found afterwards, and never taken when damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from s2m_edge.apps.prepare import find_bundle, find_or_export_bundle
from s2m_edge.checkpoint import read_header
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.errors import CapabilityError, CheckpointError, OutputError
from s2m_edge.targets.registry import find_target

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exports(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bundle that `find_or_export_bundle` exported."""
    folder = tmp_path_factory.mktemp("apps") / "exports"
    steps: list[str] = []
    bundle = find_or_export_bundle(
        "onnx", small_checkpoint, "float16", folder=folder, notify=lambda step, done, total: steps.append(step)
    )
    assert bundle.folder == folder / "small-onnx-float16"
    assert {"lowering", "parity"} <= set(steps)
    return folder


def find(folder: Path, checkpoint: Path) -> Bundle | None:
    target = find_target("onnx")
    return find_bundle(folder, target, read_header(checkpoint), "float16", target.default_lowering, 96)


def test_a_missing_bundle_is_exported_with_its_parity_gate(exports: Path):
    bundle = open_bundle(exports / "small-onnx-float16")
    assert bundle.contract.precision == "float16"
    assert json.loads((bundle.folder / "parity.json").read_text())["passed"] is True


def test_a_bundle_that_is_there_is_found_under_any_name_without_work(
    small_checkpoint: Path, exports: Path, tmp_path: Path
):
    shutil.copytree(exports / "small-onnx-float16", tmp_path / "anything")
    steps: list[str] = []
    bundle = find_or_export_bundle(
        "onnx", small_checkpoint, "float16", folder=tmp_path, notify=lambda step, done, total: steps.append(step)
    )
    assert bundle.folder == tmp_path / "anything"
    assert steps == []


@pytest.mark.parametrize("harm", ["artifact", "contract", "failed gate", "another checkpoint", "nothing"])
def test_a_bundle_that_is_damaged_or_of_another_network_is_not_taken(
    harm: str, small_checkpoint: Path, exports: Path, tmp_path: Path
):
    folder = tmp_path / "small-onnx-float16"
    shutil.copytree(exports / "small-onnx-float16", folder)
    contract = folder / "contract.json"
    if harm == "artifact":
        path = folder / "s2mnet.onnx"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "contract":
        contract.write_text("{")
    elif harm == "failed gate":
        values = json.loads(contract.read_text())
        values["parity"]["passed"] = False
        contract.write_text(json.dumps(values))
    elif harm == "another checkpoint":
        values = json.loads(contract.read_text())
        values["network"]["weights_sha256"] = "0" * 64
        contract.write_text(json.dumps(values))
    assert (find(tmp_path, small_checkpoint) is not None) == (harm == "nothing")


def test_what_cannot_be_had_is_refused_before_any_work(small_checkpoint: Path, tmp_path: Path):
    with pytest.raises(CapabilityError):
        find_or_export_bundle("tflite", small_checkpoint, folder=tmp_path)
    with pytest.raises(CapabilityError):
        find_or_export_bundle("executorch", small_checkpoint, "float16", folder=tmp_path)
    with pytest.raises(CheckpointError):
        find_or_export_bundle("onnx", tmp_path / "absent.safetensors", folder=tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        find_or_export_bundle("onnx", small_checkpoint, folder=tmp_path / "file" / "exports")
