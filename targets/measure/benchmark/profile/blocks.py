"""From the path of a module to the block of the network that it belongs to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

STEM, DOWN, RECEPTIVE, SPECTRAL, SPATIAL, DECODER, HEAD = (
    "stem",
    "down-sampling",
    "MRF-SE",
    "SSTM spectral",
    "SSTM spatial + fusion",
    "decoder",
    "head",
)
UNNAMED = "unnamed"
"""What carries no module's name: a change of layout at the input, the final sigmoid."""

OUTSIDE = "outside the nodes"
"""The rest of the prediction's time: the runtime's own work, and copies of input and output."""

BLOCKS = (STEM, DOWN, RECEPTIVE, SPECTRAL, SPATIAL, DECODER, HEAD, UNNAMED, OUTSIDE)

STAGES = (1, 2, 3, 4, 5)

Grouping = Literal["block", "operator"]

# S2MNet's attributes, wherever a name holds them: exporters put "network." in front and operators behind.
_PATH = re.compile(
    r"(?<![\w])(?:(stem|head)\b|encoder\.(\d)\.(down|receptive|mixer\.spectral|mixer)\b|decoder\.(\d)\b)"
)
_ENCODER = {"down": DOWN, "receptive": RECEPTIVE, "mixer.spectral": SPECTRAL, "mixer": SPATIAL}
_DEEPEST_SKIP = STAGES[-1] - 1
_IN_ENCODER = (DOWN, RECEPTIVE, SPECTRAL, SPATIAL)


@dataclass(frozen=True)
class Place:
    """A block, and the encoder stage 1..5 whose resolution it works at; None for stem and head.

    A decoder step counts to the stage whose skip connection it takes, in an encoder of five stages: `make_profile`
    moves it to where it is in the network's.
    """

    block: str
    stage: int | None = None


def locate(name: str) -> Place | None:
    """The first place that a name holds a module's path of; None where it holds none."""
    found = _PATH.search(name)
    if found is None:
        return None
    end, stage, part, step = found.groups()
    if end:
        return Place(end)
    return Place(_ENCODER[part], int(stage) + 1) if part else Place(DECODER, _DEEPEST_SKIP - int(step))


@dataclass(frozen=True)
class Profile:
    """Where one prediction's time goes, on average over the profiled ones.

    Attributes:
        total: milliseconds of the whole prediction, in the runtime.
        times: milliseconds by place; they sum to `total`.
        method: how it was measured, for people.
        grouping: "block", or "operator" where the runtime does not know the network's blocks.
    """

    total: float
    times: dict[Place, float]
    method: str
    grouping: Grouping = "block"

    def to_dict(self) -> dict[str, Any]:
        """JSON values: blocks with their milliseconds and those of each stage; blocks in the network's order, operators
        by time."""
        sums: dict[str, float] = defaultdict(float)
        for place, time in self.times.items():
            sums[place.block] += time
        names = [block for block in BLOCKS if block in sums]
        names = [*sorted(sums.keys() - names, key=lambda name: -sums[name]), *names]
        blocks = []
        for name in names:
            stages = {place.stage: time for place, time in self.times.items() if place.block == name}
            by_stage = {str(stage): stages[stage] for stage in STAGES if stage in stages}
            blocks.append({"block": name, "milliseconds": sums[name], "stages": by_stage})
        return {
            "total_milliseconds": self.total,
            "grouping": self.grouping,
            "blocks": blocks,
            "method": self.method,
        }


def make_profile(
    nodes: Iterable[tuple[Place | None, float]], total: float, method: str, grouping: Grouping = "block"
) -> Profile:
    """Add nodes up.

    Args:
        nodes: place and milliseconds of each; None for a node without a place.
        total: milliseconds of the prediction; what the nodes leave of it is `OUTSIDE`. Counters are rounded, so the
            nodes may add up to a little more: then that is the total.
    """
    found: dict[Place, float] = defaultdict(float)
    for place, milliseconds in nodes:
        found[place or Place(UNNAMED)] += milliseconds
    times = _in_its_own_encoder(found)
    inside = sum(times.values())
    times[Place(OUTSIDE)] = max(total - inside, 0.0)
    return Profile(max(total, inside), times, method, grouping)


def _in_its_own_encoder(times: Mapping[Place, float]) -> dict[Place, float]:
    """The decoder's steps at the stages of this network, whose encoder may be shallower than five stages."""
    encoder = [place.stage for place in times if place.block in _IN_ENCODER and place.stage is not None]
    missing = STAGES[-1] - max(encoder, default=STAGES[-1])
    return {
        Place(DECODER, place.stage - missing) if place.block == DECODER and place.stage is not None else place: time
        for place, time in times.items()
    }
