"""DICOM files as a reader without libraries meets them, with the levels that they show and the size of their pixels;
and masks with their figures in mm, which a mask that leaves the measured part of its picture has not."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2m_edge.files import write_bytes
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.imaging.dicom import read_dicom
from s2m_edge.imaging.grid import Grid, Part
from s2m_edge.imaging.intensity import Intensity
from s2m_edge.imaging.results.figures import measure
from s2m_edge.imaging.study.frames import frames_of
from s2m_edge.imaging.study.ultrasound import REGIONS
from s2m_edge.notice import NOTICE

FOLDER = "dicom"
INDEX_FILE = "index.json"
ROWS, COLUMNS = 9, 11
_CLASSES = (SegmentClass("one", (255, 0, 0)), SegmentClass("two", (0, 255, 0)))
_PERCENTILES, _WINDOW = Intensity("percentiles", 2.0, 97.0), Intensity("window", -150.0, 250.0)

_GREY = (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 37 % 1021).astype(np.uint16)
_SIGNED = (_GREY.astype(np.int16) - 400) * 3
_COLOUR = np.stack([_GREY % 256, _GREY % 200, _GREY % 99], 2).astype(np.uint8)
_ROUND = np.where((np.mgrid[:ROWS, :COLUMNS] - 4) ** 2 < 30, 1, 0).prod(0).astype(np.int16)
_HOUNSFIELD = {
    "RescaleSlope": "1",
    "RescaleIntercept": "-1024",
    "WindowCenter": ["40", "400"],
    "WindowWidth": ["400", "1500"],
}

_REGION = {
    "RegionSpatialFormat": 1,
    "RegionLocationMinX0": 2,
    "RegionLocationMinY0": 1,
    "RegionLocationMaxX1": 8,
    "RegionLocationMaxY1": 6,
    "PhysicalUnitsXDirection": 3,
    "PhysicalUnitsYDirection": 3,
    "PhysicalDeltaX": 0.02,
    "PhysicalDeltaY": -0.05,
}
_TRACE = {
    **_REGION,
    "RegionSpatialFormat": 3,
    "RegionLocationMinY0": 7,
    "RegionLocationMaxY1": 8,
    "PhysicalUnitsXDirection": 4,
    "PhysicalUnitsYDirection": 7,
}
_OVER = {**_TRACE, "RegionLocationMinY0": 6}
_BESIDE = {**_REGION, "RegionLocationMinY0": 7, "RegionLocationMaxY1": 8}


DICOMS: dict[str, tuple[NDArray[Any], dict[str, Any], bool]] = {
    # name: stored values, attributes, whether VRs are implicit
    "ct": (_GREY.astype(np.int16) + 600, {**_HOUNSFIELD, "PixelSpacing": ["0.75", "0.5"]}, False),
    "ct-implicit": (_GREY.astype(np.int16) + 600, {**_HOUNSFIELD, "PixelSpacing": ["0.7031250", "7.03125e-1"]}, True),
    "mr-12-bits": (_GREY, {"BitsStored": 12, "HighBit": 11, "PixelSpacing": ["1.25", "1.5"]}, False),
    "signed": (_SIGNED, {"RescaleSlope": "0.5", "RescaleIntercept": "10"}, False),
    "signed-12-bits": (_SIGNED, {"BitsStored": 12, "HighBit": 11}, True),
    "padding": (np.where(_ROUND == 1, _SIGNED, np.int16(-2000)), {"PixelPaddingValue": -2000}, False),
    "padding-implicit": (
        np.where(_ROUND == 1, _SIGNED, np.int16(-2000)),
        {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1900},
        True,
    ),
    "detector": (
        _GREY,
        {"PhotometricInterpretation": "MONOCHROME1", "ImagerPixelSpacing": ["0.143", "0.143"], "PixelSpacing": ""},
        False,
    ),
    "exact-window": (_GREY, {"WindowCenter": "500", "WindowWidth": "301.5", "VOILUTFunction": "LINEAR_EXACT"}, False),
    "sigmoid": (_GREY, {"WindowCenter": "500", "WindowWidth": "300", "VOILUTFunction": "SIGMOID"}, False),
    "no-width": (_GREY, {"WindowCenter": "500", "WindowWidth": "0", "PixelSpacing": ["0", "1"]}, False),
    "bytes": ((_GREY % 251).astype(np.uint8), {"PresentationLUTShape": "INVERSE"}, False),
    "colour": (_COLOUR, {"PixelSpacing": ["2", "2"]}, False),
    "colour-planes": (
        np.ascontiguousarray(_COLOUR.transpose(2, 0, 1)),
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 1},
        True,
    ),
    "ultrasound": (_COLOUR, {REGIONS: [_REGION, _TRACE]}, False),
    "ultrasound-implicit": (_COLOUR, {REGIONS: [_TRACE, _REGION]}, True),
    "ultrasound-with-spacing": (_COLOUR, {REGIONS: [_REGION], "PixelSpacing": ["2", "3"]}, False),
    "ultrasound-two-pictures": (_COLOUR, {REGIONS: [_REGION, _BESIDE]}, False),
    "ultrasound-no-picture": (_COLOUR, {REGIONS: [_TRACE]}, True),
    "ultrasound-overlap": (_COLOUR, {REGIONS: [_REGION, _OVER]}, False),
    "ultrasound-no-step": (_COLOUR, {REGIONS: [{**_REGION, "PhysicalDeltaX": 0.0}]}, False),
    "ultrasound-two-steps": (_COLOUR, {REGIONS: [{**_REGION, "PhysicalDeltaX": [0.02, 0.03]}]}, False),
    "ultrasound-no-place": (_COLOUR, {REGIONS: [{**_REGION, "RegionLocationMaxY1": 1}]}, True),
    "ultrasound-no-regions": (_COLOUR, {REGIONS: []}, False),
}  # fmt: skip

MASKS: dict[str, tuple[Any, ...]] = {
    # name: rows of labels, mm between rows and columns, the part of the picture that this holds in where it is not all
    "rectangle": (["......", ".1111.", ".1111.", "......"], (1.0, 1.0)),
    "anisotropic": (["......", ".1111.", ".1111.", "......"], (2.5, 0.25)),
    "corners": (["1.....", ".1....", "..1...", "...1.."], (0.5, 0.75)),
    "two-pieces": (["11...1", "11...1", ".....1", ".....1"], (1.0, 1.0)),
    "hole": (["111111", "1....1", "1....1", "111111"], (0.7, 0.9)),
    "two-classes": (["112222", "112222", "112...", "......"], (1.0, 3.0)),
    "at-the-edge": (["1....1", "......", "......", "2....."], (1.0, 1.0)),
    "one-is-absent": ([".....2", "....22", "......", "......"], (0.33, 0.44)),
    "within-a-part": ([".1111.", ".1111.", "......", "......"], (0.5, 0.25), Part(0, 1, 3, 5)),
    "beyond-a-part": (["111122", "111122", "......", "......"], (0.5, 0.25), Part(0, 1, 3, 6)),
    "below-a-part": (["1....2", "1....2", "1.....", "......"], (0.5, 0.25), Part(0, 0, 2, 9)),
}


def write_dicoms(folder: Path) -> None:
    """Write the files and their index."""
    folder.mkdir(exist_ok=True)
    for name, (values, tags, implicit) in DICOMS.items():
        _dataset(values, tags, implicit).save_as(folder / f"{name}.dcm", enforce_file_format=True)
    write_bytes(folder / INDEX_FILE, (json.dumps(index_of(folder), indent=1) + "\n").encode())


def index_of(folder: Path) -> dict[str, Any]:
    """What the files in that folder show, and the figures of the masks."""
    return {
        "notice": NOTICE,
        "pictures": [_picture(folder / f"{name}.dcm") for name in DICOMS],
        "masks": [_figures(name, *values) for name, values in MASKS.items()],
    }


def _picture(path: Path) -> dict[str, Any]:
    import pydicom

    (frame,) = frames_of(pydicom.dcmread(path), path)
    shown = []
    for intensity in (Intensity(), _PERCENTILES, _WINDOW):
        levels = read_dicom(path, 0, intensity)
        shown.append({"intensity": intensity.to_dict(), "levels": levels.reshape(-1).tolist()})
    spacing = None
    if frame.spacing is not None:
        part = None if frame.part is None else asdict(frame.part)
        spacing = {"rows": frame.spacing[0], "columns": frame.spacing[1], "from": frame.spacing_from, "part": part}
    size = {"height": frame.rows, "width": frame.columns}
    return {"file": path.name, **size, "spacing": spacing, "unmeasured": frame.unmeasured, "shown": shown}


def _figures(name: str, lines: list[str], spacing: tuple[float, float], part: Part | None = None) -> dict[str, Any]:
    labels = np.array([[int(sign.replace(".", "0")) for sign in line] for line in lines], np.uint8)
    found = measure(labels[None], Grid(1, labels.shape[0], labels.shape[1], spacing, part=part), _CLASSES)
    return {
        "name": name,
        "labels": lines,
        "spacing": list(spacing),
        "part": None if part is None else asdict(part),
        "area_mm2": [None if entry.area_mm2 is None else entry.area_mm2[0] for entry in found],
        "diameter_mm": [None if entry.diameter is None else entry.diameter.mm for entry in found],
        "unmeasured": [entry.unmeasured for entry in found],
    }


def _dataset(values: NDArray[Any], tags: dict[str, Any], implicit: bool) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, SecondaryCaptureImageStorage

    same = {"SOPClassUID": SecondaryCaptureImageStorage, "SOPInstanceUID": "1.2.3.4"}
    made = _item(**same, PatientName="Made^Nobody", PatientID="0", Modality="OT", Rows=ROWS, Columns=COLUMNS)
    made.file_meta = FileMetaDataset()
    for name, value in same.items():
        setattr(made.file_meta, f"MediaStorage{name}", value)
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    made.ReferencedImageSequence = [_item(ReferencedSOPInstanceUID="1.2.3", PixelSpacing=[9, 9])]  # to be passed over
    colour = values.ndim == 3
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = values.dtype.itemsize * 8
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(made, name, [_item(**item) for item in value] if name == REGIONS else value)
    for sequence in (entry for entry in made if entry.VR == "SQ"):
        sequence.is_undefined_length = not implicit
        for item in sequence.value:
            item.is_undefined_length_sequence_item = not implicit
    content = values.tobytes()
    made.PixelData = content + bytes(len(content) % 2)
    return made


def _item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made
