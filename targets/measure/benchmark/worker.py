"""`python -m s2m_edge.targets.measure.benchmark.worker`: one contender in a process of its own.

Requests come as lines of JSON on standard input and are answered one by one on standard output: {"result": ...}, or
{"error": text}. The process ends with its standard input, so that none survives the command that began it.

    open      {contender, threads, picture}   load it; verdict, device, seconds
    run       {count}                         predict; milliseconds of each
    memory    {}                              MiB above the process with its imports
    kernels   {}                              names of the kernels of one prediction, where the runtime says
    seen      {names}                         which of these features it finds though they are hidden
    streams   {count}                         images per second in the runtime's own streams
    dice      {samples}                       mean Dice
    profile   {rounds}                        where the time goes, see profile/
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.preprocess import network_input
from s2m_edge.imaging.read import read_image
from s2m_edge.targets.measure.benchmark.ceiling import MatrixProduct
from s2m_edge.targets.measure.benchmark.contenders import Contender
from s2m_edge.targets.measure.benchmark.memory import (
    peak_and_resident_memory,
    peak_memory,
    reset_peak,
    resident_memory,
)
from s2m_edge.targets.measure.benchmark.samples import SampleChoice
from s2m_edge.targets.measure.benchmark.subjects import first_line, import_for, open_subject


class Worker:
    """Answers requests about one contender."""

    def open(self, request: dict[str, Any]) -> dict[str, Any]:
        self.contender, self.threads = Contender.from_dict(request["contender"]), int(request["threads"])
        if self.contender.kind == "matrix product":
            product = MatrixProduct(self.threads)
            self._run = product.run
            return {"verdict": "executed", "device": "PyTorch", "load_seconds": 0.0}
        import_for(self.contender)
        picture = Path(request["picture"])
        image = read_image(picture)  # before the baseline: a reader's memory is not the contender's
        reset_peak()
        self._baseline = resident_memory() or peak_memory()
        began = time.perf_counter()
        subject = self.subject = open_subject(self.contender, self.threads)
        seconds = time.perf_counter() - began
        preprocessing = self._preprocessing()
        if preprocessing.intensity != Intensity():
            image = read_image(picture, intensity=preprocessing.intensity)
        fitted = self.fitted = network_input(image, preprocessing)
        self._run = lambda: subject.run(fitted)
        return {"verdict": subject.verdict, "device": subject.device, "load_seconds": seconds}

    def run(self, request: dict[str, Any]) -> list[float]:
        return [self._run() for _ in range(int(request["count"]))]

    def memory(self, request: dict[str, Any]) -> dict[str, float | None]:
        (peak, resident), baseline = peak_and_resident_memory(), self._baseline
        return {
            "peak": None if peak is None or baseline is None else peak - baseline,
            "resident": None if resident is None or baseline is None else resident - baseline,
        }

    def kernels(self, request: dict[str, Any]) -> list[str]:
        from s2m_edge.targets.measure.benchmark.kernels import executed_kernels

        return executed_kernels(self.contender, self.threads, self._run)

    def seen(self, request: dict[str, Any]) -> list[str] | None:
        from s2m_edge.targets.measure.benchmark.older_processor import still_seen

        return still_seen(list(request["names"]))

    def streams(self, request: dict[str, Any]) -> dict[str, Any]:
        from s2m_edge.targets.measure.benchmark.streams import openvino_streams

        return openvino_streams(self.contender, self.threads, int(request["count"]), self.fitted)

    def dice(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Mean Dice over the samples, with its 95 % interval; None for weights that are random."""
        if self.subject.predictor is None:
            return None
        from s2m_edge.targets.measure.evaluation.evaluate import evaluate_samples
        from s2m_edge.targets.measure.evaluation.report import summarise_images

        samples = SampleChoice.from_dict(request["samples"]).find()
        summary = summarise_images(evaluate_samples(self.subject.predictor, samples))["dice"]
        interval = None if summary.mean_interval is None else list(summary.mean_interval)
        return {"mean": summary.mean, "interval": interval, "images": len(samples)}

    def profile(self, request: dict[str, Any]) -> dict[str, Any]:
        from s2m_edge.targets.measure.benchmark.profile.measure import profile_contender

        return profile_contender(self.contender, self.fitted, self.threads, int(request["rounds"])).to_dict()

    def _preprocessing(self) -> Any:
        return self.subject.preprocessing


def main() -> None:
    answers = _take_standard_output()
    worker = Worker()
    names = ("open", "run", "memory", "kernels", "seen", "streams", "dice", "profile")
    actions = {name: getattr(worker, name) for name in names}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": actions[request["do"]](request)}
        except S2MEdgeError as error:
            answer = {"error": str(error)}
        except Exception as error:  # runtimes raise anything; the command says it in the contender's row
            answer = {"error": f"{type(error).__name__}: {first_line(error)}"}
        print(json.dumps(answer), file=answers, flush=True)


def _take_standard_output() -> IO[str]:
    """Standard output for answers alone: whatever a backend prints goes to standard error."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main()
