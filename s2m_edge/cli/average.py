"""`s2m-edge average`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import BUNDLED, JsonOption


def average(
    checkpoints: Annotated[list[Path], typer.Argument(help=f"Float checkpoints of one layout: files, or {BUNDLED}.")],
    out: Annotated[Path, typer.Option(help="The averaged checkpoint.")] = Path("averaged.safetensors"),
    factors: Annotated[
        str | None,
        typer.Option(help="One for each checkpoint, comma-separated, summing to 1; equal by default.", metavar="LIST"),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Input size; the checkpoints' own by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Average the weights of several runs into one network.

    Runs that start from the same checkpoint, with different seeds, average well; others rarely do.

    Of A B C, --factors 1,1,-1 carries over to A what training changed from C to B, for instance at another --size.

    Evaluate the result: s2m-edge evaluate OUT --data DATA --split val.
    """
    from s2m_edge import console
    from s2m_edge.outputs import require_own_file
    from s2m_edge.train.average import Share, average_checkpoints

    require_own_file(out)
    chosen = _factors(factors, len(checkpoints))
    shares = [Share(path, factor) for path, factor in zip(checkpoints, chosen, strict=True)]
    header = average_checkpoints(shares, out, size=size)
    if as_json:
        console.print_json({"file": str(out), "sha256": header.sha256, "checkpoints": len(shares), "factors": chosen})
        return
    console.output.print(f"{len(shares)} checkpoints in {out} (SHA-256 {header.sha256[:16]}...)")


def _factors(text: str | None, count: int) -> list[float]:
    import math

    from s2m_edge.errors import ConfigurationError

    if text is None:
        return [1 / count] * count
    try:
        factors = [float(word) for word in text.split(",")]
    except ValueError:
        raise ConfigurationError(f"--factors {text!r} is no list of numbers", "Write it like 0.5,0.5.") from None
    if not all(math.isfinite(factor) for factor in factors):
        raise ConfigurationError(f"--factors {text!r} holds no finite number", "Write it like 0.5,0.5.")
    if len(factors) != count:
        raise ConfigurationError(f"there are {len(factors)} factors for {count} checkpoints", "Give one for each.")
    return factors
