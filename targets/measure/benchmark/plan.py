"""Which targets, precisions and spectral lowerings take part, from the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s2m_edge.deploy.precision import DEFAULT_PRECISION, Precision, SpectralLowering
from s2m_edge.errors import CapabilityError, S2MEdgeError
from s2m_edge.targets.registry import TARGETS, Target


@dataclass(frozen=True)
class Combination:
    """One artifact to compare."""

    target: Target
    precision: Precision
    spectral: SpectralLowering


@dataclass(frozen=True)
class Plan:
    """What takes part, and one line for each target that does not."""

    combinations: tuple[Combination, ...]
    remarks: tuple[str, ...] = ()


def make_plan(
    targets: Sequence[Target] | None,
    precisions: Sequence[Precision] = (DEFAULT_PRECISION,),
    spectral: Sequence[SpectralLowering] | None = None,
    executed: bool = False,
) -> Plan:
    """Every combination that the registry has of what was asked for.

    Args:
        targets: None means all; of these, one that is not installed, lacks the rest or has a runtime whose times say
            nothing here is left out with a remark, while for one that was named the first two are errors.
        spectral: None means each target's default.
        executed: of all targets, leave those out whose runtime does not exist here, with a remark.

    Raises:
        CapabilityError, MissingBackendError: a named target has nothing of what was asked for, or no target has.
    """
    combinations: list[Combination] = []
    remarks: list[str] = []
    for target in TARGETS if targets is None else targets:
        if targets is None and target.slow_runtime:
            remarks.append(
                f"left out: the runtime of {target.name} here is {target.slow_runtime}; -t {target.name} asks"
            )
            continue
        if targets is None and executed and not target.executes_here():
            remarks.append(f"left out: {target.name} is executed on {' or '.join(target.executed_on)} only")
            continue
        lowerings = spectral or [target.default_lowering]
        asked = [Combination(target, precision, lowering) for precision in precisions for lowering in lowerings]
        refusals = [(entry, refusal(entry)) for entry in asked]
        found = [entry for entry, error in refusals if error is None]
        combinations += found
        if not found:
            error = next(error for _, error in refusals if error is not None)
            if targets is not None:
                raise error
            remarks.append(f"left out: {error}")
    if not combinations:
        raise CapabilityError(
            "no installed target has such artifacts",
            "s2m-edge targets lists precisions, lowerings and what is missing.",
        )
    return Plan(tuple(combinations), tuple(remarks))


def refusal(entry: Combination) -> S2MEdgeError | None:
    """Why this combination cannot be had; None where it can."""
    try:
        entry.target.require_capability(entry.precision, entry.spectral)
        entry.target.require_backend()
    except S2MEdgeError as error:
        return error
    return None
