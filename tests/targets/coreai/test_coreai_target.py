"""What is particular to the Core AI target: constants stored once, the Metal kernel and its composite twin."""

from __future__ import annotations

import asyncio
import gc
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s2m_edge.checkpoint import network_spec, read_header
from s2m_edge.errors import CapabilityError, ImageError, LoweringError, MissingBackendError
from s2m_edge.targets.base import example_image
from s2m_edge.targets.export import ExportResult, export_bundle
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.registry import find_target
from support import SPECTRAL_STAGES, Case, lowering_request, make_case

TARGET = find_target("coreai")
if TARGET.version() is None:
    pytest.skip("coreai-torch is not installed", allow_module_level=True)

from s2m_edge.targets.coreai.metal import kernel_body, require_kernel_fits  # noqa: E402
from s2m_edge.targets.coreai.run import CoreAIRunner  # noqa: E402
from s2m_edge.targets.coreai.spectral import with_constant_filters  # noqa: E402
from s2m_edge.targets.rewrites import fold_batch_norm  # noqa: E402

METADATA = {"name": "S2M-Net é", "licence": "MIT", "description": "A test.", "notice": 'Research use only: "not" a <d>'}


@dataclass(frozen=True)
class Exported:
    """A grey case of three classes, float32, as an asset, and what the export printed and warned of."""

    case: Case
    path: Path
    said: str

    def runner(self, path: Path | None = None, case: Case | None = None) -> CoreAIRunner:
        interface = TARGET.make_exporter().interface
        return CoreAIRunner(path or self.path, interface, (case or self.case).preprocessing, "float32")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    import contextlib
    import io

    case, said = make_case(classes=3, channels=1), io.StringIO()
    request = lowering_request(case.model, "float32", "matmul", case.preprocessing, METADATA)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        path = TARGET.make_exporter().export(request, tmp_path_factory.mktemp("float32"))
    return Exported(case, path, said.getvalue())


@pytest.fixture(scope="module")
def custom(small_model, small_checkpoint, polyp_images, tmp_path_factory: pytest.TempPathFactory) -> ExportResult:
    """A bundle in half precision with the Metal kernel; two pictures are offered to its gate."""
    return export_bundle(
        TARGET,
        small_model,
        network_spec(read_header(small_checkpoint)),
        precision="float16",
        spectral="custom",
        images=polyp_images[:2],
        out=tmp_path_factory.mktemp("custom") / "bundle",
    )


@pytest.fixture
def copied(exported: Exported, tmp_path: Path) -> Path:
    """A copy of the float32 asset to be damaged."""
    return Path(shutil.copytree(exported.path, tmp_path / exported.path.name))


def constants_of(model: Any) -> int:
    """Values that an asset of `model` has to hold: folded weights, and each of the transform's constants once."""
    image = example_image(model.config.in_channels, model.config.size, model.config.size)
    return sum(tensor.numel() for tensor in with_constant_filters(fold_batch_norm(model), image).state_dict().values())


def size_of(asset: Path) -> int:
    return sum(file.stat().st_size for file in asset.iterdir())


def test_a_grey_uint8_picture_goes_in_and_three_classes_come_out(exported: Exported) -> None:
    assert exported.said == ""
    runner = exported.runner()
    found = runner.predict(exported.case.fitted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exported.case.expected, rtol=0, atol=1e-5)
    assert (runner.verdict, runner.remark) == ("executed", "")
    assert "Core AI" in runner.device
    assert runner.observations() == {"metal_kernel_calls": 0, "composite_twin_executed": False}


def test_each_constant_is_stored_once(exported: Exported, custom: ExportResult, small_model) -> None:
    assert 1 < size_of(exported.path) / (4 * constants_of(exported.case.model)) < 1.02
    # The kernel's source and the nodes come on top, 50 kB.
    assert 1 < custom.artifact_bytes / (2 * constants_of(small_model)) < 1.05


def test_the_asset_says_what_it_is(exported: Exported) -> None:
    from coreai.authoring import AIModelAsset

    metadata: Any = AIModelAsset.load(exported.path).metadata  # its stub names fewer attributes
    assert (metadata.author, metadata.license, metadata.model_description) == ("s2m-edge", "MIT", "A test.")
    assert metadata.creator_defined_metadata == METADATA
    stored = b"".join(file.read_bytes() for file in exported.path.iterdir())
    assert str(Path(__file__).parents[3]).encode() not in stored, "no paths of this machine"


def test_a_runner_works_inside_an_event_loop_needs_no_file_and_ends_its_thread(
    exported: Exported, copied: Path
) -> None:
    runner = exported.runner(copied)
    shutil.rmtree(copied)

    async def predict(own: CoreAIRunner) -> Any:
        return own.predict(exported.case.fitted)

    np.testing.assert_allclose(asyncio.run(predict(runner)), exported.case.expected, rtol=0, atol=1e-5)
    (thread,) = [entry for entry in threading.enumerate() if entry is runner._loop._thread]
    del runner
    gc.collect()
    assert not thread.is_alive()


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_truncated_program_is_refused_before_the_runtime_reads_it(
    exported: Exported, copied: Path, kept: int
) -> None:
    program = copied / "main.mlirb"
    program.write_bytes(program.read_bytes()[:kept])
    with pytest.raises(LoweringError, match=r"main\.mlirb is damaged.*Export it again"):
        exported.runner(copied)


