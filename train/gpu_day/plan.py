"""What a day is made of: its sizes on a GPU, and those of a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of everything that is measured and trained.

    Attributes:
        size, batch: of the pictures, and of a step.
        rounds: of each measurement.
        product: side of the square matrices whose product sets the ceiling.
        compiler: torch.compile's backend; "eager" traces and compiles nothing.
        pictures: of a recorded reference, per network; at 352 x 352 ten of them are near 16 MB.
        encoder: of the teacher.
        teacher_share: of the time that is left when the teacher begins.
        teacher_epochs, student_epochs: at most.
        workers: processes that read and augment, at most; cores bound them too.
        pack_every: seconds between two states kept in --out.
    """

    size: int = 352
    batch: int = 32
    rounds: int = 20
    product: int = 8192
    compiler: str = "inductor"
    pictures: int = 4
    encoder: str = "efficientnet-lite1"
    teacher_share: float = 0.3
    teacher_epochs: int = 40
    student_epochs: int = 400
    workers: int = 16
    pack_every: float = 60.0


REHEARSAL = Plan(96, 2, 1, 128, "eager", 1, "efficientnet-lite0", 0.3, 1, 1, 0, 0.0)
