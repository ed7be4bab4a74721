"""The estimate of what remains, from how long steps took."""

from __future__ import annotations

import pytest

from s2m_edge.targets.measure.benchmark.progress import SECONDS, Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_before_anything_was_seen_the_estimate_is_the_tables():
    pace = Pace()
    pace.expect("export", 2)
    pace.expect("round", 30)
    assert pace.seconds_left() == 2 * SECONDS["export"] + 30 * SECONDS["round"]


def test_steps_that_are_over_correct_it():
    clock = Clock()
    shown: list[tuple[str, float, float]] = []
    pace = Pace(lambda *line: shown.append(line), clock)
    pace.expect("round", 10)
    for index in range(3):
        pace.begin("round", f"round {index + 1}")
        clock.now += 4.0
    pace.begin("round", "round 4")
    assert shown[-1] == ("round 4", 12.0, pytest.approx(7 * 4.0))
    clock.now += 1.0
    assert pace.seconds_left() == pytest.approx(6 * 4.0 + 3.0)
    clock.now += 100.0  # a step that takes longer than the others leaves no negative time
    assert pace.seconds_left() == pytest.approx(6 * 4.0)


def test_a_step_says_what_it_is_and_what_it_does_now():
    shown: list[str] = []
    pace = Pace(lambda text, passed, left: shown.append(text))
    pace.begin("export", "onnx float32")
    pace.detail("onnx float32, parity 1 of 3")
    assert shown == ["export onnx float32", "export onnx float32, parity 1 of 3"]