@pytest.mark.parametrize("name", ["main.mlirb", "main.hash"])
def test_a_missing_file_is_named(exported: Exported, copied: Path, name: str) -> None:
    (copied / name).unlink()
    with pytest.raises(LoweringError, match=f"{name} is missing"):
        exported.runner(copied)


def test_damaged_metadata_is_refused(exported: Exported, copied: Path) -> None:
    (copied / "metadata.json").write_text("{")
    with pytest.raises(LoweringError, match="Export it again"):
        exported.runner(copied)


def test_another_contract_or_picture_is_refused(exported: Exported) -> None:
    larger = replace(exported.case, preprocessing=replace(exported.case.preprocessing, height=128, width=128))
    with pytest.raises(LoweringError, match="the contract says"):
        exported.runner(case=larger)
    runner, fitted = exported.runner(), exported.case.fitted
    for wrong in (fitted[:64], fitted.repeat(3, axis=2), fitted.astype(np.float32)):
        with pytest.raises(ImageError, match="not uint8"):
            runner.predict(wrong)  # type: ignore[arg-type]


def test_the_kernels_bundle_is_not_executed_but_its_twin_is_and_the_report_says_both(custom: ExportResult) -> None:
    report = custom.parity.to_dict()
    assert (report["verdict"], report["passed"]) == ("converted, not executed", True)
    assert "composite twin, executed" in report["remark"]
    assert (report["image_count"], report["images_given"]) == (1, 2)
    assert report["observations"] == {"metal_kernel_calls": len(SPECTRAL_STAGES), "composite_twin_executed": True}
    assert 1e-6 < report["summary"]["max_probability_error"] < 2e-2


def test_the_asset_carries_the_tested_source_and_this_runtime_refuses_it(custom: ExportResult, polyp_images) -> None:
    from coreai.authoring import AIModelAsset
    from coreai.runtime import NDArray, SpecializationOptions

    from s2m_edge.targets.coreai.twin import _kernel_calls

    if SpecializationOptions.is_supported():
        pytest.skip("the system's own runtime executes Metal kernels")
    asset = AIModelAsset.load(custom.folder / "s2mnet.aimodel")
    program = asset.program
    calls = list(_kernel_calls(program))
    assert {kernel_body().replace("STORAGE", "half") in call.attributes["kernel_source"].value for call in calls} == {
        True
    }

    async def run() -> None:
        async with asset.executable() as model:
            await model.load_function("main")({"image": NDArray(np.zeros((1, 96, 96, 3), np.uint8))})

    with pytest.raises(RuntimeError, match=r"Unresolved symbol: coreai\.metal4_kernel"):
        asyncio.run(run())


def test_a_kernel_of_somebody_else_gets_no_twin(custom: ExportResult, monkeypatch: pytest.MonkeyPatch) -> None:
    from s2m_edge.deploy.bundle import open_bundle

    monkeypatch.setattr("s2m_edge.targets.coreai.twin.KERNEL_NAME", "another_kernel")
    with pytest.raises(LoweringError, match="which is not ours"):
        open_runner(open_bundle(custom.folder))


def test_the_command_prints_the_verdict_its_reason_and_how_many_images(
    custom: ExportResult, small_checkpoint, polyp_images, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    from s2m_edge.cli.main import main

    for image in polyp_images[:3]:
        shutil.copy(image, tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["parity", str(custom.folder), "--checkpoint", str(small_checkpoint), "--images", str(tmp_path)])
    assert not caught.value.code
    said = " ".join(capsys.readouterr().out.split())
    assert "on 1 real image;" in said or "on 1 real image " in said
    assert "converted, not executed" in said
    assert "the gate took 1 of 3 images; its runtime here is an interpreter" in said
    assert "composite twin, executed" in said


def test_half_precision_leaves_the_network_alone(custom: ExportResult, small_model, small_checkpoint) -> None:
    from s2m_edge.checkpoint import load_model

    fresh = load_model(small_checkpoint).state_dict()
    assert {value.dtype for name, value in small_model.state_dict().items() if "num_batches" not in name} == {
        torch.float32
    }
    assert all(torch.equal(value, fresh[name]) for name, value in small_model.state_dict().items())


def test_more_frequencies_than_the_kernel_holds_are_refused_before_any_work() -> None:
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet

    config = S2MNetConfig.preset("paper", size=96)
    require_kernel_fits(S2MNet(config))
    with pytest.raises(CapabilityError, match="--spectral matmul"):
        require_kernel_fits(S2MNet(replace(config, kept_frequencies=40)))


def test_where_there_is_no_package_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import platform

    from s2m_edge.cli.doctor import _examine
    from s2m_edge.cli.options import parse_targets

    absent = replace(TARGET, module="no_such_backend_module")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    with pytest.raises(
        MissingBackendError, match=r"does not exist for Linux aarch64. Use Linux x86_64 or Darwin arm64"
    ):
        absent.require_backend()
    assert TARGET not in parse_targets(["all"])
    findings = _examine()
    assert not [row for row in findings["packages"] if row["name"].startswith("coreai")]
    assert {"only on Linux x86_64 or Darwin arm64"} == {
        row["here"] for row in findings["targets"] if row["name"] == "coreai"
    }
