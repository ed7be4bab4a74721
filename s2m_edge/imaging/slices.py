"""How many slices a file holds, from its header alone."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import DICOM_SUFFIXES, NIFTI_SUFFIXES, has_dicom_preamble


def count_slices(path: Path) -> int:
    """Slices of a NIfTI volume along its last axis, frames of a DICOM, TIFF or GIF file; 1 for a plane.

    Raises:
        ImageError: it cannot be read.
    """
    name = path.name.lower()
    try:
        if name.endswith(NIFTI_SUFFIXES):
            import nibabel

            shape = nibabel.load(path).shape  # type: ignore[attr-defined]
            return shape[2] if len(shape) > 2 else 1
        if name.endswith(DICOM_SUFFIXES) or has_dicom_preamble(path):
            import pydicom

            return int(getattr(pydicom.dcmread(path, stop_before_pixels=True), "NumberOfFrames", 1) or 1)
        from PIL import Image

        with Image.open(path) as picture:
            return getattr(picture, "n_frames", 1)
    except Exception as error:  # nibabel, pydicom, Pillow, gzip and the file system each have their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path} cannot be read ({reason})", "The file is missing, corrupt, or of another kind."
        ) from None
