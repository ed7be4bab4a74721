"""What changed between two: figures by the share of their gates, weights block by block, and worse is worse."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from networks import plain_u_net
from s2m_edge.checkpoint import load_model, save_checkpoint
from s2m_edge.errors import ConfigurationError
from s2m_edge.files import write_json
from s2m_edge.targets.export import export_bundle
from s2m_edge.targets.measure.changes import Changes, Figure, Side, changes_html, compare_sides, open_side
from s2m_edge.targets.measure.changes.compare import block_of_tensor
from s2m_edge.targets.measure.changes.write import block_rows, sentence
from s2m_edge.targets.measure.parity.report import PARITY_FILE
from s2m_edge.targets.registry import find_target
from support import assert_one_line_error, reseal

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def exported_once(polyp_images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    network, spec = plain_u_net(64, 96)
    out = tmp_path_factory.mktemp("changes") / "bundle"
    export_bundle(find_target("onnx"), network, spec, precision="float16", images=polyp_images[:3], out=out)
    return out


@pytest.fixture
def folder(exported_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported_once, tmp_path / "bundle"))


@pytest.fixture
def other(exported_once: Path, tmp_path: Path) -> Path:
    """Another copy, to be made worse or better."""
    return Path(shutil.copytree(exported_once, tmp_path / "other"))


def give_figures(folder: Path, **figures: object) -> None:
    """Give every picture of a bundle's report other figures."""
    values = json.loads((folder / PARITY_FILE).read_text())
    for image in values["images"]:
        image.update(figures)
    write_json(folder / PARITY_FILE, values)
    reseal(folder)


def changes_of(before: Path, after: Path, tolerance: float = 0.1) -> Changes:
    return compare_sides(open_side(before), open_side(after), tolerance)


def side(name: str = "a", **figures: Figure) -> Side:
    return Side(Path(name), "parity", figures, (), {})


def test_nothing_differs_between_a_bundle_and_its_copy(folder: Path, other: Path):
    changes = changes_of(folder, other)
    assert changes.worse == []
    assert changes.facts == ()
    assert sentence(changes) == "Nothing differs."


@pytest.mark.parametrize(
    ("lost", "judgement"),
    [(0.00009, "within the tolerance"), (0.00011, "worse"), (-0.00009, "within the tolerance"), (-0.00011, "better")],
)
def test_a_tenth_of_what_the_gate_allows_may_be_lost(lost: float, judgement: str):
    """float16 allows 0.001 of the pixels to change their label."""
    before, after = (side(least=Figure(value, True, 0.001)) for value in (0.9995, 0.9995 - lost))
    (entry,) = compare_sides(before, after).figures
    assert entry.judgement == judgement


def test_errors_are_worse_when_they_grow_and_likenesses_when_they_shrink(folder: Path, other: Path):
    give_figures(folder, mask_agreement=0.9999, mean_probability_error=1e-5)
    give_figures(other, mask_agreement=0.9992, mean_probability_error=9e-4)
    there, back = changes_of(folder, other), changes_of(other, folder)
    assert [line.split(" went")[0] for line in there.worse] == ["mean probability error", "least mask agreement"]
    assert back.worse == []
    assert {entry.name for entry in back.figures if entry.judgement == "better"} == {
        "mean probability error",
        "least mask agreement",
    }
    assert changes_of(folder, other, tolerance=1.0).worse == []


def test_a_new_breach_is_worse_whatever_is_tolerated(folder: Path, other: Path):
    give_figures(other, mask_dice=0.5)
    changes = changes_of(folder, other, tolerance=1e9)
    assert any("breaches its gate" in line and "Dice between masks 0.5" in line for line in changes.worse)


def test_a_figure_that_is_no_number_or_is_gone_is_worse_limited_or_not():
    unlimited = Figure(1.0, False, None)
    assert compare_sides(side(error=unlimited), side(error=Figure(math.nan, False, None))).worse
    assert compare_sides(side(error=unlimited), side()).worse == ["error is gone"]
    assert compare_sides(side(), side(error=unlimited)).worse == []
    assert compare_sides(side(error=unlimited), side(error=Figure(9.0, False, None))).worse == []


def test_what_is_no_longer_executed_is_worse(folder: Path, other: Path):
    values = json.loads((other / PARITY_FILE).read_text())
    values["verdict"] = "converted, not executed"
    write_json(other / PARITY_FILE, values)
    reseal(other)
    assert changes_of(folder, other).worse == ["A was executed, B is converted, not executed"]
    assert changes_of(other, folder).worse == []


def test_weights_are_told_apart_block_by_block(small_checkpoint: Path, tmp_path: Path):
    model = load_model(small_checkpoint)
    with torch.no_grad():
        model.get_parameter("decoder.1.refine.0.weight").mul_(1.5)
        for parameter in model.head.parameters():
            parameter.zero_()
    changed = tmp_path / "changed.safetensors"
    save_checkpoint(changed, model, {"domain": "polyp"})
    changes = changes_of(small_checkpoint, changed)
    found = {entry.block: entry for entry in changes.blocks}
    assert set(found) == {"decoder.1", "head"}
    assert found["decoder.1"].changed == 1
    assert 0 < found["decoder.1"].relative < 0.5
    assert found["head"].relative == pytest.approx(1.0)
    assert not changes.same_weights
    assert ("provenance.dataset", "none", "-") in changes.facts
    assert changes_of(small_checkpoint, small_checkpoint).same_weights


