"""The page on a bundle: what it says is what was measured, on its own, and whatever names it meets stay text."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import plain_u_net
from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.golden import GOLDEN_FILE, read_golden
from s2m_edge.errors import AnswerError, ContractError, LoweringError, MissingBackendError, ParityError
from s2m_edge.files import write_json
from s2m_edge.network.spectral import reference_spectral_filter
from s2m_edge.notice import NOTICE
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.measure.page import PageContent, StageSpectrum, bundle_facts, page_html, stage_spectra
from s2m_edge.targets.measure.page import facts as facts_module
from s2m_edge.targets.measure.parity import measure as parity_module
from s2m_edge.targets.measure.parity.report import PARITY_FILE, ParityReport
from s2m_edge.targets.opening import open_runner
from s2m_edge.targets.registry import find_target
from support import SPECTRAL_STAGES, assert_one_line_error, lively_network, reseal

pytest.importorskip("onnxruntime")

LARGEST_PAGE = 3_000_000


class Page(HTMLParser):
    """Texts, tags and addresses of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.alternatives: list[str] = []
        self.texts: list[str] = []
        self.identities: set[str] = set()
        self._open: list[str] = []
        self.feed(html)
        assert [tag for tag in self._open if tag not in VOID] == [], "every tag is closed"
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.addresses += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.identities |= {values["id"]} if "id" in values else set()
        if tag == "img":
            self.alternatives.append(values["alt"])

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] in VOID and self._open[-1] != tag:
            self._open.pop()
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data)


VOID = {"meta", "img", "br", "use", "path", "link"}


