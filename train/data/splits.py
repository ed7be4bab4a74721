"""Who trains and who tests: published splits, and a fixed draw of whole cases where there is none."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from s2m_edge.train.data.sample import Sample


@dataclass(frozen=True)
class SplitPlan:
    """How the cases of a data set are divided.

    Attributes:
        statement: one sentence for people.
        named: pairs of a pattern and a split. The first pattern that matches the published part, or else the case, in
            full decides.
        validation, test: shares of the remaining cases that a draw puts into these splits; the rest trains.
        unnamed_case: the split of images whose case is unknown but matters (frames of videos that nobody named).
            None: such an image is a case of its own.
    """

    statement: str
    named: tuple[tuple[str, str], ...] = ()
    validation: float = 0.1
    test: float = 0.1
    unnamed_case: str | None = None


def divide_cases(cases: set[tuple[str, str]], plan: SplitPlan) -> dict[tuple[str, str], str]:
    """The split of every (published part, case).

    The draw orders cases by the SHA-256 of their name and takes test from the front, then validation: the same cases
    give the same split on every machine. From three cases on, no share above zero comes out empty.
    """
    divided: dict[tuple[str, str], str] = {}
    for part, case in cases:
        rule = next((split for pattern, split in plan.named if re.fullmatch(pattern, part or case)), None)
        if rule is None and not case and plan.unnamed_case is not None:
            rule = plan.unnamed_case
        if rule is not None:
            divided[part, case] = rule
    drawn = sorted({case for part, case in cases if (part, case) not in divided}, key=_rank)
    test, validation = (_count(share, len(drawn)) for share in (plan.test, plan.validation))
    splits = {
        case: "test" if place < test else "val" if place < test + validation else "train"
        for place, case in enumerate(drawn)
    }
    return divided | {key: splits[key[1]] for key in cases if key not in divided}


def hold_out(samples: list[Sample], share: float = 0.2) -> tuple[list[Sample], list[Sample]]:
    """Samples to train on and to validate with, where nobody named the latter: whole cases from the end of the list.

    Where cases are not known, the last `share` of the samples, so that neighbouring frames mostly stay together.
    """
    groups = list(dict.fromkeys(sample.case or sample.stem for sample in samples))
    wanted, held = round(share * len(samples)), set[str]()
    while groups and sum((sample.case or sample.stem) in held for sample in samples) < max(1, wanted):
        held.add(groups.pop())
    kept = [sample for sample in samples if (sample.case or sample.stem) not in held]
    return kept, [sample for sample in samples if (sample.case or sample.stem) in held]


def _rank(case: str) -> str:
    return hashlib.sha256(case.encode()).hexdigest()


def _count(share: float, cases: int) -> int:
    return max(1, round(share * cases)) if share > 0 and cases >= 3 else 0
