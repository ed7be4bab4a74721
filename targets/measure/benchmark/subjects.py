"""Opening a contender in this process: imports first, so that load time and memory can be told from them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import LoweringError
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.targets.measure.benchmark.contenders import S2M_NET, Contender
from s2m_edge.targets.registry import find_target

if TYPE_CHECKING:
    from s2m_edge.deploy.spec import NetworkSpec
    from s2m_edge.network.model import S2MNet
    from s2m_edge.targets.measure.evaluation.predictors import Predictor

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
EXECUTED = "executed"


@dataclass(frozen=True)
class Subject:
    """An opened contender.

    Attributes:
        predict: probabilities of a fitted picture height x width x channels, uint8; None where the artifact cannot be
            executed on this machine.
        verdict: "executed", or what the runner says instead.
        device: what it runs on.
        preprocessing: what it is fed.
        predictor: for Dice; None for another network than the one whose samples these are.
    """

    predict: Predict | None
    verdict: str
    device: str
    preprocessing: Preprocessing
    predictor: Predictor | None = None

    def run(self, fitted: NDArray[np.uint8]) -> float:
        """One prediction, in milliseconds, from the fitted picture to probabilities in numpy."""
        assert self.predict is not None
        began = time.perf_counter()
        self.predict(fitted)
        return (time.perf_counter() - began) * 1e3


def import_for(contender: Contender) -> None:
    """Import all that `open_subject` will need."""
    import s2m_edge.deploy.bundle
    import s2m_edge.targets.measure.evaluation.predictors

    if contender.kind == "bundle":
        find_target(contender.target).runner_class().import_backend()
        return
    import torch

    import s2m_edge.checkpoint
    import s2m_edge.network.model  # noqa: F401

    if contender.kind == "compiled":
        import torch._inductor.compile_fx  # noqa: F401


def open_subject(contender: Contender, threads: int) -> Subject:
    """Load it, ready to predict.

    Raises:
        S2MEdgeError: it cannot be loaded.
    """
    from s2m_edge.targets.measure.evaluation.predictors import bundle_predictor

    if contender.kind == "bundle":
        from s2m_edge.deploy.bundle import open_bundle

        predictor = bundle_predictor(open_bundle(contender.source, verify=False, proved=False), threads)
        runs = predictor.predict if predictor.verdict == EXECUTED else None
        scored = predictor if contender.network == S2M_NET else None
        return Subject(runs, predictor.verdict, predictor.device, predictor.preprocessing, scored)
    predictor = pytorch_predictor(contender, threads)
    return Subject(predictor.predict, EXECUTED, predictor.device, predictor.preprocessing, predictor)


def pytorch_predictor(contender: Contender, threads: int) -> Predictor:
    """PyTorch on a checkpoint, in the contender's memory format, compiled if it says so."""
    from s2m_edge.targets.measure.evaluation.predictors import network_predictor

    model, spec = load_contender(contender)
    predictor = network_predictor(model, spec, threads)
    if contender.kind == "compiled":
        compile_network(model, predictor)
    return predictor


def load_contender(contender: Contender) -> tuple[S2MNet, NetworkSpec]:
    """The checkpoint's network in the contender's memory format, and its specification."""
    import torch

    from s2m_edge.checkpoint import ResampledFilterWarning, load_network, network_spec, read_header

    header = read_header(contender.source)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResampledFilterWarning)  # the command has said so once
        model = load_network(header, size=contender.size)
    if contender.memory_format == "channels_last":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model, network_spec(header, contender.size)


def compile_network(model: S2MNet, predictor: Predictor) -> None:
    """Compile `model` in place, and run it once, because only that compiles.

    Raises:
        LoweringError: it cannot be compiled here, for instance for want of a C++ compiler.
    """
    from s2m_edge.targets.quiet import quiet_backend

    preprocessing = predictor.preprocessing
    blank = np.zeros(preprocessing.fitted_shape, dtype=np.uint8)
    try:
        with quiet_backend():
            model.compile()
            predictor.predict(blank)
    except Exception as error:  # Dynamo and Inductor raise anything
        raise LoweringError(f"torch.compile failed here ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """What went wrong in one line; Dynamo puts the name of its backend before that."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith("backend=")), type(error).__name__)
