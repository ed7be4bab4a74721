"""What a page says of one bundle: its report as it was exported, and its recorded inputs run once more, here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.bundle import COPY_AGAIN, Bundle
from s2m_edge.deploy.golden import GOLDEN_FILE, Golden, read_golden
from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.errors import ContractError, MissingBackendError, S2MEdgeError, in_one_line
from s2m_edge.targets.answer import shaped_answer
from s2m_edge.targets.base import Runner
from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.gates import GATES, run_breaches
from s2m_edge.targets.measure.parity.report import PARITY_FILE, ParityReport
from s2m_edge.targets.opening import open_runner


@dataclass(frozen=True)
class ShownInput:
    """A recorded input with both answers to it.

    Attributes:
        golden: the fitted picture and the reference's answer.
        reference: probabilities of the reference, outputs x height x width, float32.
        edge: of the artifact, run here; None where it was not.
        parity: how far they lie apart; None where it was not run.
        guard: how unlike the training's pictures it is; None of a bundle without a guard.
    """

    golden: Golden
    reference: NDArray[np.float32]
    edge: NDArray[np.float32] | None
    parity: ImageParity | None
    guard: GuardVerdict | None


@dataclass(frozen=True)
class BundleFacts:
    """One bundle.

    Attributes:
        bundle: opened, every file checked against its hash.
        report: its `parity.json`: what was measured when it was exported.
        shown: its recorded inputs, the worst here first; in their own order where none was run.
        device: what they were run on; empty where they were not.
        not_run: why nobody tried: a runtime that is missing, or it was not asked for; empty where somebody did.
        failure: why an artifact that was tried does not load or does not answer; that is a breach.
        name: what the page calls it.
    """

    bundle: Bundle
    report: ParityReport
    shown: tuple[ShownInput, ...]
    device: str
    not_run: str
    failure: str = ""
    name: str = ""

    @property
    def breaches_here(self) -> list[str]:
        """What of the recorded inputs, run here, lies outside the gate; nothing where they were not run."""
        measured = [entry.parity for entry in self.shown if entry.parity is not None]
        return run_breaches(GATES[self.report.precision], measured) if measured else []

    @property
    def breaches(self) -> list[str]:
        """Of the export and of here."""
        failed = [self.failure] if self.failure else []
        return [*self.report.breaches, *(f"run here: {breach}" for breach in (*failed, *self.breaches_here))]


def read_parity(bundle: Bundle) -> ParityReport:
    """A bundle's `parity.json`. Whether it passed is decided from its figures again, and not read.

    Raises:
        ContractError: it is damaged, or of another artifact.
    """
    path = bundle.folder / PARITY_FILE
    try:
        report = ParityReport.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ContractError(f"{path} is damaged ({in_one_line(error)})", COPY_AGAIN) from None
    contract = bundle.contract
    if (report.target, report.precision, report.hashes.get("weights")) != (
        contract.target,
        contract.precision,
        contract.weights_sha256,
    ):
        raise ContractError(f"{path} is about another artifact", COPY_AGAIN)
    return report


def bundle_facts(bundle: Bundle, threads: int | None = None, run: bool = True) -> BundleFacts:
    """Read a bundle's report, and run its recorded inputs through its artifact.

    Args:
        threads: of the runtime.
        run: whether to; the page says that nobody did.

    Raises:
        ContractError: the report or the recorded inputs are damaged.
    """
    report = read_parity(bundle)
    golden, _ = read_golden(bundle.folder / GOLDEN_FILE)
    runner, not_run, failure = _open(bundle, threads) if run else (None, "it was not asked for", "")
    shown: list[ShownInput] = []
    for entry in golden:
        guard = None if bundle.guard is None else bundle.guard.judge(entry.image)
        reference = probabilities(entry.logits)
        edge = measured = None
        if runner is not None:
            try:
                began = time.perf_counter()
                edge = shaped_answer(runner.predict, entry.image, reference.shape)
                milliseconds = (time.perf_counter() - began) * 1e3
                measured = compare(entry.name, reference, edge, bundle.contract.threshold, milliseconds)
            except S2MEdgeError as error:
                runner, failure = None, error.cause
        shown.append(ShownInput(entry, reference, edge, measured, guard))
    ordered = worst_first(shown)
    if runner is None:  # of one that failed on the way, what it answered before means nothing
        ordered = tuple(replace(entry, edge=None, parity=None) for entry in ordered)
    device = "" if runner is None else runner.device
    return BundleFacts(bundle, report, ordered, device, not_run, failure, bundle.folder.resolve().name)


def _open(bundle: Bundle, threads: int | None) -> tuple[Runner | None, str, str]:
    """A runner, why there is none to try, and why the artifact does not load."""
    try:
        return open_runner(bundle, threads), "", ""
    except MissingBackendError as error:
        return None, error.cause, ""
    except S2MEdgeError as error:
        return None, "", f"the artifact does not load ({error.cause})"


def worst_first(shown: Iterable[ShownInput]) -> tuple[ShownInput, ...]:
    """Recorded inputs by their error, those that were not run last."""
    return tuple(sorted(shown, key=_error, reverse=True))


def _error(entry: ShownInput) -> float:
    """No number is worse than any."""
    if entry.parity is None:
        return -1.0
    error = entry.parity.max_probability_error
    return float("inf") if np.isnan(error) else error
