"""`python -m s2m_edge.train.score`: Dice of a checkpoint on one split, in the images' original size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from s2m_edge.errors import S2MEdgeError


@dataclass(frozen=True)
class Score:
    """Dice per image in [0, 1] of one split. An image whose mask and prediction are both empty scores 1."""

    split: str
    dice: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.dice) / len(self.dice)

    @property
    def median(self) -> float:
        return sorted(self.dice)[len(self.dice) // 2]


def score_checkpoint(checkpoint: Path, data: Path, split: str, size: int | None = None) -> Score:
    """Segment every image of a split with PyTorch, exactly as the contract says, and score it with MONAI's Dice."""
    import torch
    from monai.metrics import compute_dice
    from rich.progress import track

    from s2m_edge.checkpoint import load_model
    from s2m_edge.contract import DEFAULT_THRESHOLD
    from s2m_edge.imaging.preprocess import Preprocessing, fit_to_network, mask_in_original_size
    from s2m_edge.imaging.read import read_image
    from s2m_edge.reference import probabilities, reference_logits
    from s2m_edge.train.data.folders import list_samples, read_binary_mask

    model = load_model(checkpoint, size=size)
    preprocessing = Preprocessing(size=model.config.size, channels=model.config.in_channels)
    scores: list[float] = []
    for sample in track(list_samples(data, split), description=f"scoring {split}"):
        image = read_image(sample.image)
        found = probabilities(reference_logits(model, fit_to_network(image, preprocessing), preprocessing))
        height, width = image.shape[:2]
        mask = mask_in_original_size(found, height, width, DEFAULT_THRESHOLD)
        truth = read_binary_mask(sample.mask)
        edge, expected = torch.from_numpy(mask)[None, None], torch.from_numpy(truth)[None, None]
        scores.append(float(compute_dice(edge, expected, ignore_empty=False)))
    return Score(split, tuple(scores))


def record_provenance(checkpoint: Path, **entries: Any) -> None:
    """Add entries to a checkpoint's provenance; weights and configuration stay as they are."""
    from s2m_edge.checkpoint import load_model, read_header, save_checkpoint

    header = read_header(checkpoint)
    save_checkpoint(checkpoint, load_model(checkpoint), {**header.provenance, **entries})


def main(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint to score.")],
    data: Annotated[Path, typer.Option(help="Image folder: images/, masks/, split.csv.")],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    size: Annotated[int | None, typer.Option(help="Input size; the checkpoint's own by default.")] = None,
    record: Annotated[bool, typer.Option(help="Write the mean Dice into the checkpoint's provenance.")] = False,
) -> None:
    """Print mean and median Dice of a checkpoint on a split."""
    try:
        score = score_checkpoint(checkpoint, data, split, size)
        if record:
            entries = {f"{split}_dice": round(score.mean, 4), f"{split}_images": len(score.dice)}
            record_provenance(checkpoint, **entries)
    except S2MEdgeError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    typer.echo(f"{split}: mean Dice {score.mean:.4f}, median {score.median:.4f}, {len(score.dice)} images")


if __name__ == "__main__":
    typer.run(main)
