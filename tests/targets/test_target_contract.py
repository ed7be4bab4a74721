"""One contract that every target in the registry inherits: the same network, saved, reloaded, gives the same answer."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

from networks import plain_u_net
from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.golden import read_golden, reference_logits
from s2m_edge.deploy.interface import ARTIFACT_STEM
from s2m_edge.deploy.precision import PRECISIONS
from s2m_edge.errors import CapabilityError, ContractError, NativeBuildError, ParityError, S2MEdgeError
from s2m_edge.installation import install_command
from s2m_edge.native import find_cmake, find_compiler
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.registry import TARGETS, Lowering, Target, find_target

NO_KERNELS = find_compiler() is None or find_cmake() is None
EVERY_PAIR = "S2M_EDGE_EVERY_PAIR" in os.environ
"""Whether a precision that is not the default is tried with a lowering that is not the default, too: a dozen exports
more. Either is tried with the other's default always, and both are rewrites of their own."""


def reason_against(target: Target, precision: str, lowering: Lowering) -> str:
    """Why a case is not tried; empty where it is."""
    if lowering.kernel and NO_KERNELS:
        return "no compiler or no CMake: its kernel cannot be built"
    if not EVERY_PAIR and precision != target.precisions[0] and lowering.name != target.default_lowering:
        return "neither precision nor lowering is the default: S2M_EDGE_EVERY_PAIR=1 make test tries every pair"
    return ""


CASES = [
    pytest.param(
        target,
        precision,
        lowering.name,
        id=f"{target.name}-{precision}-{lowering.name}",
        marks=[pytest.mark.skip(reason=why)] if (why := reason_against(target, precision, lowering)) else [],
    )
    for target in TARGETS
    for precision in target.precisions
    for lowering in target.lowerings
]


