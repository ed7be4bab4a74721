"""Profiling PyTorch eager: hooks around the network's blocks."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2m_edge.targets.measure.benchmark.contenders import Contender
from s2m_edge.targets.measure.benchmark.profile.blocks import SPATIAL, SPECTRAL, Place, Profile, locate, make_profile

if TYPE_CHECKING:
    from torch import nn

METHOD = "forward hooks around the modules"
_WARM_UP = 2


class BlockClock:
    """Adds up the time between a module's beginning and its end, under its place.

    Args:
        network: gets hooks on every block; the spectral branch has its own, inside its mixer's.
    """

    def __init__(self, network: nn.Module) -> None:
        from torch import nn

        self.seconds: dict[Place, float] = defaultdict(float)
        self._began: dict[Place, float] = {}
        for name, module in network.named_modules():
            place = None if isinstance(module, nn.Identity) else locate(name)  # a stage without a mixer has none
            # The outermost module of each place: "stem", but not "stem.0" inside it.
            if place is not None and locate(name.rpartition(".")[0]) != place:
                module.register_forward_pre_hook(lambda *_, place=place: self._begin(place))
                module.register_forward_hook(lambda *_, place=place: self._end(place))

    def _begin(self, place: Place) -> None:
        self._began[place] = time.perf_counter()

    def _end(self, place: Place) -> None:
        self.seconds[place] += time.perf_counter() - self._began[place]


def profile_eager(contender: Contender, fitted: NDArray[np.uint8], threads: int, rounds: int) -> Profile:
    """Profile the contender's network over `rounds` predictions."""
    from s2m_edge.targets.measure.benchmark.subjects import load_contender
    from s2m_edge.targets.measure.evaluation.predictors import network_predictor

    model, spec = load_contender(contender)
    predictor = network_predictor(model, spec, threads)
    for _ in range(_WARM_UP):
        predictor.predict(fitted)
    clock = BlockClock(model)
    began = time.perf_counter()
    for _ in range(rounds):
        predictor.predict(fitted)
    total = (time.perf_counter() - began) * 1e3 / rounds
    times: dict[Place, float] = {place: seconds * 1e3 / rounds for place, seconds in clock.seconds.items()}
    for place in [place for place in times if place.block == SPATIAL]:  # the mixer holds the spectral branch
        times[place] -= times[Place(SPECTRAL, place.stage)]
    return make_profile(list(times.items()), total, METHOD)
