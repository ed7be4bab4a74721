"""The input guard: the statistic, its threshold, and the files that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from s2m_edge.checkpoint import BUNDLED_CHECKPOINTS, guard_beside, network_spec, read_header
from s2m_edge.deploy.guard import (
    FEWEST_PICTURES,
    GUARD_FILE,
    Guard,
    GuardVerdict,
    bundle_guard,
    fit_guard,
    read_guard,
    require_guard_fits,
    write_guard,
)
from s2m_edge.errors import ConfigurationError, ContractError
from s2m_edge.imaging.descriptor import descriptor_length
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.samples import sample_images

LENGTH = descriptor_length(3)


def drawn(count: int, seed: int) -> NDArray[np.float64]:
    """Descriptors that vary along three directions far more than along all others."""
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(LENGTH, LENGTH)))[0]
    spread = np.full(LENGTH, 0.1)
    spread[:3] = (2.0, 1.5, 1.0)
    return 0.5 + np.random.default_rng(seed).normal(size=(count, LENGTH)) * spread @ basis.T


@pytest.fixture
def guard() -> Guard:
    return fit_guard(drawn(200, 1), drawn(100, 2), 3, {"dataset": "made up"})


def test_one_in_twenty_of_further_pictures_is_unusual():
    guard = fit_guard(drawn(600, 1), drawn(400, 2), 3)
    assert (guard.scores(drawn(400, 2)) > guard.threshold).mean() == pytest.approx(0.05, abs=0.003)
    assert (guard.scores(drawn(2000, 3)) > guard.threshold).mean() == pytest.approx(0.05, abs=0.025)


def test_with_every_direction_kept_the_score_is_the_distance_of_the_whole_covariance():
    """Of as many large variances as directions are kept, all others alike, nothing is lost by the low rank."""
    training = drawn(4000, 1)
    guard = fit_guard(training, drawn(100, 2), 3)
    others = drawn(50, 3) + 0.2
    centred = others - training.mean(axis=0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(training.T)), centred))
    assert guard.scores(others) == pytest.approx(exact, rel=0.1)


def test_a_step_along_what_varies_counts_less_than_one_across(guard: Guard):
    mean = guard.mean.astype(np.float64)
    step = np.sqrt(LENGTH) * guard.directions[0] * guard.scale
    across = np.random.default_rng(3).normal(size=LENGTH)
    across -= guard.directions.T @ (guard.directions @ across)
    across *= np.sqrt(LENGTH) / np.linalg.norm(across) * guard.scale
    assert guard.scores(mean[None])[0] == 0
    assert guard.scores((mean + across)[None])[0] > 3 * guard.scores((mean + step)[None])[0]


def test_what_never_varied_in_training_is_not_taken_for_exact():
    training = drawn(100, 1)
    training[:, -1] = 0.25
    guard = fit_guard(training, drawn(100, 2), 3)
    assert np.isfinite(guard.scores(drawn(5, 3))).all()
    assert guard.scale[-1] == pytest.approx(0.02)


def test_few_validation_pictures_are_helped_by_those_left_out_in_turn_and_give_room():
    few = fit_guard(drawn(16, 1), drawn(4, 2), 3)
    assert few.provenance["validation_pictures"] == "4"
    assert (few.scores(drawn(16, 1)) < few.threshold).all()
    assert (few.scores(drawn(200, 3)) > few.threshold).mean() < 0.2
    assert (few.scores(drawn(200, 3) + 2) > few.threshold).all()
    none = fit_guard(drawn(16, 1), drawn(0, 2), 3)
    assert 0.5 < none.threshold / few.threshold < 2


def test_the_validation_pictures_set_the_threshold_and_nothing_else():
    one, other = (fit_guard(drawn(100, 1), scale * drawn(50, 2), 3) for scale in (1, 3))
    assert np.array_equal(one.directions, other.directions)
    assert np.array_equal(one.mean, other.mean)
    assert other.threshold > one.threshold


def test_too_few_training_pictures_are_refused():
    with pytest.raises(ConfigurationError, match=f"7 training pictures .* at least {FEWEST_PICTURES}"):
        fit_guard(drawn(7, 1), drawn(100, 2), 3)


def test_a_file_gives_back_what_was_written_and_is_small(guard: Guard, tmp_path: Path):
    write_guard(tmp_path / GUARD_FILE, guard)
    found = bundle_guard(tmp_path)
    assert found is not None
    for name in ("mean", "scale", "directions", "deviations", "residual", "threshold", "channels", "provenance"):
        assert np.array_equal(getattr(found, name), getattr(guard, name)), name
    assert np.array_equal(found.scores(drawn(9, 4)), guard.scores(drawn(9, 4)))
    assert (tmp_path / GUARD_FILE).stat().st_size < 30_000


def test_a_bundle_without_a_guard_has_none(tmp_path: Path):
    assert bundle_guard(tmp_path) is None


Tensors = dict[str, Any]
Metadata = dict[str, str]


def cut_directions(tensors: Tensors, metadata: Metadata) -> None:
    tensors["directions"] = tensors["directions"][:, :-1].copy()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda tensors, metadata: metadata.update(format="s2m-edge-checkpoint"), "but no guard"),
        (lambda tensors, metadata: metadata.update(format_version="2"), "guard format '2'"),
        (lambda tensors, metadata: metadata.update(descriptor="histogram-1"), "the descriptor 'histogram-1'"),
        (lambda tensors, metadata: metadata.pop("threshold"), "lacks channels or threshold"),
        (lambda tensors, metadata: metadata.update(threshold="nan"), "the threshold is nan"),
        (lambda tensors, metadata: metadata.update(threshold="-1"), "the threshold is -1"),
        (lambda tensors, metadata: metadata.update(channels="4"), "4 channels"),
        (lambda tensors, metadata: metadata.update(channels="1"), "mean is float32"),
        (lambda tensors, metadata: tensors.pop("scale"), "lacks scale"),
        (cut_directions, "directions is float32"),
        (lambda tensors, metadata: tensors.update(mean=tensors["mean"].astype(np.float64)), "mean is float64"),
        (lambda tensors, metadata: tensors["directions"].__setitem__((0, 0), np.nan), "directions is not finite"),
        (lambda tensors, metadata: tensors["scale"].__setitem__(0, 0), "scale is not positive"),
        (lambda tensors, metadata: tensors["deviations"].__setitem__(0, -1), "deviations is not positive"),
        (lambda tensors, metadata: tensors["residual"].__setitem__(0, np.inf), "residual is not finite"),
    ],
)
def test_a_damaged_file_is_refused(
    guard: Guard, tmp_path: Path, spoil: Callable[[Tensors, Metadata], object], words: str
):
    from safetensors import safe_open

    path = tmp_path / GUARD_FILE
    write_guard(path, guard)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    tensors = {name: value.copy() for name, value in load_file(path).items()}
    spoil(tensors, metadata)
    save_file(tensors, path, metadata)
    with pytest.raises(ContractError, match=words):
        bundle_guard(tmp_path)


def test_a_file_that_is_cut_off_or_missing_is_refused(guard: Guard, tmp_path: Path):
    path = tmp_path / GUARD_FILE
    write_guard(path, guard)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ContractError, match="no readable safetensors file"):
        read_guard(path)
    with pytest.raises(ContractError, match="there is no guard"):
        read_guard(tmp_path / "elsewhere.safetensors")


def test_a_guard_of_grey_pictures_does_not_fit_a_network_of_colour(guard: Guard):
    require_guard_fits(guard, 3)
    with pytest.raises(ContractError, match="3 channels, and the network takes 1"):
        require_guard_fits(guard, 1)


def test_a_verdict_warns_of_the_unusual_alone(guard: Guard):
    assert GuardVerdict(5.0, 5.0).warning == ""
    verdict = GuardVerdict(12.34, 5.06)
    assert "(score 12.3, usual up to 5.1)" in verdict.warning
    assert verdict.to_dict() == {"score": 12.34, "threshold": 5.06, "unusual": True}
    picture = np.zeros((96, 96, 3), np.uint8)
    assert guard.judge(picture) == GuardVerdict(guard.score(picture), guard.threshold)
    assert replace(guard, threshold=1e9).judge(picture).warning == ""


@pytest.mark.parametrize("name", BUNDLED_CHECKPOINTS)
def test_every_bundled_checkpoint_has_a_guard_that_knows_its_own_samples(name: str):
    header = read_header(name)
    path = guard_beside(header)
    assert path is not None
    guard = read_guard(path)
    assert guard.provenance["dataset"] == header.provenance["dataset"]
    assert guard.provenance["domain"] == header.provenance["domain"]
    given = network_spec(header).preprocessing
    require_guard_fits(guard, given.channels)
    for image in sample_images(None):
        own = image.name.startswith(f"{guard.provenance['domain']}-")
        assert guard.judge(fit_to_network(read_image(image), given)).unusual != own, image.name
    for level in (0, 128, 255):
        assert guard.judge(np.full(given.fitted_shape, level, np.uint8)).unusual
    noise = np.random.default_rng(0).integers(0, 256, given.fitted_shape, dtype=np.uint8)
    assert guard.judge(noise).unusual
