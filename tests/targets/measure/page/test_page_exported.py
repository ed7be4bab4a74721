"""The page that every bundle carries: made of what the export measured, about that bundle alone."""

from __future__ import annotations

import getpass
from pathlib import Path

import numpy as np
import pytest

from networks import plain_u_net
from s2m_edge.checkpoint import load_model, network_spec, read_header
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.contract import read_contract
from s2m_edge.errors import ContractError, ParityError
from s2m_edge.targets.base import Runner
from s2m_edge.targets.export import export_bundle, export_targets
from s2m_edge.targets.measure.page import REPORT_FILE, exported
from s2m_edge.targets.registry import find_target
from support import assert_one_line_error

pytest.importorskip("onnxruntime")
ONNX = find_target("onnx")


def page_in(folder: Path) -> str:
    return (folder / REPORT_FILE).read_text(encoding="utf-8")


def test_it_is_one_of_the_bundles_files_and_says_what_was_found(polyp_images: list[Path], tmp_path: Path):
    network, spec = plain_u_net(64, 96)
    out = tmp_path / "bundle"
    result = export_bundle(ONNX, network, spec, images=polyp_images[:3], out=out)
    page = page_in(out)
    assert REPORT_FILE in read_contract(out).files
    assert "Passed." in page
    assert f"{result.parity.worst.max_probability_error:.1e}" in page
    assert all(digest in page for name, digest in read_contract(out).files.items() if name != REPORT_FILE)
    assert page.count("data:image/") == 2 * 4, "the worst and a typical one: picture, reference, artifact, difference"
    (out / REPORT_FILE).write_text("something else")
    with pytest.raises(ContractError, match="SHA-256 differs"):
        open_bundle(out)


def test_nothing_is_run_for_it_again(polyp_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network, spec = plain_u_net(64, 96)
    asked: list[bytes] = []
    runner = type(
        _runner_of(export_bundle(ONNX, network, spec, images=polyp_images[:2], out=tmp_path / "first").folder)
    )
    honest = runner.predict

    def counting(self: Runner, image: np.ndarray) -> np.ndarray:
        asked.append(image.tobytes())
        return honest(self, image)

    monkeypatch.setattr(runner, "predict", counting)
    export_bundle(ONNX, network, spec, images=polyp_images[:2], out=tmp_path / "second")
    assert len(asked) == len(set(asked)) == 2


def _runner_of(folder: Path) -> Runner:
    from s2m_edge.targets.opening import open_runner

    return open_runner(open_bundle(folder))


def test_what_the_gate_did_not_take_is_not_shown_as_if_it_had(polyp_images: list[Path], tmp_path: Path):
    network, spec = plain_u_net(64, 96)
    result = export_bundle(ONNX, network, spec, images=polyp_images[:3], out=tmp_path / "bundle", limit=1)
    assert len(result.parity.images) == 1
    page = page_in(tmp_path / "bundle")
    assert "the one recorded input that was run" in page
    assert page.count("data:image/") == 4


def test_the_spectra_are_measured_once_for_all_targets(
    polyp_images: list[Path], small_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network, spec = load_model(small_checkpoint), network_spec(read_header(small_checkpoint))
    measured: list[int] = []
    honest = exported.stage_spectra

    def counting(model: object, images: list) -> list:
        measured.append(len(images))
        return honest(model, images)  # type: ignore[arg-type]

    monkeypatch.setattr(exported, "stage_spectra", counting)
    targets = [find_target(name) for name in ("onnx", "openvino")]
    results, failures = export_targets(targets, network, spec, images=polyp_images[:2], out=tmp_path)
    assert failures == []
    assert measured == [2]
    parameters = f"{sum(one.numel() for one in network.parameters()) / 1e6:.2f} million parameters"
    for result in results:
        assert parameters in page_in(result.folder)
        assert "energy" in page_in(result.folder)
        assert f"s2m-edge export --checkpoint {small_checkpoint.name} --target {result.parity.target}" in page_in(
            result.folder
        )


def test_no_path_of_the_machine_that_made_it_goes_along(polyp_images: list[Path], tmp_path: Path):
    network, spec = plain_u_net(64, 96)
    export_bundle(ONNX, network, spec, images=polyp_images[:2], out=tmp_path / "bundle")
    page = page_in(tmp_path / "bundle")
    assert str(tmp_path) not in page
    assert str(polyp_images[0].parent) not in page
    assert str(Path.home()) not in page
    assert f"/{getpass.getuser()}/" not in page
    assert "s2m-edge export --target onnx --precision float32" in page


def test_the_page_of_an_artifact_that_failed_lies_with_it(
    polyp_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network, spec = plain_u_net(64, 96)
    runner = type(
        _runner_of(export_bundle(ONNX, network, spec, images=polyp_images[:1], out=tmp_path / "sound").folder)
    )
    honest = runner.predict
    monkeypatch.setattr(runner, "predict", lambda self, image: np.clip(honest(self, image) + 0.01, 0, 1))
    with pytest.raises(ParityError):
        export_bundle(ONNX, network, spec, images=polyp_images[:1], out=tmp_path / "bundle")
    page = page_in(tmp_path / "bundle.failed")
    assert "FAILED its gate" in page
    assert "BREACHED" in page


def test_a_page_written_later_does_not_take_its_place(run, polyp_images: list[Path], tmp_path: Path):
    network, spec = plain_u_net(64, 96)
    folder = export_bundle(ONNX, network, spec, images=polyp_images[:1], out=tmp_path / "bundle").folder
    assert_one_line_error(*run("report", folder, "--out", folder / REPORT_FILE), "would lie in the bundle", "--out")
    open_bundle(folder)
