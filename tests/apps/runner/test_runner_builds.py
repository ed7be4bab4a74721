"""The board's program for other machines, in a folder of its own, and against the contract's test vectors."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner_support import run_program
from s2m_edge.apps.runner.build import PROGRAM, CrossBuild, console_runner, find_cross_build, vectors_program
from s2m_edge.cli.main import main
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import reference_logits
from s2m_edge.errors import CapabilityError, NativeBuildError
from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, mask_in_original_size
from s2m_edge.imaging.read import read_image
from s2m_edge.native import build_library, find_cmake, find_compiler
from s2m_edge.network.model import S2MNet
from s2m_edge.targets.measure.parity.compare import compare
from s2m_edge.targets.measure.parity.gates import GATES, breaches

pytest.importorskip("executorch")

VECTORS = Path(__file__).parents[3] / "apps" / "vectors"
needs_compiler = pytest.mark.skipif(
    find_compiler() is None or find_cmake() is None, reason="no C++ compiler or no CMake"
)


@pytest.fixture(scope="module")
def cross() -> CrossBuild:
    row = find_cross_build("aarch64")
    lacking = [name for name in (row.compiler, row.emulator, "cmake") if shutil.which(name) is None]
    if not row.sysroot.is_dir():
        lacking.append(str(row.sysroot))
    if lacking:
        pytest.skip(f"the cross-build cannot be built and run: there is no {', no '.join(lacking)}")
    return row


@needs_compiler
def test_the_contracts_vectors_are_repeated(tmp_path: Path):
    program = build_library(vectors_program())
    done = run_program(program, VECTORS)
    assert done.code == 0, done.out
    assert done.out.endswith(" agree, 0 do not\n")
    assert int(done.out.split()[-5]) > 700
    copy = Path(shutil.copytree(VECTORS, tmp_path / "copy", symlinks=True))
    values = json.loads((copy / "vectors.json").read_text())
    values["cases"][0]["postprocessing"]["threshold"] = 0.51
    (copy / "vectors.json").write_text(json.dumps(values))
    done = run_program(program, copy)
    assert done.code == 1
    assert "same.mask disagrees" in done.out
    (copy / "refusals" / "sound" / "parity.json").write_text("{}")
    assert "refusals/sound ('hash-differs' for '') disagrees" in run_program(program, copy).out


@pytest.mark.slow
def test_a_board_computes_what_the_reference_computes(
    cross: CrossBuild, board_bundles: dict[str, Path], polyp_images: list[Path], small_model: S2MNet, tmp_path: Path
):
    """aarch64, emulated: its kernels, its libraries, its rounding."""
    emulate = cross.emulate()
    assert run_program(*emulate, build_library(vectors_program(cross)), VECTORS).out.endswith(" agree, 0 do not\n")
    program = build_library(console_runner(cross))
    path = tmp_path / "odd.png"
    with Image.open(polyp_images[3]) as picture:
        picture.crop((20, 40, 321, 257)).save(path)
    image, preprocessing = read_image(path), Preprocessing(96, 96)
    reference = probabilities(reference_logits(small_model, fit_to_network(image, preprocessing), preprocessing))
    height, width = image.shape[:2]
    expected = mask_in_original_size(reference, height, width, 0.5)
    assert 0 < expected.mean() < 1
    for spectral, bundle in board_bundles.items():
        arguments = (bundle, path, "--out", tmp_path / spectral, "--probabilities", "--json", "--threads", "1")
        done = run_program(*emulate, program, *arguments, timeout=600)
        assert done.code == 0, done.err
        values = done.values
        assert "aarch64" in values["device"]
        assert values["self_test"]["passed"] is True
        (entry,) = values["images"]
        figures = compare(spectral, reference, np.load(entry["probabilities"]), 0.5, entry["network_milliseconds"])
        assert not breaches(GATES["float32"], figures)
        mask = np.asarray(Image.open(entry["mask"])) == 255
        assert (mask == (expected == 1)).mean() >= GATES["float32"].mask_agreement


def test_the_folder_for_a_board_runs_with_its_own_libraries(
    native_program: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "board"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "board", str(bundle), "--out", str(out), "--json"])
    assert ended.value.code == 0
    values = json.loads(capsys.readouterr().out)
    assert values["run"]["self_test"]["passed"] is True
    assert len(values["run"]["images"]) == 3
    linked = subprocess.run(["ldd", str(out / PROGRAM)], capture_output=True, text=True, check=True).stdout
    ours = [line for line in linked.splitlines() if "libexecutorch" in line]
    assert len(ours) >= 4
    assert all(str(out / "lib") in line for line in ours), linked


def test_a_failed_self_test_of_the_board_folder_fails_the_command(
    native_program: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    values = json.loads((copy / "contract.json").read_text())
    values["parity"]["gate"]["probability_error"] = 1e-12
    (copy / "contract.json").write_text(json.dumps(values))
    with pytest.raises(SystemExit) as ended:
        main(["demo", "board", str(copy), "--out", str(tmp_path / "board")])
    assert ended.value.code == 1
    assert "self-test failed" in capsys.readouterr().err


def test_another_architecture_and_another_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CapabilityError, match="Choose --arch aarch64"):
        find_cross_build("riscv64")
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    with pytest.raises(NativeBuildError, match="apt install g\\+\\+-aarch64-linux-gnu"):
        vectors_program(find_cross_build("aarch64"))
