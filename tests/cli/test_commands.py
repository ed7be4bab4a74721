"""The commands as a user meets them: results on stdout, one-line errors on stderr, the right exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import heed_interrupts
from s2m_edge.errors import S2MEdgeError
from s2m_edge.installation import install_command
from s2m_edge.targets.registry import target_names
from support import assert_one_line_error


def test_help_names_every_command_and_imports_no_torch():
    program = (
        "import sys; from s2m_edge.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'monai', 'coremltools', 'coreai', 'openvino', 'onnx', 'executorch'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for command in ("export", "predict", "parity", "evaluate", "targets", "info", "doctor"):
        assert command in done.stdout
    assert "not a medical device" in done.stdout


def test_the_installed_command_answers():
    script = Path(sys.executable).parent / "s2m-edge"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("s2m-edge ")


def test_export_writes_a_bundle_and_prints_the_parity_table(onnx_bundle: Path):
    assert (onnx_bundle / "s2mnet.onnx").is_file()
    report = json.loads((onnx_bundle / "parity.json").read_text())
    assert report["passed"]
    assert report["image_count"] == 2


def test_export_as_json_is_nothing_but_json(run, small_checkpoint, onnx_bundle, tmp_path):
    code, out, _ = run(
        "export", "-t", "onnx", "--checkpoint", small_checkpoint, "--images", onnx_bundle.parent.parent / "pictures",
        "--out", tmp_path, "--json", "--spectral", "custom",
    )  # fmt: skip
    values = json.loads(out)
    assert code == 0
    assert values["failures"] == []
    assert values["bundles"][0]["folder"].endswith("small-onnx-float32-custom")
    assert values["bundles"][0]["parity"]["verdict"] == "executed"


def test_predict_writes_mask_and_overlay_in_the_original_size(run, onnx_bundle, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (170, 131, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(rng.integers(0, 255, (99, 150), dtype=np.uint8)).save(tmp_path / "sub" / "a.png")
    code, out, _ = run(
        "predict", onnx_bundle, tmp_path / "a.png", tmp_path / "sub", "--out", tmp_path / "out", "--json"
    )
    values = json.loads(out)
    assert code == 0
    assert [entry["width"] for entry in values["images"]] == [131, 150]
    for entry in values["images"]:
        mask = np.asarray(Image.open(entry["mask"]))
        assert mask.shape == (entry["height"], entry["width"])
        assert set(np.unique(mask)) <= {0, 255}
        assert (mask == 255).sum() == entry["area_pixels"]["polyp"]
        assert Image.open(entry["overlay"]).width == entry["width"]
    assert len({entry["mask"] for entry in values["images"]}) == 2


def test_the_threshold_changes_the_mask(run, onnx_bundle, polyp_images, tmp_path):
    areas = []
    for threshold in ("0", "1"):
        _, out, _ = run("predict", onnx_bundle, polyp_images[0], "--out", tmp_path, "--threshold", threshold, "--json")
        areas.append(json.loads(out)["images"][0]["area_fraction"]["polyp"])
    assert areas == [1.0, 0.0]


def test_one_bad_image_does_not_stop_the_others_but_the_command_fails(run, onnx_bundle, polyp_images, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"junk")
    code, out, err = run(
        "predict", onnx_bundle, tmp_path / "bad.png", polyp_images[0], "--out", tmp_path / "out", "--json"
    )
    assert_one_line_error(code, out, err, "bad.png")
    assert len(json.loads(out)["images"]) == 1


def test_parity_measures_again_and_writes_its_report(run, onnx_bundle, small_checkpoint, tmp_path):
    code, out, _ = run(
        "parity", onnx_bundle, "--checkpoint", small_checkpoint, "--images", onnx_bundle.parent.parent / "pictures",
        "--out", tmp_path / "report.json",
    )  # fmt: skip
    assert code == 0
    assert "passed" in out
    assert json.loads((tmp_path / "report.json").read_text())["passed"]


def test_parity_with_another_checkpoint_is_refused(run, onnx_bundle, tmp_path):
    from s2m_edge.checkpoint import save_checkpoint
    from s2m_edge.network.config import S2MNetConfig
    from s2m_edge.network.model import S2MNet

    save_checkpoint(tmp_path / "other.safetensors", S2MNet(S2MNetConfig.preset("paper", size=96)), {})
    assert_one_line_error(
        *run("parity", onnx_bundle, "--checkpoint", tmp_path / "other.safetensors"), "SHA-256 differs"
    )


def test_a_breached_gate_exits_with_one(run, onnx_bundle, small_checkpoint, monkeypatch):
    from s2m_edge.targets.onnx.run import ONNXRunner

    honest = ONNXRunner.predict
    monkeypatch.setattr(ONNXRunner, "predict", lambda self, fitted: honest(self, fitted) * np.float32(0.9))
    result = run(
        "parity", onnx_bundle, "--checkpoint", small_checkpoint, "--images", onnx_bundle.parent.parent / "pictures"
    )
    assert_one_line_error(*result, "parity failed", ".jpg", "probability error", expected=1)


def test_targets_lists_the_registry(run):
    code, out, _ = run("targets")
    assert code == 0
    for name in target_names():
        assert name in out
    values = json.loads(run("targets", "--json")[1])
    assert [entry["name"] for entry in values] == list(target_names())


def test_info_describes_checkpoints_and_bundles(run, small_checkpoint, onnx_bundle):
    assert json.loads(run("info", small_checkpoint, "--json")[1])["network"]["size"] == 96
    bundle = json.loads(run("info", onnx_bundle, "--json")[1])
    assert bundle["parity"]["passed"] is True
    assert "Research use only" in run("info", onnx_bundle)[1]


def test_info_is_of_the_bundled_checkpoint_also_beside_a_folder_of_its_name(run, tmp_path, monkeypatch):
    (tmp_path / "vessel").mkdir()
    monkeypatch.chdir(tmp_path)
    assert json.loads(run("info", "vessel", "--json")[1])["kind"] == "checkpoint"


def test_doctor_says_what_is_here_and_what_would_get_the_rest(run, monkeypatch):
    import s2m_edge.versions as versions

    honest = versions.installed_version
    monkeypatch.setattr(versions, "installed_version", lambda name: None if name == "openvino" else honest(name))
    values = json.loads(run("doctor", "--json")[1])
    row = next(row for row in values["packages"] if row["name"] == "openvino")
    assert row["state"] == "missing"
    assert row["remedy"] == install_command("openvino")
    assert next(row for row in values["packages"] if row["name"] == "torch")["state"] == "ok"
    assert values["telemetry"].startswith("off")
    assert {"name": "NIfTI", "readable": True, "remedy": ""} in values["formats"]
    printed = run("doctor")[1]
    assert "telemetry: off" in printed
    assert "DICOM (JPEG-LS)" in printed


def test_doctor_names_the_programs_that_some_commands_need(run, monkeypatch, tmp_path):
    monkeypatch.setattr("s2m_edge.native.find_compiler", lambda: None)
    monkeypatch.setattr("s2m_edge.native.find_cmake", lambda: str(tmp_path / "cmake"))
    rows = {row["name"]: row for row in json.loads(run("doctor", "--json")[1])["programs"]}
    assert set(rows) == {"C++ compiler", "CMake", "Node.js"}
    assert rows["CMake"]["path"] == str(tmp_path / "cmake")
    assert rows["C++ compiler"]["path"] is None
    assert "apt install g++ cmake" in rows["C++ compiler"]["remedy"]
    assert rows["Node.js"]["path"] or "[web]" in rows["Node.js"]["remedy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], ["no target", "--target"]),
        (["export", "-t", "tflite"], ["tflite", "executorch, coreml, coreai, openvino, onnx"]),
        (["export", "-t", "onnx", "--precision", "int4"], ["int4", "float32 or float16"]),
        (["export", "-t", "onnx", "--spectral", "fft"], ["fft", "matmul or custom"]),
        (["benchmark", "--spectral", "fft"], ["fft", "matmul or custom, or all"]),
        (["benchmark", "--precision", "int4"], ["int4", "or all"]),
        (["export", "-t", "executorch", "--precision", "float16"], ["executorch", "float16"]),
        (["export", "-t", "onnx", "--checkpoint", "absent.safetensors"], ["absent.safetensors"]),
        (["export", "-t", "onnx", "--size", "100"], ["multiple of 32"]),
        (["export", "-t", "onnx", "--images", "absent"], ["no folder"]),
        (["export", "--nonsense"], ["--nonsense", "--help"]),
        (["predict", "absent", "image.png"], ["not a bundle"]),
        (["parity", "absent"], ["not a bundle"]),
        (["info", "absent"], ["no checkpoint"]),
        (["nonsense"], ["nonsense"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_request_gets_one_line_with_its_remedy_and_exit_code_2(
    run, arguments, words, tmp_path, monkeypatch, small_checkpoint
):
    monkeypatch.chdir(tmp_path)
    if "--size" in arguments:
        arguments = [*arguments, "--checkpoint", str(small_checkpoint)]
    assert_one_line_error(*run(*arguments), *words)


def test_a_folder_without_images_is_refused(run, onnx_bundle, tmp_path):
    assert_one_line_error(*run("predict", onnx_bundle, tmp_path), "holds no images")
    assert_one_line_error(
        *run("export", "-t", "onnx", "--images", tmp_path, "--out", tmp_path / "o"), "holds no images"
    )


def test_an_unwritable_output_is_refused_before_any_work(run, small_checkpoint, onnx_bundle, polyp_images, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    result = run("export", "-t", "onnx", "--checkpoint", small_checkpoint, "--out", blocked / "exports")
    assert_one_line_error(*result, "cannot be written")
    assert_one_line_error(*run("predict", onnx_bundle, polyp_images[0], "--out", blocked / "o"), "cannot be written")


def test_a_folder_that_is_no_bundle_is_not_overwritten(run, small_checkpoint, tmp_path):
    precious = tmp_path / "small-onnx-float32"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    result = run("export", "-t", "onnx", "--checkpoint", small_checkpoint, "--out", tmp_path)
    assert_one_line_error(*result, "not a bundle")
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_a_bundle_from_a_newer_version_is_refused(run, onnx_bundle, polyp_images, tmp_path):
    values = json.loads((onnx_bundle / "contract.json").read_text())
    (tmp_path / "contract.json").write_text(json.dumps({**values, "schema_version": 99}))
    assert_one_line_error(*run("predict", tmp_path, polyp_images[0]), "newer", "Update s2m-edge")


def test_an_unforeseen_failure_is_one_line_too_and_no_wrong_request(run, monkeypatch):
    import s2m_edge.targets.registry as registry

    def broken(self):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(registry.Target, "version", broken)
    assert_one_line_error(*run("targets"), "unexpected RuntimeError", "first line", "doctor", expected=70)


def test_a_missing_backend_names_the_command_that_gets_it(run, monkeypatch, small_checkpoint):
    import s2m_edge.targets.registry as registry

    monkeypatch.setattr(registry.Target, "version", lambda self: None)
    assert_one_line_error(*run("export", "-t", "coreml"), install_command("coreml"))


def test_an_interrupt_inside_generated_code_exits_with_130_too(tmp_path: Path):
    """Started with -m, CPython alone would end such a process by SIGINT."""
    (tmp_path / "stopped.py").write_text(
        "from s2m_edge.cli import main as entry\n"
        "def interrupted(**options): exec('raise KeyboardInterrupt')\n"
        "entry.app = interrupted\n"
        "entry.main([])\n"
    )
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 130
    assert "interrupted" in done.stderr


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=lambda sign: sign.name)
def test_an_interrupt_during_lowering_exits_with_its_code_and_leaves_nothing(
    sign, small_checkpoint, tmp_path, polyp_images
):
    """A real process, a real signal, in the middle of a real lowering."""
    out = tmp_path / "exports"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "s2m_edge.cli.main",
            "export",
            "-t",
            "executorch",
            "--out",
            str(out),
            "--checkpoint",
            str(small_checkpoint),
            "--images",
            str(polyp_images[0].parent),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=heed_interrupts,
    )
    deadline = time.monotonic() + 240
    # The private folder appears when lowering begins.
    while not list(out.glob(".*partial*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    assert process.poll() is None, process.communicate()
    process.send_signal(sign)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 128 + sign, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not out.exists()


def test_every_error_of_the_family_is_one_line():
    error = S2MEdgeError("a cause\nover lines", "and a   remedy.")
    assert str(error) == "a cause over lines. and a remedy."
