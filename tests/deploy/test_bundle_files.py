"""A bundle is replaced, and copied, by the files that its contract names; what else lies there is its owner's."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from networks import plain_u_net
from s2m_edge.apps.runner.board import BOARD, assemble
from s2m_edge.apps.runner.build import PROGRAM
from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, VECTORS
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.bundle_files import BUNDLE, PARITY_FILE, bundle_files, copy_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.errors import ContractError, InputError, OutputError
from s2m_edge.files import foreign_file, require_replaceable
from s2m_edge.samples import sample_images
from s2m_edge.targets.export import export_bundle, failed_folder
from s2m_edge.targets.measure.evaluation.report import EVALUATION
from s2m_edge.targets.measure.parity import report
from s2m_edge.targets.registry import find_target


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the example bundle, whose artifact is a folder."""
    return Path(shutil.copytree(VECTORS / EXAMPLE_BUNDLE, tmp_path / "bundle"))


def test_a_bundles_files_are_those_of_its_contract(bundle: Path):
    found = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert found == set(bundle_files(bundle))
    assert PARITY_FILE == report.PARITY_FILE
    require_replaceable(bundle, BUNDLE)


@pytest.mark.parametrize("foreign", ["weights.pt", "example.package/notes.txt", "s2mnet.onnx"])
def test_a_bundle_with_a_file_of_its_owners_is_not_replaced(bundle: Path, foreign: str):
    (bundle / foreign).write_text("years of work")
    with pytest.raises(OutputError, match=rf"is not a bundle alone: it holds {foreign}. Move that file elsewhere"):
        require_replaceable(bundle, BUNDLE)


def test_a_contract_of_another_version_names_its_files_too(bundle: Path):
    contract = bundle / CONTRACT_FILE
    values = json.loads(contract.read_text())
    hashes = values["artifact"].pop("sha256", None) or values["files"]
    for other in ({"schema_version": 1, "artifact": {"sha256": hashes}}, {"schema_version": 9, "files": hashes}):
        contract.write_text(json.dumps(other))
        require_replaceable(bundle, BUNDLE)


@pytest.mark.parametrize("content", ["{", "[]", '{"artifact": 3}', None])
def test_where_no_contract_says_what_is_ours_nothing_is_replaced(bundle: Path, content: str | None):
    (bundle / CONTRACT_FILE).unlink()
    if content is not None:
        (bundle / CONTRACT_FILE).write_text(content)
    with pytest.raises(OutputError, match="is not a bundle alone"):
        require_replaceable(bundle, BUNDLE)


def test_a_bundle_is_copied_without_what_lies_beside_it(bundle: Path, tmp_path: Path):
    (bundle / "patients.csv").write_text("private")
    copy_bundle(bundle, tmp_path / "copy")
    assert foreign_file(tmp_path / "copy", BUNDLE) is None
    open_bundle(tmp_path / "copy")


@pytest.mark.parametrize("place", ["the bundle's", "the failed one's"])
def test_an_export_that_would_cost_a_file_is_refused_before_any_work(
    place: str, bundle: Path, polyp_images: list[Path], monkeypatch
):
    folder = bundle if place == "the bundle's" else Path(bundle.rename(failed_folder(bundle)))
    (folder / "notes.txt").write_text("years of work")
    target = find_target("onnx")
    monkeypatch.setattr(type(target), "make_exporter", lambda self: pytest.fail("work was begun"))
    network, spec = plain_u_net(64, 64)
    with pytest.raises(OutputError, match=r"it holds notes\.txt"):
        export_bundle(target, network, spec, precision="float32", images=polyp_images, out=folder.parent / "bundle")
    assert (folder / "notes.txt").read_text() == "years of work"


def test_the_folder_for_a_board_is_replaced_with_its_trial_and_with_nothing_else(bundle: Path, tmp_path: Path):
    program, library = tmp_path / PROGRAM, tmp_path / "libexecutorch.so"
    program.write_text("program")
    library.write_text("library")
    out, opened = tmp_path / "board", open_bundle(bundle)
    (bundle / "patients.csv").write_text("private")
    for _ in range(2):
        assemble(out, program, [library], opened)
        (out / "results").mkdir()
        (out / "results" / f"{sample_images(None)[0].stem}-mask.png").write_text("a sample's")
    assert not (out / "bundle" / "patients.csv").exists()
    (out / "results" / "patient-mask.png").write_text("somebody's")
    with pytest.raises(OutputError, match=r"it holds results/patient-mask\.png"):
        assemble(out, program, [library], opened)
    (out / "results" / "patient-mask.png").unlink()
    with pytest.raises(InputError, match=r"libgone\.so cannot be read"):
        assemble(out, program, [tmp_path / "libgone.so"], opened)
    assert foreign_file(out, BOARD) is None
    assert (out / PROGRAM).is_file()


def test_an_evaluation_is_known_by_its_metrics(tmp_path: Path):
    ours = {"model": {}, "data": {}, "metrics": {}, "conventions": {}, "notice": ""}
    for name in ("metrics.csv", "worst.png"):
        (tmp_path / name).write_text("x")
    for content in ("{}", "no JSON", "[]"):
        (tmp_path / "metrics.json").write_text(content)
        assert foreign_file(tmp_path, EVALUATION) == "metrics.csv"
    (tmp_path / "metrics.json").write_text(json.dumps(ours))
    assert foreign_file(tmp_path, EVALUATION) is None
    (tmp_path / "weights.pt").write_text("x")
    assert foreign_file(tmp_path, EVALUATION) == "weights.pt"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    (bundle / PARITY_FILE).unlink()
    os.mkfifo(bundle / PARITY_FILE)
    monkeypatch.setattr("s2m_edge.deploy.bundle.file_sha256", pytest.fail)
    with pytest.raises(ContractError, match=r"parity\.json is no regular file") as refusal:
        open_bundle(bundle)
    assert refusal.value.reason == "missing-file"
