"""The bundled sample pictures; see assets/samples/ATTRIBUTION.md."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.imaging.read import is_image_path

SAMPLES = Path(__file__).parent / "assets" / "samples"


def sample_images(dataset: str | None = "polyp") -> list[Path]:
    """The bundled pictures of one dataset ("polyp", "vessel", "cardiac", "skin"), or of all with None, by name."""
    folder = SAMPLES / "images"
    found = sorted(path for path in folder.iterdir() if is_image_path(path))
    return [path for path in found if dataset is None or path.name.startswith(f"{dataset}-")]


def sample_mask(image: Path) -> Path:
    """The mask of a bundled picture."""
    return SAMPLES / "masks" / f"{image.stem}.png"
