"""The committed contract vectors are what the code gives now, and hold what they claim to."""

from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from s2m_edge.apps.vectors import EXAMPLE_BUNDLE, INDEX_FILE, TENSORS_FILE, VECTORS, generate
from s2m_edge.apps.vectors.bundle import example_contract, example_parity, golden_entries
from s2m_edge.apps.vectors.cases import CASES
from s2m_edge.apps.vectors.pictures import close_to_a_half, exact_weights
from s2m_edge.reference import read_golden
from s2m_edge.targets.bundle import open_bundle

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
        tolerance = index["tolerance"]["normalised"] if name.endswith(".normalised") else 0
        assert np.allclose(stored, tensor, rtol=0, atol=tolerance, equal_nan=True), f"{name}: {AGAIN}"
    for key in ("schema_version", "notice", "tolerance", "cases", "hashes"):
        assert index[key] == values[key], AGAIN
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
    assert sum((VECTORS / name).stat().st_size for name in (INDEX_FILE, TENSORS_FILE)) < 2**20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rounding_errors_cannot_change_an_integer(case, tensors):
    """An independent float64 resize gives the same levels, and stays away from every half that is not exact."""
    size, picture = case.preprocessing.size, tensors[f"{case.name}.picture"]
    assert len(close_to_a_half(picture, case)) == 0
    planes = picture.astype(np.float64).transpose(2, 0, 1)
    if case.preprocessing.channels == 1:
        planes = np.tensordot(np.array([0.299, 0.587, 0.114]), planes, axes=1)[None]
    exact = exact_weights(case.height, size) @ planes @ exact_weights(case.width, size).T
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
        assert sum(counts) == entry["preprocessing"]["size"] ** 2
        assert sum(entry["area"]["original"]) == entry["height"] * entry["width"]
        assert max(counts) < sum(counts)


def test_comparisons_end_both_ways(index):
    verdicts = {entry["name"]: entry["expected"]["passed"] for entry in index["comparisons"]}
    failed = {name for name, passed in verdicts.items() if not passed}
    assert failed == {"compare-apart", "compare-no-number", "compare-two-flips", "compare-small-mask"}


def test_the_example_bundle_is_a_sound_bundle_and_what_the_code_gives_now():
    bundle = open_bundle(VECTORS / EXAMPLE_BUNDLE)
    assert bundle.contract.values == example_contract(bundle.folder), AGAIN
    entries, made = read_golden(bundle.folder / "golden.safetensors")[0], golden_entries()
    for stored, computed in zip(entries, made, strict=True):
        assert stored.name == computed.name
        for part in ("image", "logits", "mask"):
            assert np.array_equal(getattr(stored, part), getattr(computed, part)), AGAIN
    assert json.loads((bundle.folder / "parity.json").read_text()) == example_parity(made), AGAIN
    assert 0.2 < made[0].mask.mean() < 0.8
