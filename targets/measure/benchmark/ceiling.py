"""The ceiling: how fast these cores multiply two large float32 matrices, measured in the same run."""

from __future__ import annotations

import time

SIDE = 2048
"""Of the square matrices: large enough to be bound by arithmetic, small enough to be repeated in every round."""

FLOP = 2 * SIDE**3


class MatrixProduct:
    """`run` multiplies two SIDE x SIDE matrices with torch.mm.

    Args:
        threads: of PyTorch, for the whole process.
    """

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        generator = torch.Generator().manual_seed(0)
        self._left, self._right = (torch.rand(SIDE, SIDE, generator=generator) for _ in range(2))
        self._product = torch.empty(SIDE, SIDE)

    def run(self) -> float:
        """One product, in milliseconds."""
        import torch

        began = time.perf_counter()
        torch.mm(self._left, self._right, out=self._product)
        return (time.perf_counter() - began) * 1e3
