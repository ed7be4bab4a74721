"""Recorded references against each other, and against the same network run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.deploy.activation import probabilities
from s2m_edge.deploy.golden import Golden, reference_device
from s2m_edge.deploy.recording import Record, inputs_hash, recompute
from s2m_edge.errors import ContractError, ParityError
from s2m_edge.targets.measure.parity.compare import ImageParity, compare
from s2m_edge.targets.measure.parity.gates import GATES, run_breaches

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec


@dataclass(frozen=True)
class Move:
    """How the answer to one picture moved.

    Attributes:
        figures: of the later answer against the earlier; its milliseconds are none.
        changed: pixels that have another label.
    """

    figures: ImageParity
    changed: int

    @property
    def nothing(self) -> bool:
        """Whether the two answers are equal to the last bit of a probability."""
        return self.figures.max_probability_error == 0 and self.changed == 0


@dataclass(frozen=True)
class Moves:
    """What moved between two records, or a record and another run.

    Attributes:
        pictures: that both have, in the earlier one's order.
        missing: names of the earlier one's other pictures; added: of the later one's.
    """

    pictures: tuple[Move, ...]
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether both have the same pictures, and answer each alike."""
        return not (self.missing or self.added) and all(move.nothing for move in self.pictures)

    def lines(self) -> list[str]:
        """For people, one of each picture."""
        rows = [
            f"{move.figures.name}: largest probability error {move.figures.max_probability_error:.1e}, "
            f"{move.changed} {'pixel' if move.changed == 1 else 'pixels'} changed their label"
            for move in self.pictures
        ]
        return rows + [f"{name}: missing" for name in self.missing] + [f"{name}: new" for name in self.added]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        figures = ("name", "max_probability_error", "mean_probability_error", "mask_agreement", "mask_dice")
        rows = [
            {**{key: getattr(move.figures, key) for key in figures}, "changed_pixels": move.changed}
            for move in self.pictures
        ]
        return {"images": rows, "missing": list(self.missing), "added": list(self.added)}


@dataclass(frozen=True)
class Verification:
    """A record against the same network run again.

    Attributes:
        device: what it was run on; precision: the row of the one table whose gate it must keep.
        moves: of the new answers against the recorded ones.
    """

    device: str
    precision: str
    moves: Moves

    @property
    def breaches(self) -> list[str]:
        return run_breaches(GATES[self.precision], [move.figures for move in self.moves.pictures])

    def require_held(self, name: Path) -> None:
        """Raise ParityError, naming the first breach, unless every picture keeps the gate."""
        found = self.breaches
        if found:
            more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
            raise ParityError(
                f"{name} does not hold on {self.device}: {found[0]}{more}",
                "Find out what changed (s2m-edge reference list shows versions) before anything is compared with it; "
                "s2m-edge reference record keeps a new one beside it.",
            )


def moves_between(before: Record, after: Record) -> Moves:
    """What moved from one record to another of the same network; pictures are known by their pixels.

    Raises:
        ContractError: they are of different networks.
    """
    if not before.same_network(after):
        raise ContractError(
            "the two references are of different networks, or of one at another size, threshold or preprocessing",
            "Compare two of the same one; s2m-edge reference list shows which are.",
        )
    later = _by_pixels(after.golden)
    earlier = _by_pixels(before.golden)
    return Moves(
        tuple(_move(entry, later[key], before.threshold) for key, entry in earlier.items() if key in later),
        tuple(entry.name for key, entry in earlier.items() if key not in later),
        tuple(entry.name for key, entry in later.items() if key not in earlier),
    )


def verify_record(record: Record, network: nn.Module, spec: NetworkSpec, device: str, name: Path) -> Verification:
    """Run a record's network again over its pictures.

    Args:
        name: the record's file.

    Raises:
        ContractError: the network is another one.
    """
    record.require_of(spec, name)
    again = recompute(network, spec, [(entry.name, entry.image) for entry in record.golden], device)
    pairs = zip(record.golden, again, strict=True)
    moves = Moves(tuple(_move(entry, found, record.threshold) for entry, found in pairs))
    return Verification(reference_device(device), record.precision, moves)


def _by_pixels(golden: Sequence[Golden]) -> dict[str, Golden]:
    return {inputs_hash([entry.image]): entry for entry in golden}


def _move(before: Golden, after: Golden, threshold: float) -> Move:
    figures = compare(before.name, probabilities(before.logits), probabilities(after.logits), threshold, 0.0)
    return Move(figures, int((before.mask != after.mask).sum()))
