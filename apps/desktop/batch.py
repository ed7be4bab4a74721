"""How far a batch of pictures is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Batch:
    """A batch in work; one of no pictures is none.

    Attributes:
        total, done: pictures and slices, those that failed among them.
        reasons: why some could not be read, a line each.
    """

    total: int = 0
    done: int = 0
    reasons: list[str] = field(default_factory=list)

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
        failed = f", {len(self.reasons)} could not be read" if self.reasons else ""
        return f"{self.done - len(self.reasons)} segmented{failed}"
