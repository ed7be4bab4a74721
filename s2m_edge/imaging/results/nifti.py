"""Labels as NIfTI: on the very voxels of a NIfTI source, and of DICOM on a grid made of the slices' places."""

from __future__ import annotations

import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.errors import ImageError
from s2m_edge.imaging.grid import Grid
from s2m_edge.imaging.results.subject import Subject
from s2m_edge.imaging.volume import labels_on_grid
from s2m_edge.imaging.written import nifti_description

_LEVEL = 6
"""Of gzip: masks are hardly larger than at its slowest."""

SCANNER = 1
"""Code of an affine into the scanner's coordinates; 0 is one that says nothing."""

_EVEN_MM, _EVEN = 0.05, 0.01
"""How far a slice may lie from where equal steps put it, in mm or as a share of a step: positions are rounded."""


def nifti_bytes(subject: Subject) -> bytes:
    """Labels as .nii.gz, uint8; the same labels give the same bytes.

    Raises:
        ImageError: the slices are not evenly spaced, which NIfTI cannot say.
    """
    study, labels = subject.study, subject.labels
    if study.volume is not None:
        stored = study.labels_in_file_order(labels)
        content = labels_on_grid(study.volume, stored, nifti_description(stored, subject.source))
    else:
        stored = np.ascontiguousarray(labels.transpose(2, 1, 0))
        content = labels_as_nifti(stored, study.grid, study.name, nifti_description(stored, subject.source))
    return gzip.compress(content, _LEVEL, mtime=0)


def labels_as_nifti(stored: NDArray[np.uint8], grid: Grid, name: str = "the study", description: str = "") -> bytes:
    """Labels columns x rows x slices as NIfTI, not compressed.

    Slices that a tilted gantry shifted against each other have a sheared grid, which the sform says and the qform
    cannot: its code is then 0. Where the grid says no places, both codes are 0, which says that nothing is known.

    Args:
        description: of the header, up to 80 bytes.

    Raises:
        ImageError: the slices are not evenly spaced.
    """
    import nibabel

    require_even(grid, name)
    affine = grid.affine()
    made: Any = nibabel.Nifti1Image(stored, affine, dtype=np.uint8)  # type: ignore[attr-defined]
    made.header["descrip"] = description
    if affine is None:
        spacing = None if grid.part is not None else grid.spacing
        rows, columns = spacing or (1.0, 1.0)
        made.header.set_zooms((columns, rows, grid.thickness or 1.0))
        if spacing is not None:
            made.header.set_xyzt_units("mm")
        return made.to_bytes()
    made.header.set_xyzt_units("mm")
    made.set_sform(affine, SCANNER)
    made.set_qform(affine, 0 if is_sheared(affine) else SCANNER)
    return made.to_bytes()


def require_even(grid: Grid, name: str) -> None:
    """Raise ImageError unless equal steps lead from slice to slice, or the grid says no places."""
    positions = grid.positions
    if positions is None or grid.slices < 3:
        return
    step = (positions[-1] - positions[0]) / (grid.slices - 1)
    apart = np.linalg.norm(positions - positions[0] - np.outer(np.arange(grid.slices), step), axis=1)
    worst = int(apart.argmax())
    if apart[worst] > max(_EVEN_MM, _EVEN * float(np.linalg.norm(step))):
        raise ImageError(
            f"the slices of {name} are not evenly spaced (slice {worst} lies {apart[worst]:.2f} mm from its place), "
            "and NIfTI has one step for all",
            "Take --format dicom-seg, which says where each slice lies, or choose slices without a gap.",
        )


def is_sheared(affine: NDArray[np.float64]) -> bool:
    """Whether the axes of an affine are not at right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-4)
