"""What the user opened: files with their slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import ImageError
from s2m_edge.imaging.folders import image_files
from s2m_edge.imaging.slices import slices_of


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        path: of a picture, a volume or a file with frames.
        slices: how many; 1 for a picture.
        first_shown: the slice that is shown first, the one that `read_image` takes where none is named.
    """

    path: Path
    slices: int
    first_shown: int = 0


def open_documents(paths: Iterable[Path]) -> tuple[list[Document], list[ImageError]]:
    """The documents of files and folders (their own files, by name), and what could not be opened."""
    documents: list[Document] = []
    failures: list[ImageError] = []
    for given in paths:
        if given.is_dir():
            try:
                files = image_files(given)
            except ImageError as error:
                failures.append(error)
                continue
            if not files:
                failures.append(ImageError(f"{given} holds no images", "Choose a folder with images."))
        else:
            files = [given]
        for path in files:
            try:
                documents.append(Document(path, *slices_of(path)))
            except ImageError as error:
                failures.append(error)
    return documents, failures