def test_a_checkpoint_without_a_figure_is_told_what_measures_it(small_checkpoint: Path, tmp_path: Path):
    """One that was just trained has the score of its training alone."""
    scored, fresh = tmp_path / "scored.safetensors", tmp_path / "fresh.safetensors"
    model = load_model(small_checkpoint)
    save_checkpoint(
        scored, model, {"domain": "polyp", "test_dice": 0.8, "val_dice_window": 0.8, "validation_dice": 0.7}
    )
    save_checkpoint(fresh, model, {"domain": "polyp"})
    measures = f"s2m-edge evaluate {fresh} --data DATA --split"
    assert sorted(changes_of(scored, fresh).worse) == [
        f"test dice is gone: {measures} test --record measures it",
        f"val dice window is gone: {measures} val --window --record measures it",
        "validation dice is gone",
    ]


def test_what_batchnorm_noted_is_no_weight(small_checkpoint: Path, tmp_path: Path):
    model = load_model(small_checkpoint)
    name, noted = next(entry for entry in model.named_buffers() if entry[0].endswith("running_var"))
    with torch.no_grad():
        noted.mul_(100)
    changed = tmp_path / "changed.safetensors"
    save_checkpoint(changed, model, {"domain": "polyp"})
    (found,) = changes_of(small_checkpoint, changed).blocks
    assert found.block == block_of_tensor(name)
    assert (found.changed, found.relative, found.largest) == (1, 0.0, 0.0)
    assert found.statistics is not None
    assert 1 < found.statistics < 99.01
    assert block_rows(changes_of(small_checkpoint, changed)) == [
        (found.block, f"1 of {found.tensors}", "0.00%", "0", f"{found.statistics:.2%}")
    ]


def test_a_float_and_an_int8_checkpoint_are_not_compared_weight_by_weight(
    small_checkpoint: Path, small_quantized_checkpoint: Path
):
    changes = changes_of(small_checkpoint, small_quantized_checkpoint)
    assert all("another shape or type" in entry.remark for entry in changes.blocks if "receptive" in entry.block)


def test_a_benchmark_is_judged_by_the_time_itself(tmp_path: Path):
    def write(name: str, median: float) -> Path:
        contender = {"title": "onnx", "status": "executed", "latency_milliseconds": {"median": median}}
        path = tmp_path / name
        path.write_text(json.dumps({"contenders": [contender], "machine": {"processor": name}, "settings": {}}))
        return path

    slow, fast = write("slow.json", 112.0), write("fast.json", 100.0)
    assert changes_of(fast, slow).worse == ["onnx, ms went from 100 to 112"]
    assert changes_of(slow, fast).worse == []
    assert changes_of(fast, slow, tolerance=0.2).worse == []


def test_stages_of_a_gate_are_judged_by_their_own_limits(tmp_path: Path):
    def write(name: str, dice: float) -> Path:
        stage = {"name": "runtime", "dice": {"mean": dice}, "hd95": {"mean": None}}
        values = {"stages": [stage], "differences": [{"name": "runtime", "gate": {"mean_dice": 0.005}}]}
        path = tmp_path / name
        path.write_text(json.dumps({**values, "breaches": [], "data": {}, "hashes": {}, "tools": {}}))
        return path

    assert changes_of(write("a.json", 0.9), write("b.json", 0.8994)).worse == [
        "runtime: mean Dice went from 0.9 to 0.8994"
    ]
    assert changes_of(write("a.json", 0.9), write("b.json", 0.8996)).worse == []


def test_two_of_different_kinds_are_not_compared(folder: Path, small_checkpoint: Path, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="Compare two of one kind"):
        changes_of(folder, small_checkpoint)
    assert changes_of(folder, folder / PARITY_FILE).before.kind == "parity"
    for text in ("[]", "{", "{}", '{"contenders": 3}'):
        path = tmp_path / "no.json"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match="no report that can be compared"):
            open_side(path)


def test_the_page_escapes_names_and_says_the_outcome(folder: Path, other: Path):
    give_figures(other, mask_agreement=0.9992)
    give_figures(folder, mask_agreement=1.0)
    html = changes_html(changes_of(folder, other))
    assert "Worse." in html
    assert "least mask agreement went from 1 to 0.9992" in html
    strange = Side(Path("<script>"), "parity", {}, (), {"<b>": "x"})
    html = changes_html(compare_sides(strange, side()))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html


def test_the_command_fails_where_b_is_worse(run, folder: Path, other: Path, tmp_path: Path):
    page = tmp_path / "diff.html"
    code, printed, err = run("diff", folder, other, "--html", page)
    assert code == 0, err
    assert "Nothing differs." in printed
    assert "No worse." in page.read_text()
    give_figures(folder, mask_agreement=1.0)
    give_figures(other, mask_agreement=0.9992)
    code, printed, err = run("diff", folder, other, "--json")
    assert_one_line_error(code, "", err, "is worse than", "least mask agreement", expected=1)
    assert json.loads(printed)["worse"] == ["least mask agreement went from 1 to 0.9992"]
    code, printed, err = run("diff", folder, tmp_path / "absent.safetensors")
    assert_one_line_error(code, printed, err, "absent.safetensors")