def computes_bfloat16() -> bool:
    """Whether OpenVINO's CPU plugin does on this processor, with instructions or by emulation: with AVX-512."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize(("target", "precision", "spectral"), CASES)
def test_an_exported_bundle_is_complete_and_keeps_its_gate(exported, target, precision, spectral):
    result = exported(target, precision, spectral)
    bundle = open_bundle(result.folder)
    names = {path.name for path in result.folder.iterdir()}
    assert {"contract.json", "golden.safetensors", "parity.json", "README.md", "report.html"} <= names
    assert bundle.artifact.name == f"s2mnet{target.suffix}"
    assert (bundle.contract.target, bundle.contract.precision, bundle.contract.spectral) == (
        target.name,
        precision,
        spectral,
    )
    report = json.loads((result.folder / "parity.json").read_text())
    assert report["passed"] is True
    assert report["breaches"] == []
    assert (report["image_count"], report["images_given"]) == (len(target.take_for_gate(range(4))), 4)
    needs = next(lowering.needs for lowering in target.lowerings if lowering.name == spectral)
    computes = {"bfloat16": computes_bfloat16(), "float16-mixed": False}  # no CPU provider computes in float16
    executed = not needs and computes.get(precision, True)
    assert report["verdict"] in ({"executed", "artifact parity"} if executed else {"converted, not executed"})
    assert bool(report["remark"]) != executed, "figures that are not the artifact's own have to say so"
    assert report["hashes"]["weights"] == bundle.contract.weights_sha256
    assert report["tools"]["torch"]
    artifact = bundle.contract.values["artifact"]["file"].split(".")[0]
    sizes = {name: (result.folder / name).stat().st_size for name in bundle.contract.files}
    assert result.artifact_bytes == sum(size for name, size in sizes.items() if name.startswith(artifact))
    assert set(sizes) == {
        path.relative_to(result.folder).as_posix() for path in result.folder.rglob("*") if path.is_file()
    } - {"contract.json"}


@pytest.mark.parametrize(("target", "precision", "spectral"), CASES)
def test_the_golden_outputs_hold_in_a_fresh_runner(exported, small_models, target, precision, spectral):
    bundle = open_bundle(exported(target, precision, spectral).folder)
    golden, metadata = read_golden(bundle.folder / "golden.safetensors")
    assert len(golden) == 3
    assert "cpu" in metadata["device"]
    runner = open_runner(bundle)
    halves = {"float16": 2e-2, "float16-mixed": 2e-2, "bfloat16": 0.1}
    limit = {"float32": 1e-4, **halves, "int8": 0.2, "int8-weights": 0.1, "palette6": 0.3}[precision]
    edge = runner.predict(golden[0].image)
    assert edge.dtype == np.float32
    assert np.abs(edge - probabilities(golden[0].logits)).max() <= limit
    logits = reference_logits(small_models[precision == "int8"], golden[0].image, bundle.contract.preprocessing)
    assert np.allclose(golden[0].logits, logits, atol=1e-5)


@pytest.mark.parametrize(("target", "precision", "spectral"), CASES[:1] + CASES[-1:])
def test_the_network_is_left_as_it_was(exported, small_checkpoints, small_models, target, precision, spectral):
    from s2m_edge.checkpoint import load_model

    exported(target, precision, spectral)
    quantized = precision == "int8"
    fresh = load_model(small_checkpoints[quantized]).state_dict()
    assert all((value == fresh[name]).all() for name, value in small_models[quantized].state_dict().items())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_a_target_does_not_have_is_refused_with_the_reason(target):
    for precision in set(PRECISIONS) - set(target.precisions):
        with pytest.raises(CapabilityError, match="--precision"):
            target.require_capability(precision, target.default_lowering)
    with pytest.raises(CapabilityError, match="--spectral"):
        target.require_capability(target.precisions[0], "fft")


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_kernel_that_cannot_be_built_is_known_before_any_work(target, tmp_path, monkeypatch):
    monkeypatch.setenv("S2M_EDGE_CACHE", str(tmp_path))
    monkeypatch.setattr("s2m_edge.native.find_compiler", lambda: None)
    for lowering in target.lowerings:
        if lowering.kernel:
            with pytest.raises(NativeBuildError, match=r"no C.. compiler here.*--spectral matmul"):
                target.require_kernel(lowering.name)
        else:
            target.require_kernel(lowering.name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_changed_artifact_is_noticed_before_it_runs(exported, target, tmp_path):
    import shutil

    source = exported(target, "float32", target.default_lowering).folder
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    bundle = open_bundle(folder)
    largest = max(
        (folder / name for name in bundle.contract.files if name.startswith(ARTIFACT_STEM)),
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    largest.write_bytes(content)
    with pytest.raises(ContractError, match="SHA-256"):
        open_bundle(folder)
    largest.unlink()
    with pytest.raises(ContractError, match="lacks"):
        open_bundle(folder)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_an_artifact_of_other_weights_breaches_the_gate_and_is_not_published(
    target, polyp_images, tmp_path, monkeypatch
):
    """The gate can fail: hand the exporter a network that differs a little from the reference."""
    from copy import deepcopy

    import torch

    from s2m_edge.targets.base import Exporter

    model, spec = plain_u_net(96, 64)
    changed = deepcopy(model)
    with torch.no_grad():
        changed.head.bias.add_(0.01)  # type: ignore[union-attr]
    honest = Exporter.export

    def swapped(self, request, folder):
        from dataclasses import replace

        return honest(self, replace(request, network=changed), folder)

    monkeypatch.setattr(Exporter, "export", swapped)
    out = tmp_path / "bundle"
    with pytest.raises(ParityError, match=polyp_images[0].name) as caught:
        export_bundle(target, model, spec, precision="float32", images=polyp_images[:1], out=out)
    assert caught.value.exit_code == 1
    assert "probability error" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.failed"]


def test_an_unknown_target_is_refused_with_the_valid_ones():
    with pytest.raises(CapabilityError, match="executorch, coreml, coreai, openvino, onnx"):
        find_target("tflite")


def test_a_missing_backend_is_refused_before_any_work_with_the_command_that_gets_it():
    from dataclasses import replace

    absent = replace(TARGETS[0], module="no_such_backend_module")
    with pytest.raises(S2MEdgeError, match=re.escape(install_command("executorch"))):
        absent.require_backend()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_an_interrupted_lowering_leaves_nothing(
    target, small_checkpoint, small_model, polyp_images, tmp_path, monkeypatch
):
    exporter = type(target.make_exporter())

    def interrupted(self, lowered, path, request):
        path.parent.joinpath("half-written").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "lower", lambda self, request: None)
    monkeypatch.setattr(exporter, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export_bundle(
            target,
            small_model,
            network_spec(read_header(small_checkpoint)),
            precision="float32",
            spectral=target.default_lowering,
            images=polyp_images[:1],
            out=tmp_path / "bundle",
        )
    assert list(tmp_path.iterdir()) == []
