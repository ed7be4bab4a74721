"""What the window says of results, devices and the model: texts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s2m_edge.apps.desktop.documents import Document, Slice
from s2m_edge.apps.desktop.engine import Opened, Segmentation
from s2m_edge.deploy.contract import Contract
from s2m_edge.imaging.results.figures import ClassFigures, Diameter
from s2m_edge.texts import printable

NO_SPACING = "no spacing in the file"


def model_text(contract: Contract) -> str:
    """Network, precision, data set and versions, a line each."""
    from s2m_edge.train.data.presets import dataset_title

    values, network = contract.values, contract.values["network"]
    dataset = values["checkpoint"]["provenance"].get("dataset")
    spectral = "" if contract.spectral == "none" else f", spectral filter as {contract.spectral}"
    lines = (
        f"{network['name']}, {contract.preprocessing.title}",
        network["architecture"],
        f"{contract.precision}{spectral}",
        f"trained on {dataset_title(str(dataset))}" if dataset else "",
        f"OpenVINO {values['tools'].get('openvino', '')}, s2m-edge {values['s2m_edge_version']}",
    )
    return "\n".join(printable(line) for line in lines if line)


def self_test_text(opened: Opened) -> str:
    """The self-test's figures."""
    figures = f"largest probability error {opened.error:.1e}, mask agreement {opened.agreement:.5f}"
    return f"{len(opened.images)} golden inputs against the reference: {figures}"


def state_text(document: Document, done: Mapping[int, Segmentation], last: Segmentation) -> str:
    """How far a document is, after its slices' number; `last` was done last."""
    whole = f"segmented, {last.network_milliseconds:.0f} ms"
    state = whole if len(done) == document.slices else f"{len(done)} segmented"
    unusual = sum(entry.guard is not None and entry.guard.unusual for entry in done.values())
    of_many = f"{unusual} " if document.slices > 1 else ""
    return f"{state}, {of_many}unusual" if unusual else state


def share_text(figures: Sequence[ClassFigures], pixels: int) -> str:
    """The share of each class in the picture, a line each."""
    return "\n".join(f"{printable(entry.name)} {entry.pixels / pixels:.1%}" for entry in figures)


def pixel_text(figures: Sequence[ClassFigures], found: Segmentation) -> str:
    """Pixels and times."""
    areas = ", ".join(f"{entry.pixels:,}" for entry in figures)
    return (
        f"{areas} of {found.width * found.height:,} pixels ({found.width} x {found.height})\n"
        f"network {found.network_milliseconds:.0f} ms, in all {found.milliseconds:.0f} ms"
    )


def millimetre_text(figures: Sequence[ClassFigures], read: Slice) -> str:
    """Area and largest diameter of each class in the slice, and the size of a pixel; or that the file does not say."""
    spacing = read.grid.spacing
    if spacing is None:
        return NO_SPACING
    lines = [
        f"{_named(entry, figures)}{entry.area_mm2[0]:,.1f} mm²{_across(entry.diameter)}"
        for entry in figures
        if entry.area_mm2 is not None
    ]
    lines.extend(f"{_named(entry, figures)}no mm: {entry.unmeasured}" for entry in figures if entry.unmeasured)
    lines.append(f"pixels of {spacing[0]:.4g} x {spacing[1]:.4g} mm ({read.spacing_from})")
    return "\n".join(lines)


def volume_text(document: Document, read: Slice, segmented: int, figures: Sequence[ClassFigures] | None) -> str:
    """Volume and largest diameter of each class in the study, once every slice is segmented; empty where no file says
    how large a pixel is, which `millimetre_text` tells already.

    Args:
        segmented: how many slices are.
        figures: of the whole study; None while they are not measured.
    """
    if document.slices == 1 or read.grid.spacing is None:
        return ""
    if segmented < document.slices:
        return f"ml and mm of the study once all its slices are segmented ({segmented} of {document.slices})"
    if figures is None:
        return "measuring the study..."
    lines = [f"all {document.slices} slices:"]
    for entry in figures:
        if entry.unmeasured:
            lines.append(f"{_named(entry, figures)}no mm: {entry.unmeasured}")
            continue
        volume = "" if entry.volume_ml is None else f"{entry.volume_ml:,.2f} ml"
        at = entry.diameter
        where = "" if at is None else f" (slice {at.slice + 1})"
        lines.append(f"{_named(entry, figures)}{volume}{_across(at)}{where}")
    if not read.stands_apart:
        lines.append("no ml: the file does not say how far its slices are apart")
    return "\n".join(lines)


def _named(entry: ClassFigures, figures: Sequence[ClassFigures]) -> str:
    return f"{printable(entry.name)} " if len(figures) > 1 else ""


def _across(diameter: Diameter | None) -> str:
    return "" if diameter is None else f", {diameter.mm:.1f} mm across"
