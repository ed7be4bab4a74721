"""`s2m-edge serve` with a real bundle: a series goes in by dcmtk, a DICOM segmentation of it comes out."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from command_line import Run
from phantoms import headers, stack
from s2m_edge.apps.server.segment import require_self_test
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.errors import ParityError
from s2m_edge.imaging.results.codes import TABLE_PATH
from s2m_edge.targets.opening import open_runner
from server_support import DEADLINE, archive, free_port, program, started, until, write_slices

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; the extra serve has it")
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


@pytest.fixture(scope="module")
def bundle(foreign: Any, export_foreign: Callable[[Any, str], Bundle]) -> Path:
    """A bundle of a network of no known data, so that the codes of its class have to be given."""
    return export_foreign(foreign, "onnx").folder


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codes") / "codes.json"
    path.write_text(json.dumps(json.loads(TABLE_PATH.read_text())["polyp"]))
    return path


def series(folder: Path) -> list[pydicom.Dataset]:
    """An MR series of a patient, with noise in it, as files."""
    found = headers(stack(slices=5))
    noise = np.random.default_rng(0)
    for header in found:
        header.PixelData = noise.integers(0, 1000, (header.Rows, header.Columns), dtype=np.int16).tobytes()
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    write_slices(folder, found)
    return found


@pytest.mark.skipif(importlib.util.find_spec("highdicom") is None, reason="highdicom is not installed: the extra dicom")
def test_a_series_goes_in_and_its_segmentation_comes_out_and_is_sent(bundle: Path, codes: Path, tmp_path: Path):
    given, out, port = series(tmp_path / "given"), tmp_path / "out", free_port()
    uid, series_uid = given[0].StudyInstanceUID, given[0].SeriesInstanceUID
    words = ["serve", bundle, "--out", out, "--port", "0", "--quiet-seconds", "4", "--format", "dicom-seg,json,png"]
    words += ["--codes", codes]
    words += ["--send-to", f"ARCHIVE@127.0.0.1:{port}"]
    with archive(tmp_path / "archive", port), started("-m", "s2m_edge.cli.main", *map(str, words)) as server:
        command = [
            program("storescu"),
            "-aec",
            "S2MEDGE",
            "127.0.0.1",
            str(server.port),
            "+sd",
            str(tmp_path / "given"),
        ]
        assert subprocess.run(command, timeout=DEADLINE, check=False).returncode == 0
        until(lambda: server.said("sent to") or server.said("FAILED"), "sent")
        assert server.said("5 instances")
        assert server.end() == 0
    found = pydicom.dcmread(out / uid / f"{series_uid}-seg.dcm")
    assert (found.SOPClassUID, found.StudyInstanceUID) == (SEGMENTATION, uid)
    referenced = {
        each.ReferencedSOPInstanceUID for each in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced <= {each.SOPInstanceUID for each in given}
    record = json.loads((out / uid / "study.json").read_text())
    assert (record["instances"], record["target"], record["network"]) == (5, "onnx", "plain-unet")
    assert sorted(record["files"]) == sorted(
        path.relative_to(out / uid).as_posix()
        for path in (out / uid).rglob("*")
        if path.is_file() and path.name != "study.json"
    )
    sent = [pydicom.dcmread(path) for path in (tmp_path / "archive").iterdir()]
    assert [each.SOPInstanceUID for each in sent] == [found.SOPInstanceUID]
    assert not [line for line in server.lines if "Doe" in line or "17-42" in line], "a patient in the log"
    assert not [path for path in out.rglob("*") if "Doe" in path.name]


def test_a_series_that_cannot_be_read_does_not_stop_the_server(bundle: Path, tmp_path: Path):
    given, out = series(tmp_path / "given"), tmp_path / "out"
    for header in given:
        header.PixelData = header.PixelData[:100]
    write_slices(tmp_path / "given", given)
    words = ["serve", bundle, "--out", out, "--port", "0", "--quiet-seconds", "4", "--format", "json"]
    with started("-m", "s2m_edge.cli.main", *map(str, words)) as server:
        command = [
            program("storescu"),
            "-aec",
            "S2MEDGE",
            "127.0.0.1",
            str(server.port),
            "+sd",
            str(tmp_path / "given"),
        ]
        assert subprocess.run(command, timeout=DEADLINE, check=False).returncode == 0
        line = until(lambda: server.said(f"study {given[0].StudyInstanceUID}: FAILED"), "its failure")
        assert f"FAILED, {given[0].SeriesInstanceUID}/" in line, "the place in the inbox, not a passing one"
        assert server.end() == 0
    assert not (out / given[0].StudyInstanceUID).exists()
    assert len(list(out.glob("inbox/*/*/*.dcm"))) == 5


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--ae-title", "a title that is too long"], "no AE title"),
        (["--allow", "back\\slash"], "no AE title"),
        (["--host", "example.org"], "no IP address"),
        (["--send-to", "ARCHIVE"], "no destination"),
        (["--send-to", "ARCHIVE@127.0.0.1:99999"], "no destination"),
        (["--send-to", "A@[::1]:104", "--format", "json"], "leaves it out"),
        (["--format", "jpeg"], "no format"),
        (["--format", "dicom-seg"], "no code for the class"),
        (["--max-gigabytes", "inf"], "not a finite number"),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], reason: str, bundle: Path, tmp_path: Path, run: Run):
    given = ["--format", "json", *words]
    code, _, err = run("serve", bundle, "--out", tmp_path / "out", *given)
    assert code == 2
    assert reason in err
    assert not (tmp_path / "out").exists()


def test_a_missing_package_is_one_line_with_its_extra(bundle: Path, tmp_path: Path, run: Run, monkeypatch):
    honest = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "pynetdicom" else honest(name))
    code, _, err = run("serve", bundle, "--out", tmp_path / "out")
    assert code == 2
    assert "needs pynetdicom" in err
    assert "[serve]" in err


def test_a_network_that_answers_otherwise_than_its_reference_does_not_serve(bundle: Path):
    opened = open_bundle(bundle)
    runner = open_runner(opened)
    require_self_test(opened, runner)

    class Wrong:
        def predict(self, fitted: Any) -> Any:
            return 1 - runner.predict(fitted)

    with pytest.raises(ParityError, match="the self-test failed on this machine"):
        require_self_test(opened, Wrong())  # type: ignore[arg-type]


def test_a_bundle_that_is_none_is_refused_before_anything_listens(tmp_path: Path, run: Run):
    code, _, err = run("serve", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "error:" in err
    assert not (tmp_path / "out").exists()
