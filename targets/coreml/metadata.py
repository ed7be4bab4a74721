"""What the package says of itself: in Finder, in Xcode's model view, and to the app."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from s2m_edge import __version__
from s2m_edge.deploy.interface import INPUT_NAME, OUTPUT_NAME
from s2m_edge.imaging.classes import SegmentClass
from s2m_edge.targets.base import LoweringRequest

PREVIEW_TYPE_KEY = "com.apple.coreml.model.preview.type"
PREVIEW_PARAMETERS_KEY = "com.apple.coreml.model.preview.parameters"


def preview_parameters(classes: Sequence[SegmentClass]) -> dict[str, list[str]]:
    """Labels and colours of Xcode's segmentation preview: background black, then the contract's classes."""
    colours = ["#{:02X}{:02X}{:02X}".format(*entry.colour) for entry in classes]
    return {"labels": ["background", *(entry.name for entry in classes)], "colors": ["#000000", *colours]}


def write_metadata(model: Any, request: LoweringRequest) -> None:
    """Fill in author, licence, version, descriptions, preview and user-defined metadata of a `ct.models.MLModel`."""
    spec, given = request.spec, request.metadata
    what = "the foreground" if spec.outputs == 1 else f"{spec.outputs} classes"
    model.author = given.get("author", "s2m-edge")
    model.license = given.get("licence", "")
    model.version = given.get("version", __version__)
    sentences = (f"{given.get('name', spec.name)}: probabilities of {what} per pixel", given.get("notice", ""))
    model.short_description = ". ".join(text.rstrip(".") for text in sentences if text) + "."
    model.input_description[INPUT_NAME] = (
        f"The picture, stretched to {spec.width} x {spec.height} pixels; scaled inside the model."
    )
    model.output_description[OUTPUT_NAME] = f"Probabilities, 1 x {' x '.join(map(str, spec.output_shape))}, 0 to 1."
    for key, value in given.items():
        model.user_defined_metadata[key] = value
    model.user_defined_metadata[PREVIEW_TYPE_KEY] = "imageSegmenter"
    model.user_defined_metadata[PREVIEW_PARAMETERS_KEY] = json.dumps(preview_parameters(spec.classes))
