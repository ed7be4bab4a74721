"""Pictures that this toolkit wrote, told from a user's: only what was written for the same picture is ever replaced.

A PNG of ours says in a text chunk of which picture it is (SHA-256 of its file, and the slice), and has the hash of its
own pixels there: one that somebody has painted in since is theirs. A NIfTI mask says so in its description.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError, OutputError
from s2m_edge.files import LONGEST_NAME, file_sha256
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from PIL import Image

SOFTWARE = "s2m-edge"
_CHUNK = "s2m-edge"


@dataclass(frozen=True)
class Source:
    """The picture that an output is of.

    Attributes:
        name: of its file; for people.
        sha256: of the file.
        slice_index: of a volume or a file with frames, where one was chosen.
        cut: of a volume, another plane than the axial one, and the number within a series, as words.
    """

    name: str
    sha256: str
    slice_index: int | None = None
    cut: str = ""


def source_of(path: Path, slice_index: int | None = None, cut: str = "") -> Source:
    """Raises ImageError where the file cannot be read."""
    try:
        return Source(printable(path.name), file_sha256(path), slice_index, cut)
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror or error})", "Check the path.") from None


def marked_png(picture: Image.Image, source: Source) -> bytes:
    """A picture as PNG that says of which picture it is."""
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    texts.add_text("Software", SOFTWARE)
    texts.add_text(_CHUNK, json.dumps({**_identity(source), "picture": source.name, "pixels": _pixels(picture)}))
    buffer = BytesIO()
    picture.save(buffer, format="PNG", pnginfo=texts)
    return buffer.getvalue()


def nifti_description(labels: NDArray[np.uint8], source: Source) -> str:
    """For a NIfTI header, which has 80 bytes for it."""
    return f"{SOFTWARE} {source.sha256[:24]} {hashlib.sha256(labels.tobytes()).hexdigest()[:24]}"


def is_of(path: Path, source: Source) -> bool:
    """Whether a file that is there was written by this toolkit for that picture, and not changed since."""
    try:
        if path.name.lower().endswith((".nii", ".nii.gz")):
            return _is_nifti_of(path, source)
        from PIL import Image

        with Image.open(path, formats=["PNG"]) as found:
            found.load()
            values = json.loads(getattr(found, "text", {}).get(_CHUNK, "null"))
            return (
                isinstance(values, dict)
                and {name: values.get(name) for name in ("sha256", "slice", "cut")} == _identity(source)
                and values.get("pixels") == _pixels(found)
            )
    except Exception:  # whatever cannot be read is not ours
        return False


def is_output(path: Path) -> bool:
    """Whether a file is a mask or an overlay that this toolkit wrote, of whichever picture; reads no pixels."""
    if path.suffix.lower() != ".png":
        return False
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as found:
            return _CHUNK in found.info
    except Exception:  # whatever cannot be read is not ours
        return False


def is_labels(path: Path) -> bool:
    """Whether a file is a NIfTI mask that this toolkit wrote, of whichever picture; reads its header alone."""
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return False
    import nibabel

    try:
        image: Any = nibabel.load(path)  # type: ignore[attr-defined]
        return bytes(image.header["descrip"]).startswith(f"{SOFTWARE} ".encode())
    except Exception:  # whatever cannot be read is not ours
        return False


def require_free(path: Path, source: Callable[[], Source], remedy: str, *, overwrite: bool = False) -> None:
    """Raise OutputError unless an output can be put there without a loss.

    Args:
        source: the picture that it is of; asked for only where a file is there.
        remedy: what a user can do where one is.
        overwrite: the user has said that files may be replaced.
    """
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise OutputError(
            f"{path.name[:40]}... would be a name of more than {LONGEST_NAME} bytes",
            "Give the picture a shorter name.",
        )
    if not os.path.lexists(path):
        return
    if path.is_dir() and not path.is_symlink():
        raise OutputError(f"{path} is a folder", remedy)
    if not overwrite and not is_of(path, found := source()):
        raise OutputError(f"{path} is there, and was not written for {found.name} by s2m-edge as it is now", remedy)


def _identity(source: Source) -> dict[str, Any]:
    return {"sha256": source.sha256, "slice": source.slice_index, "cut": source.cut}


def _pixels(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.mode} {picture.size} ".encode() + picture.tobytes()).hexdigest()


def _is_nifti_of(path: Path, source: Source) -> bool:
    import nibabel

    image: Any = nibabel.load(path)  # type: ignore[attr-defined]
    written = bytes(image.header["descrip"]).rstrip(b"\0").decode("ascii")
    return written == nifti_description(np.asarray(image.dataobj, dtype=np.uint8), source)
