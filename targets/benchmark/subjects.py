"""Opening a contender in this process: imports first, so that load time and memory can be told from them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.targets.benchmark.contenders import Contender
from s2m_edge.targets.registry import find_target

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet
    from s2m_edge.targets.evaluation.predictors import Predictor

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
EXECUTED = "executed"


@dataclass(frozen=True)
class Subject:
    """An opened contender.

    Attributes:
        predict: probabilities of a fitted picture size x size x channels, uint8; None where the artifact cannot be
            executed on this machine.
        verdict: "executed", or what the runner says instead.
        device: what it runs on.
        predictor: for Dice; None for a peer, whose weights are random.
    """

    predict: Predict | None
    verdict: str
    device: str
    predictor: Predictor | None = None

    def run(self, fitted: NDArray[np.uint8]) -> float:
        """One prediction, in milliseconds, from the fitted picture to probabilities in numpy."""
        assert self.predict is not None
        began = time.perf_counter()
        self.predict(fitted)
        return (time.perf_counter() - began) * 1e3


def import_for(contender: Contender) -> None:
    """Import all that `open_subject` will need."""
    import s2m_edge.targets.bundle
    import s2m_edge.targets.evaluation.predictors

    if contender.kind in ("bundle", "peer"):
        find_target(contender.target).runner_class().import_backend()
        return
    import torch

    import s2m_edge.checkpoint
    import s2m_edge.model  # noqa: F401

    if contender.kind == "compiled":
        import torch._inductor.compile_fx  # noqa: F401


def open_subject(contender: Contender, threads: int) -> Subject:
    """Load it, ready to predict.

    Raises:
        S2MEdgeError: it cannot be loaded.
    """
    from s2m_edge.targets.evaluation.predictors import bundle_predictor

    if contender.kind == "peer":
        return _open_peer(contender, threads)
    if contender.kind == "bundle":
        from s2m_edge.targets.bundle import open_bundle

        predictor = bundle_predictor(open_bundle(contender.source, verify=False), threads)
        runs = predictor.predict if predictor.verdict == EXECUTED else None
        return Subject(runs, predictor.verdict, predictor.device, predictor)
    predictor = pytorch_predictor(contender, threads)
    return Subject(predictor.predict, EXECUTED, predictor.device, predictor)


def pytorch_predictor(contender: Contender, threads: int) -> Predictor:
    """PyTorch on a checkpoint, in the contender's memory format, compiled if it says so."""
    from s2m_edge.targets.evaluation.predictors import checkpoint_predictor

    model, header = load_network(contender)
    predictor = checkpoint_predictor(model, header, threads)
    if contender.kind == "compiled":
        compile_network(model, predictor)
    return predictor


def load_network(contender: Contender) -> tuple[S2MNet, CheckpointHeader]:
    """The checkpoint's network in the contender's memory format."""
    import torch

    from s2m_edge.checkpoint import ResampledFilterWarning, load_model, read_header

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResampledFilterWarning)  # the command has said so once
        model = load_model(contender.source, size=contender.size)
    if contender.memory_format == "channels_last":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, read_header(contender.source)


def compile_network(model: S2MNet, predictor: Predictor) -> None:
    """Compile `model` in place, and run it once, because only that compiles.

    Raises:
        LoweringError: it cannot be compiled here, for instance for want of a C++ compiler.
    """
    from s2m_edge.targets.quiet import quiet_backend

    preprocessing = predictor.preprocessing
    blank = np.zeros((preprocessing.size, preprocessing.size, preprocessing.channels), dtype=np.uint8)
    try:
        with quiet_backend():
            model.compile()
            predictor.predict(blank)
    except Exception as error:  # Dynamo and Inductor raise anything
        raise LoweringError(f"torch.compile failed here ({first_line(error)})") from error


def _open_peer(contender: Contender, threads: int) -> Subject:
    from s2m_edge.targets.benchmark.peers import peer_preprocessing

    target = find_target(contender.target)
    interface = target.make_exporter().interface
    runner = target.runner_class()(
        Path(contender.source), interface, peer_preprocessing(contender.size), contender.precision, threads
    )
    return Subject(runner.predict if runner.verdict == EXECUTED else None, runner.verdict, runner.device)


def first_line(error: BaseException) -> str:
    """What went wrong in one line; Dynamo puts the name of its backend before that."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith("backend=")), type(error).__name__)
