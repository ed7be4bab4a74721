"""How far a benchmark is, and how long the rest will take, from how long its steps took so far."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Literal

Kind = Literal["export", "loading", "round", "streams", "scoring"]
SECONDS: dict[Kind, float] = {"export": 25.0, "loading": 3.0, "round": 2.0, "streams": 15.0, "scoring": 4.0}
"""Of one step of a kind before the first was seen: two cores and the polyp network, roughly."""

Show = Callable[[str, float, float], None]
"""Text, seconds that have passed, seconds that remain by estimate."""


class Pace:
    """Steps of several kinds, each begun in turn; the estimate takes the mean of those of a kind that are over.

    Args:
        show: called whenever a step begins or says more of itself.
    """

    def __init__(
        self, show: Show = lambda text, passed, left: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._show, self._clock = show, clock
        self._began = self._step_began = clock()
        self._ahead: dict[Kind, int] = defaultdict(int)
        self._took: dict[Kind, list[float]] = defaultdict(list)
        self._current: Kind | None = None

    def expect(self, kind: Kind, count: int) -> None:
        """There will be `count` steps of a kind."""
        self._ahead[kind] = count

    def begin(self, kind: Kind, text: str) -> None:
        """The next step begins; the one before is over."""
        self.end()
        self._current = kind
        self._ahead[kind] = max(0, self._ahead[kind] - 1)
        self.detail(text)

    def end(self) -> None:
        """The step is over."""
        now = self._clock()
        if self._current is not None:
            self._took[self._current].append(now - self._step_began)
        self._current, self._step_began = None, now

    def detail(self, text: str) -> None:
        """What the step does now."""
        words = text if self._current in (None, "round") else f"{self._current} {text}"
        self._show(words, self._clock() - self._began, self.seconds_left())

    def seconds_left(self) -> float:
        """The estimate, of what is ahead and of the rest of this step."""
        rest = sum(count * self._seconds(kind) for kind, count in self._ahead.items())
        if self._current is None:
            return rest
        return rest + max(0.0, self._seconds(self._current) - (self._clock() - self._step_began))

    def _seconds(self, kind: Kind) -> float:
        took = self._took[kind]
        return sum(took) / len(took) if took else SECONDS[kind]
