"""The bundled sample pictures; see assets/samples/ATTRIBUTION.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from s2m_edge.imaging.folders import image_files, list_images

SAMPLES = Path(__file__).parent / "assets" / "samples"


def sample_images(dataset: str | None = "polyp") -> list[Path]:
    """The bundled pictures of one dataset ("polyp", "vessel", "cardiac", "skin"), or of all with None, by name."""
    folder = SAMPLES / "images"
    found = image_files(folder)
    return [path for path in found if dataset is None or path.name.startswith(f"{dataset}-")]


def sample_mask(image: Path) -> Path:
    """The mask of a bundled picture."""
    return SAMPLES / "masks" / f"{image.stem}.png"


def images_or_samples(given: Sequence[Path | str] | Path | str | None, dataset: str | None) -> list[Path]:
    """The pictures that are given, files or a folder of them; else the bundled ones of a network's domain, or all.

    Raises:
        ImageError: the folder is missing, or holds no images.
    """
    if given is None:
        return sample_images(dataset) or sample_images(None)
    return list_images(Path(given)) if isinstance(given, str | Path) else [Path(image) for image in given]