@pytest.fixture(scope="module")
def folder(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small network that is not S2M-Net."""
    network, spec = plain_u_net(64, 96)
    out = tmp_path_factory.mktemp("page") / "bundle"
    export_bundle(find_target("onnx"), network, spec, images=polyp_images[:3], out=out)
    return out


@pytest.fixture
def changed(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "changed"))


def opened(folder: Path) -> Bundle:
    return open_bundle(folder, proved=False)


def change_parity(folder: Path, **figures: object) -> None:
    """Give the first picture of a report other figures."""
    values = json.loads((folder / PARITY_FILE).read_text())
    values["images"][0].update(figures)
    write_json(folder / PARITY_FILE, values)
    reseal(folder)


def page_of(folder: Path) -> Page:
    return Page(page_html(PageContent((bundle_facts(opened(folder)),), None)))


def test_the_page_says_what_the_report_says_and_needs_nothing_else(folder: Path):
    facts = bundle_facts(opened(folder))
    html = page_html(PageContent((facts,), None, command="s2m-edge report bundle"))
    page = Page(html)
    report = facts.report
    assert len(html.encode()) < LARGEST_PAGE
    assert "script" not in page.tags
    for address in page.addresses:
        assert address.startswith(("data:image/", "#")), address
        assert not address.startswith("#") or address[1:] in page.identities
    assert "default-src 'none'" in html
    assert page.text.count(NOTICE) == 2, "at the top and at the end"
    assert "Passed." in page.text
    assert f"{report.worst.max_probability_error:.1e}" in page.text
    for text in (report.edge_device, report.reference_device, facts.bundle.contract.weights_sha256, "bundle"):
        assert text in page.text
    for name, digest in facts.bundle.contract.files.items():
        assert name in page.text
        assert digest in page.text
    assert "s2m-edge report bundle" in page.text
    assert all(page.alternatives), "every picture is described"
    assert html.count("data:image/") == 2 * 4, "the worst and a typical one: picture, reference, artifact, difference"


def test_the_recorded_inputs_are_run_here_and_the_worst_comes_first(folder: Path):
    bundle = opened(folder)
    facts, runner = bundle_facts(bundle), open_runner(bundle)
    golden, _ = read_golden(folder / GOLDEN_FILE)
    errors = {
        entry.name: float(np.abs(runner.predict(entry.image) - probabilities(entry.logits)).max()) for entry in golden
    }
    found = [(entry.golden.name, entry.parity.max_probability_error) for entry in facts.shown if entry.parity]
    assert dict(found) == pytest.approx(errors, abs=1e-9)
    assert [error for _, error in found] == sorted(errors.values(), reverse=True)
    assert facts.device == runner.device
    assert facts.breaches == []


def test_an_artifact_that_is_not_run_is_said_not_to_be(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert (
        "not run here: it was not asked for"
        in Page(page_html(PageContent((bundle_facts(opened(folder), run=False),), None))).text
    )

    def missing(bundle: Bundle, threads: int | None = None) -> None:
        raise MissingBackendError("onnxruntime is not installed", "pip install it")

    monkeypatch.setattr(facts_module, "open_runner", missing)
    facts = bundle_facts(opened(folder))
    page = Page(page_html(PageContent((facts,), None)))
    assert (facts.device, facts.not_run) == ("", "onnxruntime is not installed")
    assert "The artifact was not run for this page: onnxruntime is not installed." in page.text
    assert "difference" not in page.text


@pytest.mark.parametrize("fault", ["does not load", "does not answer", "dies on the way"])
def test_an_artifact_that_was_tried_and_failed_is_a_breach(folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str):
    bundle, answered = opened(folder), []

    def fail(*arguments: object) -> np.ndarray:
        answered.append(arguments)
        if fault == "dies on the way" and len(answered) == 1:
            return probabilities(read_golden(folder / GOLDEN_FILE)[0][0].logits)
        raise AnswerError("the artifact failed while running", "Export it again.")

    def unloadable(bundle: Bundle, threads: int | None = None) -> None:
        raise LoweringError("it is truncated", "Export it again.")

    if fault == "does not load":
        monkeypatch.setattr(facts_module, "open_runner", unloadable)
    monkeypatch.setattr(facts_module, "shaped_answer", fail)
    facts = bundle_facts(bundle)
    assert (facts.device, facts.not_run, len(facts.breaches)) == ("", "", 1)
    page = Page(page_html(PageContent((facts,), None)))
    assert "Failed." in page.text
    assert "Passed." not in page.text
    assert "difference" not in page.text


def test_figures_outside_the_gate_fail_whatever_the_report_says_of_itself(changed: Path):
    change_parity(changed, max_probability_error=0.25)
    assert json.loads((changed / PARITY_FILE).read_text())["passed"] is True
    page = page_of(changed)
    assert "Failed." in page.text
    assert "largest probability error 0.25 above 0.0001" in page.text
    assert "BREACHED" in page.text
    assert "Passed." not in page.text


def test_what_export_refused_has_a_page_that_says_why(
    polyp_images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    network, spec = plain_u_net(64, 96)
    monkeypatch.setattr(parity_module, "shaped_answer", lambda predict, fitted, shape: np.zeros(shape, np.float32))
    with pytest.raises(ParityError, match=r"out\.failed, s2m-edge report"):
        export_bundle(find_target("onnx"), network, spec, images=polyp_images[:2], out=tmp_path / "out")
    page = page_of(tmp_path / "out.failed")
    assert "Failed." in page.text
    assert "BREACHED" in page.text


def test_figures_that_are_no_numbers_fail(changed: Path):
    change_parity(changed, max_probability_error="nan", mean_probability_error="nan")
    assert "Failed." in page_of(changed).text


def test_an_artifact_that_answers_otherwise_here_fails_although_it_passed_when_it_was_exported(folder: Path):
    bundle = opened(folder)
    with pytest.MonkeyPatch.context() as patch:
        real = facts_module.shaped_answer
        patch.setattr(facts_module, "shaped_answer", lambda *arguments: 1 - real(*arguments))
        facts = bundle_facts(bundle)
    assert facts.report.passed
    assert facts.breaches
    page = Page(page_html(PageContent((facts,), None)))
    assert "run here:" in page.text
    assert "Failed." in page.text


@pytest.mark.parametrize("fault", ["no JSON", "a list", "no images", "another precision", "another network"])
def test_a_damaged_report_is_no_page(changed: Path, fault: str):
    path = changed / PARITY_FILE
    values = json.loads(path.read_text())
    if fault == "no images":
        values["images"] = []
    if fault == "another precision":
        values["precision"] = "float3"
    if fault == "another network":
        values["hashes"]["weights"] = "0" * 64
    path.write_text({"no JSON": "{", "a list": "[]"}.get(fault, json.dumps(values)))
    reseal(changed)
    with pytest.raises(ContractError, match=PARITY_FILE):
        bundle_facts(opened(changed))


def test_a_report_comes_back_as_it_was_written(folder: Path):
    values = json.loads((folder / PARITY_FILE).read_text())
    assert ParityReport.from_dict(values).to_dict() == values


def accuracy_of(folder: Path, dice: float, breaches: list[str]) -> dict:
    """What `s2m-edge gate --out` writes of a bundle, shortened."""

    def stage(name: str, title: str, mean: float) -> dict:
        return {"name": name, "title": title, "dice": {"mean": mean}, "hd95": {"mean": None}}

    moved = {"name": "runtime", "reference": "float", "gate": {"mean_dice": 0.005}, "mean_dice": dice - 0.9}
    return {
        "data": {"name": "polyps", "split": "test", "images": 7},
        "passed": not breaches,
        "breaches": breaches,
        "remark": "",
        "stages": [stage("float", "PyTorch, float32", 0.9), stage("runtime", "onnx int8", dice)],
        "differences": [{**moved, "worst_dice": -0.01, "worst_image": "worst.png"}],
        "hashes": {"weights": opened(folder).contract.weights_sha256},
    }


def benchmark_of(median: float) -> dict:
    contender = {"title": "onnx float32", "status": "executed", "ratio_to_eager": 1.5, "artifact_bytes": 2_000_000}
    latency = {"median": median, "percentile_10": median - 1, "percentile_90": median + 1}
    left_out = {**contender, "title": "coreml float32", "status": "converted, not executed", "ratio_to_eager": None}
    rows = [{**contender, "latency_milliseconds": latency}, {**left_out, "latency_milliseconds": None}]
    return {"machine": {"line": "a processor, 1 thread"}, "base": "eager", "contenders": rows}


def test_files_of_gate_and_benchmark_are_shown_and_a_breach_of_theirs_counts(run, folder: Path, tmp_path: Path):
    gate, benchmark, out = (tmp_path / name for name in ("gate.json", "benchmark.json", "page.html"))
    benchmark.write_text(json.dumps(benchmark_of(41.5)))
    gate.write_text(json.dumps(accuracy_of(folder, 0.8975, [])))
    code, printed, err = run("report", folder, "--gate", gate, "--benchmark", benchmark, "--no-run", "--out", out)
    assert code == 0, err
    text = Page(out.read_text()).text
    for figure in ("7 pictures of polyps, test", "0.8975", "-0.0025 (allowed 0.005)", "-0.0100 (worst.png)"):
        assert figure in text
    for figure in ("a processor, 1 thread", "onnx float32 41.5 40.5 to 42.5 1.50 2.0", "converted, not executed"):
        assert figure in text
    gate.write_text(json.dumps(accuracy_of(folder, 0.5, ["runtime against float: mean Dice -0.4000, allowed 0.005"])))
    code, printed, err = run("report", folder, "--gate", gate, "--no-run", "--out", out)
    assert_one_line_error(code, printed, err, "mean Dice -0.4000", expected=1)
    gate.write_text(json.dumps({**accuracy_of(folder, 0.9, []), "hashes": {"weights": "0" * 64}}))
    code, printed, err = run("report", folder, "--gate", gate, "--no-run", "--out", out)
    assert_one_line_error(code, printed, err, "about another network")
    gate.write_text(json.dumps({**accuracy_of(folder, 0.9, []), "stages": [{}]}))
    code, printed, err = run("report", folder, "--gate", gate, "--no-run", "--out", out)
    assert_one_line_error(code, printed, err, "lacks figures")


def test_names_are_text_whatever_they_hold(changed: Path):
    change_parity(changed, name="<img src=x onerror=alert(1)>")
    contract = json.loads((changed / CONTRACT_FILE).read_text())
    contract["classes"][0]["name"] = "</td><script>alert(2)</script>"
    write_json(changed / CONTRACT_FILE, contract)
    reseal(changed)
    page = page_of(changed)
    assert "script" not in page.tags
    assert all(address != "x" for address in page.addresses)
    assert "</td><script>alert(2)</script>" in page.text


# Spectra


def spectra_of(network: torch.nn.Module, image: torch.Tensor) -> list[StageSpectrum]:
    return stage_spectra(network, [image])


def test_a_network_without_spectral_filters_has_no_spectra():
    network, _ = plain_u_net(64, 96)
    assert spectra_of(network, torch.rand(1, 3, 64, 96)) == []


def test_the_spectrum_behind_a_filter_is_the_definitions():
    network, image = lively_network(), torch.rand(1, 3, 96, 96)
    seen: list[torch.Tensor] = []
    branch = network.get_submodule("encoder.0.mixer.spectral")
    hook = branch.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    (first, *others) = spectra_of(network, image)
    hook.remove()
    assert len(others) == len(SPECTRAL_STAGES) - 1
    weight = branch.get_parameter("filter").detach().double()
    after = reference_spectral_filter(seen[0].double(), weight)
    power = torch.fft.fftshift(torch.fft.fft2(after, norm="ortho").abs().square().mean(dim=(0, 1)))
    assert first.size == (48, 48)
    assert first.kept == (32, 32)
    np.testing.assert_allclose(first.after, power.numpy(), rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(first.gain, weight.abs().mean(dim=0).numpy())
    assert first.before.sum() == pytest.approx(float(seen[0].double().square().sum(dim=(-2, -1)).mean()), rel=1e-5)


def test_energy_beyond_the_kept_frequencies_is_not_kept():
    rows = np.zeros((8, 8))
    stage = StageSpectrum("filter", 1, rows, rows, np.ones((4, 4)))
    assert stage.box == (2, 6, 2, 6)
    assert stage.energy_kept() == 1.0
    power = rows.copy()
    power[4, 4], power[4, 5], power[0, 0] = 6.0, 3.0, 1.0  # the mean, a low frequency, the highest
    stage = StageSpectrum("filter", 1, power, rows, np.ones((4, 4)))
    assert stage.energy_kept() == pytest.approx(0.9)
    assert stage.energy_kept(varying=True) == pytest.approx(0.75)


# The command


def test_the_command_writes_the_page_and_its_figures(run, folder: Path, tmp_path: Path):
    out = tmp_path / "page.html"
    code, printed, err = run("report", folder, "--out", out, "--json")
    assert code == 0, err
    values = json.loads(printed)
    assert values["passed"] is True
    assert values["bytes"] == out.stat().st_size < LARGEST_PAGE
    assert [entry["verdict"] for entry in values["bundles"]] == ["executed"]
    code, printed, err = run("report", folder, "--out", out)  # a page of ours is replaced
    assert code == 0, err
    assert "page:" in printed


def test_a_breach_is_on_the_page_and_fails_the_command(run, changed: Path, tmp_path: Path):
    change_parity(changed, mask_agreement=0.5)
    out = tmp_path / "page.html"
    code, printed, err = run("report", changed, "--out", out)
    assert_one_line_error(code, printed, err, "mask agreement 0.5", "Do not deploy", expected=1)
    assert "Failed." in Page(out.read_text()).text


def test_a_checkpoint_alone_has_its_card_and_its_spectra(run, small_checkpoint: Path, tmp_path: Path):
    out = tmp_path / "page.html"
    code, printed, err = run("report", small_checkpoint, "--out", out, "--json")
    assert code == 0, err
    assert len(json.loads(printed)["energy_kept"]) == len(SPECTRAL_STAGES)
    page = Page(out.read_text())
    assert "no artifact of it was given" in page.text
    assert "encoder.0.mixer.spectral" in page.text
    assert re.search(r"\d+\.\d\d million parameters", page.text)
    assert "Passed." not in page.text


def test_requests_that_cannot_be_met_are_one_line(run, folder: Path, small_checkpoint: Path, tmp_path: Path):
    theirs = tmp_path / "theirs.html"
    theirs.write_text("<html>somebody's</html>")
    other = tmp_path / "other.json"
    other.write_text("{}")
    for arguments, words in (
        ((folder, "--out", tmp_path / "page.pdf"), ("page.pdf", ".html")),
        ((folder, "--out", theirs), ("theirs.html", "not written by s2m-edge")),
        ((folder, folder, "--out", tmp_path / "page.html"), ("named twice",)),
        ((tmp_path / "absent", "--out", tmp_path / "page.html"), ("absent",)),
        ((folder, small_checkpoint, "--out", tmp_path / "page.html"), ("does not have the weights",)),
        ((folder, "--gate", other, "--out", tmp_path / "page.html"), ("other.json", "s2m-edge gate")),
        ((folder, "--benchmark", theirs, "--out", tmp_path / "page.html"), ("theirs.html", "JSON")),
    ):
        code, printed, err = run("report", *arguments)
        assert_one_line_error(code, printed, err, *words)
    assert theirs.read_text() == "<html>somebody's</html>"
    assert not (tmp_path / "page.html").exists()
