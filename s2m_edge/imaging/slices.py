"""How many slices a file holds, from its header alone."""

from __future__ import annotations

from pathlib import Path

from s2m_edge.errors import ImageError, S2MEdgeError
from s2m_edge.imaging.dicom import count_frames, open_dicom
from s2m_edge.imaging.folders import looks_like_dicom
from s2m_edge.imaging.picture import count_pages, first_shown, open_picture
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.read import is_volume
from s2m_edge.imaging.tiff import is_tiff, tiff_pages
from s2m_edge.imaging.volume import open_volume
from s2m_edge.silence import without_warnings


def count_slices(path: Path, plane: Plane = "axial", volume: int | None = None) -> int:
    """Slices of a volume in a plane, frames of a DICOM file or an animation, pages of a TIFF; 1 for a picture.

    Raises:
        ImageError: it cannot be read.
    """
    return slices_of(path, plane, volume)[0]


def slices_of(path: Path, plane: Plane = "axial", volume: int | None = None) -> tuple[int, int]:
    """How many slices a file holds (see `count_slices`), and the number of the one shown where none is named."""
    try:
        with without_warnings(Warning):
            if is_volume(path):
                count = open_volume(path, plane, volume).slices
            elif looks_like_dicom(path):
                count = count_frames(open_dicom(path))
            elif is_tiff(path):
                pages = tiff_pages(path)
                return pages.count, pages.first_shown
            else:
                with open_picture(path) as picture:
                    count = count_pages(picture)
                    return count, first_shown(picture, count)
    except S2MEdgeError:
        raise
    except Exception as error:  # nibabel, pydicom, Pillow, gzip and the file system each have their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path} cannot be read ({reason})", "The file is missing, corrupt, or of another kind."
        ) from None
    return count, count // 2
