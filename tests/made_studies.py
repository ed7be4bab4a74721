"""Studies of a known volume for the desktop app, and a network that is known too: what is bright is foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage

from phantoms import ellipsoid, headers
from s2m_edge.apps.desktop.engine import Segmentation
from s2m_edge.imaging.grid import Grid

INSIDE, OUTSIDE = 300, -200
"""Hounsfield units of the ellipsoid, and around it."""
INTERCEPT = -1024


def write_ct(folder: Path, grid: Grid, **tags: Any) -> NDArray[np.uint8]:
    """A CT series of the phantoms' ellipsoid, in files whose names have another order; its labels."""
    folder.mkdir(parents=True)
    labels = (ellipsoid(grid) == 1).astype(np.uint8)
    for number, header in enumerate(headers(grid, **tags)):
        values = np.where(labels[number] == 1, INSIDE, OUTSIDE) - INTERCEPT
        header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = CTImageStorage
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.Modality, header.RescaleSlope, header.RescaleIntercept = "CT", 1, INTERCEPT
        header.PixelData = values.astype(np.int16).tobytes()
        header.save_as(folder / f"IM{(number * 7) % grid.slices:04d}", enforce_file_format=True)
    return labels


def segment_bright(image: NDArray[np.uint8], *_: Any) -> Segmentation:
    """In place of the engine's: foreground is what is bright."""
    height, width = image.shape[:2]
    return Segmentation((image[..., 0] >= 128)[None].astype(np.float32), height, width, 1.0, 2.0)
