"""What the user opened: files with their slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import ImageError
from s2m_edge.imaging.read import is_image_path
from s2m_edge.imaging.slices import count_slices


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        path: of a picture, a volume or a file with frames.
        slices: how many; 1 for a picture.
    """

    path: Path
    slices: int

    @property
    def first_shown(self) -> int:
        """The slice that is shown first: the middle one, as `read_image` chooses for volumes."""
        return self.slices // 2 if self.slices > 1 else 0


def open_documents(paths: Iterable[Path]) -> tuple[list[Document], list[ImageError]]:
    """The documents of files and folders (their own files, by name), and what could not be opened."""
    documents: list[Document] = []
    failures: list[ImageError] = []
    for given in paths:
        if given.is_dir():
            files = sorted(path for path in given.iterdir() if path.is_file() and is_image_path(path))
            if not files:
                failures.append(ImageError(f"{given} holds no images", "Choose a folder with images."))
        else:
            files = [given]
        for path in files:
            try:
                documents.append(Document(path, count_slices(path)))
            except ImageError as error:
                failures.append(error)
    return documents, failures
