"""How far a batch of pictures is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Batch:
    """A batch in work; one of no pictures is none.

    Attributes:
        total, done, failed: pictures and slices; the failed ones are among those done.
    """

    total: int = 0
    done: int = 0
    failed: int = 0

    @property
    def running(self) -> bool:
        return self.total > 0

    @property
    def complete(self) -> bool:
        return self.done >= self.total

    @property
    def progress(self) -> str:
        """For people; empty where there is no batch."""
        return f"{self.done} of {self.total}" if self.running else ""

    @property
    def summary(self) -> str:
        """What came of it, for people."""
        failed = f", {self.failed} could not be read" if self.failed else ""
        return f"{self.done - self.failed} segmented{failed}"
