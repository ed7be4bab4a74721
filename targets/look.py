"""Looking into a saved artifact: what its operators compute on the way from a picture to the answer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from s2m_edge.deploy.interface import TensorInterface
from s2m_edge.deploy.precision import Precision
from s2m_edge.imaging.preprocess import Preprocessing

ROOM = 2**28
"""Bytes of results that are read at once."""


@dataclass(frozen=True)
class Result:
    """One floating-point (or dequantized) tensor that an operator of the artifact gives for a picture.

    Attributes:
        name: of the operator, as the artifact has it; kind: of operator, in the runtime's words.
        shape: with the batch.
        takes: the indices of the results that it is computed from, by way of whatever lies between them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    takes: tuple[int, ...]


class Look(ABC):
    """An artifact whose intermediate results can be read. Subclasses give `open` and `_read`.

    Args:
        artifact, interface, preprocessing, precision, threads: as a `Runner` takes them.

    Attributes:
        method: how it is looked into, for people; it says what is not as in a plain run.
        results: in an order in which they can be computed.
        answer: the index of the artifact's output, probabilities 1 x outputs x height x width.
    """

    method: ClassVar[str]
    results: tuple[Result, ...]
    answer: int

    def __init__(
        self,
        artifact: Path,
        interface: TensorInterface,
        preprocessing: Preprocessing,
        precision: Precision,
        threads: int | None = None,
    ) -> None:
        self.artifact, self.interface, self.preprocessing = artifact, interface, preprocessing
        self.precision: Precision = precision
        self.threads = threads
        self.results = self.open()

    @abstractmethod
    def open(self) -> tuple[Result, ...]:
        """Read the artifact, list its results (floating-point ones that depend on the picture), and set `answer`.

        Raises:
            LoweringError, ContractError: it does not load.
        """

    @abstractmethod
    def _read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Mapping[int, NDArray[np.float32]]:
        """Results of a fitted picture by their index."""

    @final
    def read(self, fitted: NDArray[np.uint8], wanted: Sequence[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Results of a fitted picture height x width x channels, uint8, in the order of `wanted`; float32, with the
        batch. They are read in groups, so that few are held at once.

        Raises:
            LoweringError: the runtime failed.
        """
        group: list[int] = []
        size = 0
        for index in wanted:
            size += 4 * math.prod(self.results[index].shape)
            if group and size > ROOM:
                yield from self._in_order(fitted, group)
                group, size = [], 4 * math.prod(self.results[index].shape)
            group.append(index)
        if group:
            yield from self._in_order(fitted, group)

    def _in_order(self, fitted: NDArray[np.uint8], group: list[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        found = dict(self._read(fitted, group))
        for index in group:
            if index in found:  # an evaluator stops where a value is not finite
                yield index, found.pop(index)


def takes_of(inputs: Sequence[str], producer: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The indices of the results behind values that an operator takes, each once, in their order.

    Args:
        producer: for each value known so far the results that it is, or comes from.
    """
    return tuple(dict.fromkeys(index for name in inputs for index in producer.get(name, ())))
