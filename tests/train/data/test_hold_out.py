"""Where no validation split is named, whole cases are held out."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.train.data.sample import Sample
from s2m_edge.train.data.splits import hold_out


def make(stem: str, case: str = "") -> Sample:
    return Sample(stem, Path(f"{stem}.png"), Path(f"{stem}.png"), case=case)


def test_the_last_fifth_is_held_out():
    train, validation = hold_out([make(f"{number:02}") for number in range(20)])
    assert [sample.stem for sample in validation] == ["16", "17", "18", "19"]
    assert len(train) == 16


def test_a_case_is_never_on_two_sides():
    samples = [make(f"{number:02}", f"patient{number // 3}") for number in range(12)]
    train, validation = hold_out(samples)
    assert {sample.case for sample in validation} == {"patient3"}
    assert not {sample.case for sample in train} & {sample.case for sample in validation}


def test_one_sample_leaves_nothing_to_train_on():
    train, validation = hold_out([make("only")])
    assert not train
    assert len(validation) == 1
