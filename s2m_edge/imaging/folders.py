"""Which files of a folder are images, and what an image's outputs are called after: one answer for every command and
app."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from s2m_edge.errors import ImageError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".ppm", ".pgm")
NIFTI_SUFFIXES = (".nii", ".nii.gz")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
ITK_SUFFIXES = (*NRRD_SUFFIXES, *META_SUFFIXES)
"""NRRD and MetaImage; where header and data are two files, the header is named."""
VOLUME_SUFFIXES = (*NIFTI_SUFFIXES, ".img", ".img.gz", ".hdr", ".hdr.gz", *ITK_SUFFIXES)
"""Of NIfTI and Analyze too; of a pair, the header may be named too, and the data count in a folder."""
IMAGE_SUFFIXES = (*PICTURE_SUFFIXES, *NIFTI_SUFFIXES, ".img", ".img.gz", *ITK_SUFFIXES, *DICOM_SUFFIXES)

_NOBODYS_WORK = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "$recycle.bin", "@eadir", "dicomdir"}
_PREAMBLE = 132
_FIRST_GROUPS = (0x0002, 0x0008)


def is_clutter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or is what systems and archives leave lying about
    (`._x.png`, `.DS_Store`, `Thumbs.db`, `__MACOSX`): it never counts, whatever it ends like."""
    return name.startswith(".") or name.lower() in _NOBODYS_WORK


def is_image_path(path: Path) -> bool:
    """Whether the name alone is that of an image: it is no clutter and ends like one."""
    return not is_clutter(path.name) and path.name.lower().endswith(IMAGE_SUFFIXES)


def is_image_file(path: Path) -> bool:
    """Whether a file counts as an image: by its name or, as scanners' names end like nothing, as DICOM by its first
    bytes."""
    if is_clutter(path.name) or not path.is_file():
        return False
    return path.name.lower().endswith(IMAGE_SUFFIXES) or _begins_like_dicom(path)


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name; maybe none.

    Raises:
        ImageError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if is_image_file(path))
    except OSError as error:
        raise ImageError(f"{folder} cannot be read ({error.strerror or error})", "Check the path.") from None


def list_images(folder: Path) -> list[Path]:
    """The image files directly in `folder`, by name.

    Raises:
        ImageError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise ImageError(f"there is no folder {folder}", "Give a folder that holds images.")
    found = image_files(folder)
    if not found:
        raise ImageError(
            f"{folder} holds no images", f"Give a folder with DICOM or files that end in {', '.join(IMAGE_SUFFIXES)}."
        )
    return found


def looks_like_dicom(path: Path) -> bool:
    """Whether a file is to be read as DICOM: by its suffix, or by its first bytes, whatever its name. A file that is
    not there looks like nothing."""
    return path.name.lower().endswith(DICOM_SUFFIXES) or _begins_like_dicom(path)


def _begins_like_dicom(path: Path) -> bool:
    """With the preamble of PS3.10; or, where the name is not a picture's, with a data set that lacks it: an element of
    group 0002 or 0008 in little endian, then two letters of a value's type or a short length."""
    try:
        with path.open("rb") as file:
            head = file.read(_PREAMBLE)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    if path.name.lower().endswith((*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)) or len(head) < 12:
        return False
    group, element = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:4], "little")
    typed = head[4:6].isalpha() and head[4:6].isupper()
    short = int.from_bytes(head[4:8], "little") <= 256
    return group in _FIRST_GROUPS and element <= 0x1032 and (typed or short)


def stem_of(path: Path) -> str:
    """The name without an image's suffix. UIDs, which end like nothing, stay whole."""
    name = path.name
    lower = name.lower()
    zipped = tuple(f"{suffix}.gz" for suffix in PICTURE_SUFFIXES)
    for suffix in sorted((*IMAGE_SUFFIXES, *zipped), key=len, reverse=True):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def free_stems(paths: Sequence[Path]) -> list[str]:
    """What the outputs of each image of a run are called after, in the given order, no two alike.

    Its stem. Images that would share one are named by their whole name instead (`case1.png`, `case1.jpg`); those that
    share that too, by as many folders above as tell them apart (`a-case1.png`, `b-case1.png`). None of it depends on
    the order, only the number that a file named twice gets. Names that differ in case alone, or in how accents are
    composed, count as one: on many systems they are.
    """
    names = [stem_of(path) for path in paths]
    whole = [Path(path).absolute().parts for path in paths]
    depth = 1
    while (clashing := _shared(names)) and depth <= max(map(len, whole), default=0):
        for index in clashing:
            names[index] = "-".join(part.strip("/\\:") for part in whole[index][-depth:])
        depth += 1
    return numbered(names)


def numbered(names: Iterable[str]) -> list[str]:
    """Names of which no two are alike: those that come again get a number behind them."""
    taken: set[str] = set()
    return [_numbered(name, taken) for name in names]


def alike(names: Iterable[str]) -> list[list[str]]:
    """The names that many systems take for one another, because they differ in case or in how accents are composed
    alone, or not at all: groups of two and more."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _shared(names: list[str]) -> list[int]:
    counts = Counter(map(_folded, names))
    return [index for index, name in enumerate(names) if counts[_folded(name)] > 1]


def _numbered(base: str, taken: set[str]) -> str:
    stem, number = base, 2
    while _folded(stem) in taken:
        stem, number = f"{base}-{number}", number + 1
    taken.add(_folded(stem))
    return stem


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
