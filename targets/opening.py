"""Opening a bundle's artifact in its target's runtime."""

from __future__ import annotations

from s2m_edge.deploy.bundle import Bundle
from s2m_edge.targets.base import Runner
from s2m_edge.targets.registry import Target, find_target


def target_of(bundle: Bundle) -> Target:
    """The registry's row of a bundle.

    Raises:
        CapabilityError: its target is unknown.
    """
    return find_target(bundle.contract.target)


def open_runner(bundle: Bundle, threads: int | None = None) -> Runner:
    """Load a bundle's artifact in a fresh runner.

    Raises:
        CapabilityError: its target is unknown.
        MissingBackendError: the runtime is not installed.
        LoweringError: the artifact does not load.
    """
    target = target_of(bundle)
    target.require_backend()
    contract = bundle.contract
    return target.runner_class()(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
