"""Recorded references against each other, and against the same network run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from networks import plain_u_net
from s2m_edge.deploy.recording import Record, record_reference
from s2m_edge.errors import ContractError, ParityError
from s2m_edge.targets.measure.parity.recorded import moves_between, verify_record

NETWORK, SPEC = plain_u_net(32, 24)
SPEC = SPEC.of(NETWORK)
FILE = Path("reference")


@pytest.fixture(scope="module")
def record(polyp_images: list[Path]) -> Record:
    return record_reference(NETWORK, SPEC, polyp_images[:3], "cpu")


def shifted(record: Record, by: float, index: int = 1) -> Record:
    """A record with the logits of one picture moved."""
    from s2m_edge.deploy.activation import probabilities
    from s2m_edge.imaging.preprocess import mask_from_probabilities

    entry = record.golden[index]
    logits = entry.logits + np.float32(by)
    moved = replace(entry, logits=logits, mask=mask_from_probabilities(probabilities(logits), record.threshold))
    return replace(record, golden=(*record.golden[:index], moved, *record.golden[index + 1 :]))


def test_the_network_run_again_holds_its_reference(record: Record):
    found = verify_record(record, NETWORK, SPEC, "cpu", FILE)
    assert found.breaches == []
    assert found.precision == "float32"
    assert max(move.figures.max_probability_error for move in found.moves.pictures) < 1e-5
    found.require_held(FILE)


def test_a_reference_that_the_network_does_not_give_any_more_is_a_breach(record: Record):
    found = verify_record(shifted(record, 0.5), NETWORK, SPEC, "cpu", FILE)
    assert len(found.breaches) == 2  # the largest error, and pixels that changed their label
    assert all(record.golden[1].name in breach for breach in found.breaches)
    with pytest.raises(ParityError, match="does not hold on PyTorch eager") as caught:
        found.require_held(FILE)
    assert caught.value.exit_code == 1


def test_what_is_just_within_the_gate_holds(record: Record):
    moved = verify_record(shifted(record, 2e-5), NETWORK, SPEC, "cpu", FILE)
    assert moved.moves.pictures[1].figures.max_probability_error > 1e-6
    assert moved.breaches == []


def test_a_network_that_answers_no_numbers_is_a_breach(record: Record):
    class Broken(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return NETWORK(image) * float("nan")

    found = verify_record(record, Broken(), SPEC, "cpu", FILE)
    assert {entry.name for entry in record.golden} == {
        breach.split(":")[0] for breach in found.breaches if "not finite" in breach
    }


def test_another_network_is_not_compared(record: Record):
    with pytest.raises(ContractError, match="another checkpoint"):
        verify_record(record, NETWORK, replace(SPEC, weights_sha256="1" * 64), "cpu", FILE)


def test_what_moved_is_told_picture_by_picture(record: Record):
    assert moves_between(record, record).nothing
    after = shifted(record, 0.5)
    found = moves_between(record, after)
    assert [move.nothing for move in found.pictures] == [True, False, True]
    assert found.pictures[1].changed == (record.golden[1].mask != after.golden[1].mask).sum() > 0
    assert found.pictures[1].figures.max_probability_error == pytest.approx(0.12, abs=0.01)
    lines = found.lines()
    assert "largest probability error 0.0e+00, 0 pixels changed" in lines[0]
    assert f"{found.pictures[1].changed} pixels changed their label" in lines[1]
    assert found.to_dict()["images"][1]["changed_pixels"] == found.pictures[1].changed


def test_pictures_are_known_by_their_pixels_and_not_by_name_or_place(record: Record):
    first, second, third = record.golden
    found = moves_between(record, replace(record, golden=(replace(third, name="renamed"), first)))
    assert [move.figures.name for move in found.pictures] == [first.name, third.name]
    assert found.missing == (second.name,)
    assert not found.nothing
    back = moves_between(replace(record, golden=(first,)), record)
    assert back.added == (second.name, third.name)
    assert back.lines()[-1] == f"{third.name}: new"


def test_references_of_different_networks_are_not_compared(record: Record):
    for key in ("weights_sha256", "spec_sha256"):
        with pytest.raises(ContractError, match="different networks"):
            moves_between(record, replace(record, stamp={**record.stamp, key: "0" * 64}))
    cut = tuple(replace(entry, logits=entry.logits[:, :-1]) for entry in record.golden)
    with pytest.raises(ContractError, match="different networks"):
        moves_between(record, replace(record, golden=cut))
