"""The parity report: figures per image, verdict, breaches, versions and hashes; `parity.json` in a bundle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

import numpy as np

from s2m_edge.deploy.interface import Verdict
from s2m_edge.errors import ParityError
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.parity.compare import ImageParity
from s2m_edge.targets.measure.parity.gates import GATES, run_breaches

PARITY_FILE = "parity.json"


def _number(value: Any) -> float:
    """A figure of a file, where what is not finite is a text; a whole number may be longer than a float holds."""
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True)
class ParityReport:
    """Everything measured between one artifact and the reference.

    Attributes:
        target, precision, spectral: of the artifact.
        verdict: what the comparison proves.
        edge_device, reference_device: what each side ran on.
        images: one entry per image.
        tools: versions; hashes: SHA-256 of the checkpoint and of the artifact's files.
        observations: what the runner adds.
        images_given: of which `images` are the first; 0 where all were taken.
        remark: what the figures are of, where they are not the artifact's own.
    """

    target: str
    precision: Any
    spectral: str
    verdict: Verdict
    edge_device: str
    reference_device: str
    images: tuple[ImageParity, ...]
    tools: dict[str, str]
    hashes: dict[str, str]
    observations: dict[str, Any] = field(default_factory=dict)
    images_given: int = 0
    remark: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ParityReport:
        """What `to_dict` wrote; what follows from the figures of the images is not read.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        if values["precision"] not in GATES or values["verdict"] not in get_args(Verdict):
            raise ValueError("a precision or a verdict that is none")
        figures = [entry.name for entry in fields(ImageParity) if entry.name != "name"]
        images = tuple(
            ImageParity(name=str(image["name"]), **{figure: _number(image[figure]) for figure in figures})
            for image in values["images"]
        )
        if not images:
            raise ValueError("no image")
        given = values["images_given"]
        if not isinstance(given, int) or isinstance(given, bool):
            raise TypeError("images_given is no count")
        return cls(
            *(str(values[name]) for name in ("target", "precision", "spectral")),
            verdict=values["verdict"],
            edge_device=str(values["edge_device"]),
            reference_device=str(values["reference_device"]),
            images=images,
            tools={str(name): str(version) for name, version in values["tools"].items()},
            hashes={str(name): str(digest) for name, digest in values["hashes"].items()},
            observations=dict(values["observations"]),
            images_given=given,
            remark=str(values["remark"]),
        )

    @property
    def breaches(self) -> list[str]:
        return run_breaches(GATES[self.precision], self.images)

    @property
    def passed(self) -> bool:
        return not self.breaches

    @property
    def images_with_foreground(self) -> int:
        """How many images have foreground in the reference's mask: on the others masks can only agree or invent."""
        return sum(image.shows_object for image in self.images)

    @property
    def worst(self) -> ImageParity:
        """The image with the largest probability error; one whose error is not a number is worse than any."""
        return max(
            self.images, key=lambda image: (math.isnan(image.max_probability_error), image.max_probability_error)
        )

    def to_dict(self) -> dict[str, Any]:
        worst = self.worst
        return {
            "target": self.target,
            "precision": self.precision,
            "spectral": self.spectral,
            "verdict": self.verdict,
            "passed": self.passed,
            "breaches": self.breaches,
            "gate": asdict(GATES[self.precision]),
            "edge_device": self.edge_device,
            "reference_device": self.reference_device,
            "remark": self.remark,
            "image_count": len(self.images),
            "images_given": max(self.images_given, len(self.images)),
            "images_with_foreground": self.images_with_foreground,
            "summary": {
                "max_probability_error": worst.max_probability_error,
                "mean_probability_error": sum(image.mean_probability_error for image in self.images) / len(self.images),
                "worst_mean_probability_error": float(np.max([image.mean_probability_error for image in self.images])),
                "min_mask_agreement": min(image.mask_agreement for image in self.images),
                "min_mask_dice": min(image.mask_dice for image in self.images),
                "worst_image": worst.name,
                "median_milliseconds": sorted(image.milliseconds for image in self.images)[len(self.images) // 2],
            },
            "images": [asdict(image) for image in self.images],
            "observations": self.observations,
            "tools": self.tools,
            "hashes": self.hashes,
            "notice": NOTICE,
        }

    def require_passed(self) -> None:
        """Raise ParityError, naming the first breach, unless every image keeps its gate and one shows the object."""
        if not self.passed:
            more = f" ({len(self.breaches) - 1} more)" if len(self.breaches) > 1 else ""
            raise ParityError(
                f"parity failed for {self.target} {self.precision}: {self.breaches[0]}{more}",
                "Do not deploy this artifact; parity.json has every figure.",
            )
