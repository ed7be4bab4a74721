"""NRRD and MetaImage volumes, by SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from s2m_edge.errors import ImageError, MissingBackendError
from s2m_edge.imaging.limits import require_voxels
from s2m_edge.imaging.planes import Plane, layout
from s2m_edge.imaging.volume import Volume
from s2m_edge.installation import install_command


def open_itk_volume(path: Path, plane: Plane = "axial", number: int | None = None) -> Volume:
    """A volume as `open_volume` opens NIfTI; its values are all read, for neither format is read in parts.

    Args:
        plane: of its slices.
        number: which volume of a series of them (a fourth axis, or several components that are no colours).

    Raises:
        MissingBackendError: SimpleITK is not installed.
        ImageError: it cannot be read, is a series and no number is given, or is larger than the limit.
    """
    import nibabel

    toolkit = _toolkit(path)
    reader = toolkit.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size = [int(side) for side in reader.GetSize()]
        components = int(reader.GetNumberOfComponents())
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    if len(size) not in (2, 3, 4) or min(size) < 1:
        raise ImageError(f"{path} has {len(size)} axes", "Save the volume to be segmented by itself.")
    shape = (size[0], size[1], size[2] if len(size) > 2 else 1)
    require_voxels(path, shape)
    coloured = components in (3, 4) and reader.GetPixelID() in (toolkit.sitkVectorUInt8,)
    in_series = size[3] if len(size) == 4 else 1 if coloured else components
    if len(size) == 4 and components > 1:
        raise ImageError(f"{path} is a series of volumes of colours", "Save the volume to be segmented by itself.")
    if number is None and in_series > 1:
        raise ImageError(
            f"{path} is a series of {in_series} volumes", f"Choose one of 0..{in_series - 1} with --volume."
        )
    chosen = number or 0
    if not 0 <= chosen < in_series:
        raise ImageError(f"{path} has no volume {chosen}", f"Choose one of 0..{in_series - 1} with --volume.")
    if len(size) == 4:
        reader.SetExtractSize([*size[:3], 0])
        reader.SetExtractIndex([0, 0, 0, chosen])
    try:
        image = reader.Execute()
        if components > 1 and not coloured:
            image = toolkit.VectorIndexSelectionCast(image, chosen)
        values = toolkit.GetArrayFromImage(image)
    except RuntimeError as error:
        raise _unreadable(path, error) from None
    if values.dtype.kind == "c":
        raise ImageError(f"{path} holds complex values", "Save their magnitude.")
    if coloured:
        values = np.ascontiguousarray(values[..., :3]).view([(name, np.uint8) for name in "RGB"])[..., 0]
    stored: Any = values.T.reshape(shape)  # ITK's x, y, z, as NIfTI has them
    affine = _affine(image)
    if stored.dtype in (np.int64, np.uint64):
        stored = stored.astype(np.float64)  # nibabel takes none; levels are computed in it anyway
    header: Any = nibabel.Nifti1Header()  # type: ignore[attr-defined]
    header.set_data_dtype(stored.dtype)
    held: Any = nibabel.Nifti1Image(stored, affine, header)  # type: ignore[attr-defined]
    return Volume(path, held, affine, True, shape, 0, layout(affine, shape, plane), in_series, chosen)


def _affine(image: Any) -> np.ndarray:
    """4 x 4, in NIfTI's axes; ITK's are DICOM's. Of a picture of two axes the third is assumed."""
    dimension = image.GetDimension()
    spacing, origin = np.ones(3), np.zeros(3)
    direction = np.eye(3)
    spacing[:dimension] = image.GetSpacing()[:3]
    origin[:dimension] = image.GetOrigin()[:3]
    direction[:dimension, :dimension] = np.reshape(image.GetDirection(), (dimension, dimension))[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = origin
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _toolkit(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError:
        raise MissingBackendError(
            f"{path.name} is read by SimpleITK, which is not installed", f"{install_command('dicom')}."
        ) from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def _unreadable(path: Path, error: BaseException) -> ImageError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[-1].removeprefix("sitk::ERROR:").strip() if lines else type(error).__name__
    return ImageError(f"{path} cannot be read ({reason})", "The file is missing, corrupt, or of another kind.")
