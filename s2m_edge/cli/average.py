"""`s2m-edge average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def average(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="Float checkpoints of one layout: files, or polyp, vessel, left-ventricle.")
    ],
    out: Annotated[Path, typer.Option(help="The averaged checkpoint.")] = Path("averaged.safetensors"),
    factors: Annotated[
        str | None,
        typer.Option(help="One for each checkpoint, comma-separated, summing to 1; equal by default.", metavar="LIST"),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Input size; the checkpoints' own by default.")] = None,
) -> None:
    """Average the weights of several runs into one network.

    Runs that start from the same checkpoint, with different seeds, average well; others rarely do.

    Of A B C, --factors 1,1,-1 carries over to A what training changed from C to B, for instance at another --size.

    Evaluate the result: s2m-edge evaluate OUT --data DATA --split val.
    """
    from s2m_edge.cli import console
    from s2m_edge.train.average import Share, average_checkpoints

    chosen = _factors(factors, len(checkpoints))
    shares = [Share(path, factor) for path, factor in zip(checkpoints, chosen, strict=True)]
    header = average_checkpoints(shares, out, size=size)
    console.output.print(f"{len(shares)} checkpoints in {out} (SHA-256 {header.sha256[:16]}...)", markup=False)


def _factors(text: str | None, count: int) -> list[float]:
    from s2m_edge.errors import ConfigurationError

    if text is None:
        return [1 / count] * count
    try:
        factors = [float(word) for word in text.split(",")]
    except ValueError:
        raise ConfigurationError(f"--factors {text!r} is no list of numbers", "Write it like 0.5,0.5.") from None
    if len(factors) != count:
        raise ConfigurationError(f"there are {len(factors)} factors for {count} checkpoints", "Give one for each.")
    return factors
