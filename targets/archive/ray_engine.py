"""Working on an archive with Ray Data: actors that hold a runner each, on this machine or on a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from s2m_edge import interrupts
from s2m_edge.errors import LoweringError, MissingBackendError, S2MEdgeError, causes, in_one_line
from s2m_edge.installation import install_command
from s2m_edge.targets.archive.local import Crew
from s2m_edge.targets.archive.work import Job, Outcome, Worker

OBJECT_STORE = 100 * 2**20
"""Bytes of shared memory of a cluster of our own: jobs and outcomes are texts, pictures stay in their files."""

BLOCK = 64
"""Most items of one task. Each outcome comes back when it is there, whatever the task's size."""


def require_ray() -> None:
    """Raise MissingBackendError unless Ray Data is installed."""
    try:
        import pyarrow  # noqa: F401
        import ray  # noqa: F401
    except ImportError:
        raise MissingBackendError("Ray Data is not installed", install_command("archive")) from None


def work_with_ray(jobs: Iterable[Job], crew: Crew, address: str | None = None) -> Iterator[Outcome]:
    """As `work_locally`, with as many actors as the crew has workers.

    A cluster of this machine's own is started and ended, which takes no notice of the environment's RAY_ADDRESS. It
    reports nothing to anyone and has no dashboard.

    Args:
        jobs: all of them are held in memory.
        address: of a cluster that runs already, whose machines see bundle, pictures and output by the same paths and
            have this package; it is left running.

    Raises:
        LoweringError: the cluster cannot be started or reached, or failed.
        S2MEdgeError: no item at all can be worked on.
    """
    listed = list(jobs)
    if not listed:
        return
    require_ray()
    import ray
    import ray.data

    own = {"num_cpus": crew.workers, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(
            address=address or "local",
            log_to_driver=False,
            configure_logging=False,
            **(own if address is None else {}),
        )
    except Exception as error:
        interrupts.heed(error)
        where = "be started" if address is None else f"be reached at {address}"
        raise LoweringError(f"Ray cannot {where} ({in_one_line(error)})", "Use the local engine, or mend it.") from None
    try:
        yield from _outcomes(listed, crew)
    except (S2MEdgeError, GeneratorExit):
        raise
    except Exception as error:
        interrupts.heed(error)
        first = next((cause for cause in causes(error) if isinstance(cause, S2MEdgeError)), error)
        raise LoweringError(f"Ray failed ({in_one_line(first)})", "Use the local engine.") from None
    finally:
        ray.shutdown()


def _outcomes(jobs: list[Job], crew: Crew) -> Iterator[Outcome]:
    import pickle

    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # each outcome is a block of its own, and is told at once
    blocks = min(len(jobs), max(4 * crew.workers, -(-len(jobs) // BLOCK)))
    rows = [{"job": pickle.dumps(job)} for job in jobs]
    data: Any = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Actor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=crew.workers),
        num_cpus=1,
        fn_constructor_args=(crew,),
    )
    for row in data.iter_rows():
        outcome: Outcome = pickle.loads(row["outcome"])
        if outcome.fatal:
            raise S2MEdgeError(outcome.fatal)
        yield outcome


class _Actor:
    """What Ray keeps alive: a worker with its runner."""

    def __init__(self, crew: Crew) -> None:
        self.worker: Worker | None = None
        self.fatal = ""
        try:
            self.worker = Worker(Path(crew.bundle), Path(crew.out), crew.options, crew.threads)
        except S2MEdgeError as error:
            self.fatal = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        import pickle

        worker, fatal = self.worker, Outcome("failed", fatal=self.fatal)
        found = [fatal if worker is None else worker.work(pickle.loads(job)) for job in batch["job"]]
        return {"outcome": [pickle.dumps(outcome) for outcome in found]}
