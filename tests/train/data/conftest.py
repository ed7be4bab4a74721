"""An image folder of the bundled real pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2m_edge.samples import sample_images, sample_mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two real pictures to train on, one to validate, one to test."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = ["stem,split"]
    for image, split in zip(sample_images(None), ("train", "train", "val", "test"), strict=False):
        (root / "images" / image.name).write_bytes(image.read_bytes())
        (root / "masks" / f"{image.stem}.png").write_bytes(sample_mask(image).read_bytes())
        rows.append(f"{image.stem},{split}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root
