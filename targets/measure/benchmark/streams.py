"""Throughput: images per second where several are under way at once, as for an archive.

Artifacts take one picture at a time (they are exported with batch 1), so that streams stand for a batch. OpenVINO has
streams of its own, with its throughput hint and a queue of requests. Everything else runs in as many processes as there
are threads, with one thread each: no runtime's locks, and none of Python's, stand in the way.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.targets.measure.benchmark.contenders import Contender
from s2m_edge.targets.measure.benchmark.processes import WorkerProcess, begin_worker

WARM_UP = 2
METHOD = (
    "images per second with several under way, every other contender at rest, batch 1; OpenVINO with its throughput "
    "hint and as many requests as it asks for, the others in as many processes as threads, with one thread each"
)


def has_own_streams(contender: Contender) -> bool:
    """Whether the runtime serves several pictures at once by itself."""
    return contender.kind == "bundle" and contender.target == "openvino"


def process_streams(
    contender: Contender, streams: int, count: int, picture: str, variables: dict[str, str]
) -> dict[str, Any]:
    """Throughput of `streams` processes with one thread each.

    Args:
        count: predictions of each.
        variables: of the processes' environment.

    Raises:
        LoweringError: one of them failed.
    """
    with ExitStack() as stack:
        workers = [begin_worker(stack, contender, 1, variables) for _ in range(streams)]
        for worker in workers:
            worker.ask("open", contender=contender.to_dict(), threads=1, picture=picture)
        _run_all(workers, WARM_UP)
        began = time.perf_counter()
        _run_all(workers, count)
        seconds = time.perf_counter() - began
    return {"images_per_second": streams * count / seconds, "streams": streams, "how": "processes"}


def _run_all(workers: list[WorkerProcess], count: int) -> None:
    for worker in workers:
        worker.send("run", count=count)
    for worker in workers:
        worker.receive()


def openvino_streams(contender: Contender, threads: int, count: int, fitted: NDArray[np.uint8]) -> dict[str, Any]:
    """Throughput of OpenVINO's own streams over `threads` threads.

    Args:
        count: predictions of each stream.
        fitted: height x width x channels, uint8.
    """
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.openvino.backend import import_openvino
    from s2m_edge.targets.openvino.run import OpenVINORunner

    class ThroughputRunner(OpenVINORunner):
        def plugin_options(self) -> dict[str, Any]:
            return {**super().plugin_options(), "PERFORMANCE_HINT": "THROUGHPUT"}

    bundle = open_bundle(contender.source, verify=False, proved=False)
    contract = bundle.contract
    runner = ThroughputRunner(bundle.artifact, bundle.interface, contract.preprocessing, contract.precision, threads)
    queue = import_openvino().AsyncInferQueue(runner.compiled)  # as many requests as the plugin asks for
    answers: list[NDArray[np.float32]] = []
    queue.set_callback(lambda request, _: answers.append(np.array(request.get_output_tensor().data)))
    image = np.ascontiguousarray(fitted)[None]

    def run(images: int) -> float:
        began = time.perf_counter()
        for _ in range(images):
            queue.start_async([image])
        queue.wait_all()
        answers.clear()
        return time.perf_counter() - began

    requests = len(queue)
    run(WARM_UP * requests)
    seconds = run(count * requests)
    streams = int(runner.compiled.get_property("NUM_STREAMS"))
    return {"images_per_second": count * requests / seconds, "streams": streams, "how": "OpenVINO's own streams"}
