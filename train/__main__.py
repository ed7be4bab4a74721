"""`python -m s2m_edge.train`: train on an image folder, in phases of rising resolution."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.errors import ConfigurationError, S2MEdgeError


def _parse_phase(text: str) -> tuple[int, int, int, float]:
    try:
        size, epochs, batch_size, rate = text.split(":")
        return int(size), int(epochs), int(batch_size), float(rate)
    except ValueError:
        raise ConfigurationError(
            f"the phase {text!r} is not SIZE:EPOCHS:BATCH:RATE", "Write for instance 160:12:16:0.001."
        ) from None


def main(
    data: Annotated[Path, typer.Option(help="Image folder: images/, masks/, split.csv.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write (.safetensors).")],
    phase: Annotated[list[str], typer.Option(help="SIZE:EPOCHS:BATCH:RATE; give it once per phase, in order.")],
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
    preset: Annotated[str, typer.Option(help="Layout: paper or released.")] = "paper",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 42,
    average_decay: Annotated[float, typer.Option(help="Decay per step of the averaged weights.")] = 0.99,
    time_limit: Annotated[str | None, typer.Option(help="DD:HH:MM:SS for each phase.")] = None,
    logs: Annotated[Path, typer.Option(help="Folder for TensorBoard logs.")] = Path("logs"),
) -> None:
    """Train S2M-Net with Dice + cross-entropy; each phase keeps its best validation Dice."""
    from s2m_edge.config import S2MNetConfig

    try:
        base = S2MNetConfig.preset(preset)
        parsed_phases = [_parse_phase(text) for text in phase]  # refused before the heavy imports
        from s2m_edge.train.fit import Phase, train_phase

        for text, values in zip(phase, parsed_phases, strict=True):
            parsed = Phase(*values)
            best = train_phase(
                parsed,
                data=data,
                out=out,
                start=start,
                base=base,
                seed=seed,
                log_folder=logs,
                average_decay=average_decay,
                time_limit=time_limit,
            )
            typer.echo(f"{text}: best validation Dice {best:.4f}, written to {out}")
            start = out
    except S2MEdgeError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted; the best checkpoint so far, if any, is {out}", err=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    typer.run(main)
