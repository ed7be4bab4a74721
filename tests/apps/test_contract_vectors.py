"""The committed contract vectors are what the code gives now, and hold what they claim to."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, INDEX_FILE, TENSORS_FILE, VECTORS, dicoms, generate
from s2m_edge.apps.vectors.cases import CASES
from s2m_edge.apps.vectors.example import Example, write_example
from s2m_edge.apps.vectors.guards import GUARD_FILES, make_guard
from s2m_edge.apps.vectors.pictures import close_to_a_half, exact_weights
from s2m_edge.apps.vectors.windows import WINDOW_CASES, stand_in
from s2m_edge.deploy.bundle import open_bundle
from s2m_edge.deploy.guard import read_guard
from s2m_edge.imaging.preprocess import fit_to_network, mask_from_probabilities
from s2m_edge.imaging.window import Window

AGAIN = "write them anew with python -m s2m_edge.apps.vectors"


@pytest.fixture(scope="module")
def stored_index():
    return json.loads((VECTORS / INDEX_FILE).read_text(encoding="utf-8"))


@pytest.fixture
def index(stored_index):
    return copy.deepcopy(stored_index)


@pytest.fixture(scope="module")
def tensors():
    return load_file(VECTORS / TENSORS_FILE)


def test_the_committed_vectors_are_what_the_code_gives_now(index, tensors):
    values, made = generate()
    assert made.keys() == tensors.keys(), AGAIN
    for name, tensor in made.items():
        stored = tensors[name]
        assert (stored.dtype, stored.shape) == (tensor.dtype, tensor.shape), AGAIN
        tolerance = {"normalised": index["tolerance"]["normalised"], "descriptor": 1e-5}.get(name.rpartition(".")[2], 0)
        assert np.allclose(stored, tensor, rtol=0, atol=tolerance, equal_nan=True), f"{name}: {AGAIN}"
    for key in ("schema_version", "notice", "tolerance", "cases", "hashes"):
        assert index[key] == values[key], AGAIN
    for stored, computed in zip(index["guards"], values["guards"], strict=True):
        assert stored.pop("score") == pytest.approx(computed.pop("score"), rel=1e-5), AGAIN
        assert stored == computed, AGAIN
    for stored, computed in zip(index["comparisons"], values["comparisons"], strict=True):
        figures = stored.pop("expected"), computed.pop("expected")
        assert stored == computed, AGAIN
        assert figures[0] == pytest.approx(figures[1], abs=index["tolerance"]["comparison"], nan_ok=True), AGAIN


def test_the_index_describes_every_tensor_with_its_hash(index, tensors):
    content = (VECTORS / TENSORS_FILE).read_bytes()
    entry = index["tensors"]
    assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert entry["entries"].keys() == tensors.keys()
    for name, tensor in tensors.items():
        described = entry["entries"][name]
        assert described["dtype"] == str(tensor.dtype)
        assert described["shape"] == list(tensor.shape)
        assert described["sha256"] == hashlib.sha256(tensor.tobytes()).hexdigest()


def test_both_files_stay_small():
    assert sum((VECTORS / name).stat().st_size for name in (INDEX_FILE, TENSORS_FILE)) < 5 * 2**18


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rounding_errors_cannot_change_an_integer(case, tensors):
    """An independent float64 resize gives the same levels, and stays away from every half that is not exact."""
    given, picture = case.preprocessing, tensors[f"{case.name}.picture"]
    assert len(close_to_a_half(picture, case)) == 0
    planes = picture.astype(np.float64).transpose(2, 0, 1)
    if given.channels == 1:
        planes = np.tensordot(np.array([0.299, 0.587, 0.114]), planes, axes=1)[None]
    exact = exact_weights(case.height, given.height) @ planes @ exact_weights(case.width, given.width).T
    assert np.array_equal(np.floor(exact + 0.5).transpose(1, 2, 0), tensors[f"{case.name}.fitted"])


def test_the_cases_about_ties_have_ties(tensors):
    halved = tensors["halved.picture"].astype(np.float64)
    weights = exact_weights(64, 32)
    fitted = weights @ halved.transpose(2, 0, 1) @ weights.T
    assert (fitted - np.floor(fitted) == 0.5).sum() > 10
    assert (tensors["same.probabilities"] == 0.5).sum() > 100
    assert (tensors["same-threshold.probabilities"] == np.float32(0.7)).sum() > 100
    ordered = np.sort(tensors["same-classes.probabilities"], axis=0)
    assert (ordered[-1] == ordered[-2]).sum() > 100


def test_every_case_has_something_to_find(index):
    for entry in index["cases"]:
        counts = entry["area"]["network"]
        assert len(counts) == max(2, entry["output"]["shape"][1])
        assert sum(counts) == entry["preprocessing"]["height"] * entry["preprocessing"]["width"]
        assert sum(entry["area"]["original"]) == entry["height"] * entry["width"]
        assert max(counts) < sum(counts)


def test_some_networks_are_rectangles_that_no_power_of_two_divides(tensors):
    shapes = {case.name: tensors[f"{case.name}.fitted"].shape for case in CASES}
    assert shapes["rectangle"] == (28, 18, 3)
    assert shapes["flat-rectangle"] == (15, 34, 1)
    assert tensors["flat-rectangle.normalised"].shape == (1, 1, 15, 34)
    assert tensors["flat-rectangle.mask"].shape == (22, 65)


def test_comparisons_end_both_ways(index):
    verdicts = {entry["name"]: entry["expected"]["passed"] for entry in index["comparisons"]}
    failed = {name for name, passed in verdicts.items() if not passed}
    assert failed == {
        "compare-apart",
        "compare-no-number",
        "compare-no-number-half",
        "compare-infinite",
        "compare-mean-outside",
        "compare-two-flips",
        "compare-small-mask",
        "compare-empty",
    }
    figures = {entry["name"]: entry["expected"] for entry in index["comparisons"]}
    assert figures["compare-empty"]["breaches"] == 0, "it fails for what it shows alone"
    for name in ("compare-infinite", "compare-mean-outside"):
        assert (figures[name]["mask_agreement"], figures[name]["mask_dice"]) == (1.0, 1.0), "only its error tells"


def test_the_guards_are_what_the_code_makes_and_describe_every_kind_of_picture(index, tensors):
    files = {entry["file"]: entry for entry in index["guard_files"]}
    for channels, name in GUARD_FILES.items():
        path = VECTORS / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == files[name]["sha256"]
        stored, made = read_guard(path), make_guard(channels)
        for part in ("channels", "mean", "scale", "directions", "deviations", "residual", "threshold", "provenance"):
            assert np.array_equal(getattr(stored, part), getattr(made, part)), AGAIN
        assert np.allclose(stored.directions @ stored.directions.T, np.eye(len(stored.directions)), atol=1e-6)
    for entry in index["guards"]:
        fitted, guard = tensors[entry["picture"]], read_guard(VECTORS / entry["guard"])
        assert guard.channels == fitted.shape[2]
        assert entry["unusual"] == (entry["score"] > entry["threshold"])
        nearness = abs(entry["score"] / entry["threshold"] - 1)
        assert nearness > 10 * index["tolerance"]["guard"], "a rounding error must not change the verdict"
    assert {entry["unusual"] for entry in index["guards"]} == {True, False}
    assert {tensors[entry["picture"]].shape[2] for entry in index["guards"]} == {1, 3}


def test_the_example_bundle_is_a_sound_bundle_and_what_the_code_gives_now(tmp_path: Path):
    bundle = open_bundle(VECTORS / EXAMPLE_BUNDLE)
    write_example(tmp_path / EXAMPLE_BUNDLE)
    made = open_bundle(tmp_path / EXAMPLE_BUNDLE)
    assert bundle.contract.values == made.contract.values, AGAIN
    assert 0.2 < Example().golden()[0].mask.mean() < 0.8


def test_window_cases_are_what_another_implementation_gives_too(index, tensors):
    import torch
    from monai.inferers.utils import sliding_window_inference

    for case in WINDOW_CASES:
        given = case.preprocessing
        assert given.window is not None
        picture = tensors[f"{case.name}.picture"]
        entry = next(entry for entry in index["windows"] if entry["name"] == case.name)
        if given.window != Window():  # MONAI has one Gaussian, and other steps where they are no whole numbers
            continue

        def network(values, given=given, classes=case.classes):
            parts = values.numpy().astype(np.uint8).transpose(0, 2, 3, 1)
            found = [stand_in(fit_to_network(part, given), classes) for part in parts]
            return torch.from_numpy(np.stack(found))

        planes = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32))
        side = given.height, given.width
        found = sliding_window_inference(planes, side, 1, network, overlap=0.5, mode="gaussian")
        assert isinstance(found, torch.Tensor)
        labels = mask_from_probabilities(found[0].numpy(), case.threshold)
        assert np.array_equal(labels, tensors[f"{case.name}.mask"]), case.name
        assert 0 < entry["area"][1] < labels.size or labels.size == 1


def test_the_dicom_files_show_and_say_what_their_index_says(tmp_path: Path):
    folder = VECTORS / dicoms.FOLDER
    stored = json.loads((folder / dicoms.INDEX_FILE).read_text(encoding="utf-8"))
    dicoms.write_dicoms(tmp_path)
    for found in (dicoms.index_of(folder), json.loads((tmp_path / dicoms.INDEX_FILE).read_text(encoding="utf-8"))):
        for mine, theirs in zip(stored["masks"], found["masks"], strict=True):
            assert mine["unmeasured"] == theirs["unmeasured"], AGAIN
            for figure in ("area_mm2", "diameter_mm"):
                assert mine[figure] == pytest.approx(theirs[figure]), AGAIN
        assert stored["pictures"] == found["pictures"], AGAIN
    sources = {None if entry["spacing"] is None else entry["spacing"]["from"] for entry in stored["pictures"]}
    assert sources == {None, "PixelSpacing", "ImagerPixelSpacing", "SequenceOfUltrasoundRegions"}
