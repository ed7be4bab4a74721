"""The files that predictions become, planned before the first picture is looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s2m_edge.errors import ImageError, OutputError
from s2m_edge.imaging.folders import free_stems, list_images
from s2m_edge.imaging.written import is_output, require_free, source_of

_ELSEWHERE = "Choose another folder with --out"


@dataclass(frozen=True)
class Outputs:
    """One picture, and what it will become."""

    image: Path
    mask: Path
    overlay: Path


def pictures_of(folder: Path) -> list[Path]:
    """The images of a folder, without the masks and overlays that an earlier call put beside them.

    Raises:
        ImageError: there are none.
    """
    found = [path for path in list_images(folder) if not is_output(path)]
    if not found:
        raise ImageError(f"{folder} holds masks and overlays alone", "Give the folder of the pictures.")
    return found


def plan_outputs(
    images: Sequence[Path],
    out: Path,
    *,
    mark: str = "",
    slice_index: int | None = None,
    cut: str = "",
    overwrite: bool = False,
) -> list[Outputs]:
    """NAME-mask.png and NAME-overlay.png of every picture, in their order.

    Args:
        mark: stands behind NAME.
        slice_index, cut: of volumes, as asked for; see `Source`.
        overwrite: whether files that are there may be replaced, but for the pictures themselves.

    Raises:
        OutputError: a file would be lost; see `imaging/written.py` for what may be replaced without asking.
    """
    given = {os.path.realpath(path): path for path in images}
    planned: list[Outputs] = []
    for image, name in zip(images, free_stems(images), strict=True):
        stem = f"{name}{mark}"
        outputs = Outputs(image, out / f"{stem}-mask.png", out / f"{stem}-overlay.png")
        for path in (outputs.mask, outputs.overlay):
            if os.path.realpath(path) in given:
                raise OutputError(f"{path}, the output of {image.name}, is a picture of this call", f"{_ELSEWHERE}.")
            require_free(
                path,
                lambda image=image: source_of(image, slice_index, cut),
                f"{_ELSEWHERE}, or add --overwrite to replace it.",
                overwrite=overwrite,
            )
        planned.append(outputs)
    return planned
