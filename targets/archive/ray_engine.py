"""Working on an archive with Ray Data: actors that hold a runner each, on this machine or on a cluster."""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from s2m_edge import interrupts
from s2m_edge.devices import THREAD_VARIABLES
from s2m_edge.errors import LoweringError, MissingBackendError, S2MEdgeError, causes, in_one_line
from s2m_edge.installation import install_command
from s2m_edge.targets.archive.job import Job, Outcome
from s2m_edge.targets.archive.local import Crew, variables
from s2m_edge.targets.archive.work import Worker
from s2m_edge.targets.quiet import quiet_native

OBJECT_STORE = 100 * 2**20
"""Bytes of shared memory of a cluster of our own: jobs and outcomes are texts, pictures stay in their files."""

LONGEST_FOLDER = 40
"""Of a temporary folder's path: sockets are made in it, whose paths the system limits to 107 characters."""

BLOCK = 64
"""Most items of one task. Each outcome comes back when it is there, whatever the task's size."""


def require_ray() -> None:
    """Raise MissingBackendError unless Ray Data is installed. Imports nothing."""
    if any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow")):
        raise MissingBackendError("Ray Data is not installed", install_command("archive"))


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
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its errors come as exceptions too
    require_ray()
    try:
        with _cluster(crew, address):
            yield from _outcomes(listed, crew)
    except (S2MEdgeError, GeneratorExit):
        raise
    except Exception as error:
        interrupts.heed(error)
        first = next((cause for cause in causes(error) if isinstance(cause, S2MEdgeError)), error)
        raise LoweringError(f"Ray failed ({in_one_line(first)})", "Use the local engine.") from None


@contextmanager
def _cluster(crew: Crew, address: str | None) -> Iterator[None]:
    """A connection to a cluster, within; one of our own listens on this machine alone, to whom has its password."""
    with ExitStack() as stack:
        how: dict[str, Any] = {"address": address}
        if address is None:
            stack.enter_context(variables({**_password(), **dict.fromkeys(THREAD_VARIABLES, str(crew.threads))}))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            how = {
                "address": "local",
                "num_cpus": crew.workers * crew.threads,
                "object_store_memory": OBJECT_STORE,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",  # or Ray asks the system for the way to another network
                **({"_temp_dir": folder} if len(folder) <= LONGEST_FOLDER else {}),
            }
        import ray

        try:
            with quiet_native():
                ray.init(log_to_driver=False, configure_logging=False, **how)
        except Exception as error:
            interrupts.heed(error)
            where = "be started" if address is None else f"be reached at {address}"
            raise LoweringError(f"Ray cannot {where} ({in_one_line(error)})", "Use --engine local.") from None
        stack.callback(ray.shutdown)
        yield


@cache
def _password() -> dict[str, str]:
    """Of our own clusters, for this process, read when Ray is imported. Ray would keep one in the home folder."""
    if "ray" in sys.modules:
        return {}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


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
        num_cpus=crew.threads,
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
