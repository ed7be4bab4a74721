"""Reading pictures: PNG, JPEG, TIFF and the like, NIfTI and DICOM, to 8-bit RGB. MONAI's readers decode.

8-bit pictures are taken as they are. Anything deeper (16-bit, float) is stretched linearly from its own smallest to its
largest value. Grey becomes RGB, alpha is dropped, EXIF orientation is applied, DICOM's MONOCHROME1 is inverted and its
window, where it has one, is used.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIXES = (".dcm", ".dicom")
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *NIFTI_SUFFIXES, *DICOM_SUFFIXES)
MINIMUM_SIDE = 8


def is_image_path(path: Path) -> bool:
    """Whether the name ends like an image that `read_image` opens."""
    return path.name.lower().endswith(IMAGE_SUFFIXES)


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, by name.

    Raises:
        ImageError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}", "Give a folder that holds images.")
    found = sorted(path for path in folder.iterdir() if path.is_file() and is_image_path(path))
    if not found:
        raise ImageError(
            f"{folder} holds no images", f"Give a folder with files that end in {', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def read_image(path: Path, slice_index: int | None = None) -> NDArray[np.uint8]:
    """One picture as RGB, H x W x 3, uint8.

    Args:
        path: a file that MONAI's Pillow, Nibabel or pydicom reader opens.
        slice_index: for volumes, the slice along the last axis (NIfTI) or the frame (DICOM, TIFF, GIF); the middle one
            by default.

    Raises:
        ImageError: missing, empty, corrupt, or smaller than 8 x 8 pixels.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"there is no image {path}", "Check the path.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path} is empty (0 bytes)", "Copy the image again.")
    name = path.name.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name.endswith(NIFTI_SUFFIXES):
                pixels = _read_nifti(path, slice_index)
            elif name.endswith(DICOM_SUFFIXES) or has_dicom_preamble(path):
                pixels = _read_dicom(path, slice_index)
            else:
                pixels = _read_picture(path, slice_index)
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{path} does not fit in memory", "Use a smaller image.") from None
    except Exception as error:  # every decoder has its own exceptions; all mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(
            f"{path} cannot be read as an image ({reason})", "The file is corrupt or of a kind that is not supported."
        ) from None
    height, width = pixels.shape[:2]
    if min(height, width) < MINIMUM_SIDE:
        raise ImageError(
            f"{path} is {width} x {height} pixels", f"Images need at least {MINIMUM_SIDE} pixels on each side."
        )
    return pixels


def free_stem(path: Path, taken: set[str]) -> str:
    """The file's name without its suffix, numbered if another image of this run has it already; noted in `taken`."""
    base = path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem
    stem, number = base, 2
    while stem in taken:
        stem, number = f"{base}-{number}", number + 1
    taken.add(stem)
    return stem


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A label picture as stored, H x W, uint8; the first channel of a colour file."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            labels = np.asarray(picture if picture.mode in ("L", "P", "1") else picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ImageError(f"{path} cannot be read as a mask ({error})", "Save it as an 8-bit PNG.") from None
    labels = labels[..., 0] if labels.ndim == 3 else labels
    return labels.astype(np.uint8)


def has_dicom_preamble(path: Path) -> bool:
    """Whether the file begins as DICOM files do, whatever its name."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _pick(volume: NDArray[Any], axis: int, index: int | None, path: Path) -> NDArray[Any]:
    """One slice of `volume` along `axis`; the middle one by default."""
    count = volume.shape[axis]
    chosen = count // 2 if index is None else index
    if not 0 <= chosen < count:
        raise ImageError(f"{path} has no slice {chosen}", f"Choose one of 0..{count - 1} with --slice.")
    return np.take(volume, chosen, axis=axis)


def _read_picture(path: Path, frame: int | None) -> NDArray[np.uint8]:
    from monai.data.image_reader import PILReader
    from PIL import Image, ImageOps

    def upright(picture: Any) -> Any:
        frames = getattr(picture, "n_frames", 1)
        if frame is not None and not 0 <= frame < frames:
            raise ImageError(f"{path} has no slice {frame}", f"Choose one of 0..{frames - 1} with --slice.")
        if frames > 1:
            picture.seek(frame if frame is not None else 0)
        picture = ImageOps.exif_transpose(picture)
        if picture.mode in ("RGB", "L", "I", "F") or picture.mode.startswith("I;16"):
            return picture
        return picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")

    reader = PILReader(converter=upright, reverse_indexing=False)
    with Image.open(path) as probe:
        probe.verify()
    pixels = np.asarray(reader.get_data(reader.read(str(path)))[0])
    return to_rgb(pixels)


def _read_nifti(path: Path, index: int | None) -> NDArray[np.uint8]:
    from monai.data.image_reader import NibabelReader

    reader = NibabelReader()
    volume = np.asarray(reader.get_data(reader.read(str(path)))[0])
    while volume.ndim > 3:
        volume = volume[..., 0]
    plane = _pick(volume, 2, index, path) if volume.ndim == 3 else volume
    return to_rgb(np.swapaxes(plane, 0, 1))  # Nibabel gives x before y


def _read_dicom(path: Path, index: int | None) -> NDArray[np.uint8]:
    import pydicom
    from monai.data.image_reader import PydicomReader
    from pydicom.pixels import apply_voi_lut

    header = pydicom.dcmread(path, stop_before_pixels=True)
    colour = int(getattr(header, "SamplesPerPixel", 1)) == 3
    reader = PydicomReader(swap_ij=False, affine_lps_to_ras=False)
    pixels = np.asarray(reader.get_data(reader.read(str(path)))[0])
    if pixels.ndim == (4 if colour else 3):
        pixels = _pick(pixels, 0, index, path)
    if colour:
        return to_rgb(pixels)
    windowed = "WindowCenter" in header or "VOILUTSequence" in header
    if windowed:
        pixels = apply_voi_lut(pixels, header)
    if getattr(header, "PhotometricInterpretation", "") == "MONOCHROME1":
        pixels = pixels.max() + pixels.min() - pixels
    return to_rgb(pixels if not windowed else pixels.astype(np.float32))


def to_rgb(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8:
        values = pixels.astype(np.float32)
        if not np.isfinite(values).all():
            raise ImageError("the image holds values that are not finite", "Clean it, or save it as 8 or 16 bit.")
        low, high = float(values.min()), float(values.max())
        values = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        pixels = np.floor(values + 0.5).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        raise ImageError(f"the image has the shape {pixels.shape}", "It must be grey, RGB or RGBA.")
    return np.ascontiguousarray(pixels[..., :3])
