"""What a network must say of itself before anything here can lower, prove and deploy it: data, no code.

Everything after training takes an `nn.Module` and a `NetworkSpec`. S2M-Net's checkpoints give theirs
(`s2m_edge.checkpoint.network_spec`); other networks bring a file (`read_spec`) or make one in Python.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import s2m_edge
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.classes import PALETTE, SegmentClass
from s2m_edge.imaging.intensity import Intensity, intensity_of
from s2m_edge.imaging.limits import LARGEST_SIDE, MOST_LABELS
from s2m_edge.imaging.preprocess import Preprocessing
from s2m_edge.imaging.window import Window
from s2m_edge.text_files import read_text

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["sigmoid", "softmax"]

SPEC_VERSION = 1
SCHEMA_PATH = Path(s2m_edge.__file__).parent / "schemas" / f"spec-{SPEC_VERSION}.json"
DEFAULT_THRESHOLD = 0.5
MOST_CLASSES = MOST_LABELS - 1
"""Foreground classes; 0 is the background."""


@dataclass(frozen=True)
class NetworkSpec:
    """One segmentation network: what goes in, what comes out, and where it is from.

    Attributes:
        name: of its files and bundles; letters, digits, dots, dashes and underscores.
        height, width: of its input, in pixels.
        channels: 3 (RGB) or 1 (grey).
        classes: the foreground classes, in the order of the output's channels.
        activation: "sigmoid": one output channel, one class. "softmax": a channel for the background, then one for each
            class. The network itself gives logits.
        scale: factor from 0..255 to the range that mean and standard deviation refer to.
        mean, standard_deviation: per channel, after scaling.
        window: None: pictures are stretched to the network's size. Otherwise the network slides over them at their own
            resolution, as one trained on patches has to.
        intensity: how values deeper than 8 bits become the levels that it sees, as in its training.
        threshold: probability from which a pixel belongs to the class, in [0, 1]; of one class alone.
        architecture: what kind of network it is, for people.
        layout: JSON values that make the network again, where there are any.
        provenance: JSON values: dataset, recipe, figures; "domain" chooses the sample pictures.
        file: the name of the weights' file, and `sha256` its hash; empty for a network that comes from memory.
        weights_sha256: of the weights themselves (`tensors_hash`): the network's identity. What is written beside the
            weights, say a figure, changes the file's hash and not this one.
        parameters, multiply_adds: counted (`s2m_edge.deploy.arithmetic`); these three are set by `of`.
    """

    name: str
    height: int
    width: int
    channels: int = 3
    classes: tuple[SegmentClass, ...] = (SegmentClass("foreground", PALETTE[0]),)
    activation: Activation = "sigmoid"
    scale: float = 1.0 / 255.0
    mean: tuple[float, ...] = ()
    standard_deviation: tuple[float, ...] = ()
    window: Window | None = None
    intensity: Intensity = Intensity()  # noqa: RUF009 - frozen
    threshold: float = DEFAULT_THRESHOLD
    architecture: str = "unnamed"
    layout: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""
    weights_sha256: str = ""
    parameters: int = 0
    multiply_adds: int = 0

    def __post_init__(self) -> None:
        if not self.mean:
            object.__setattr__(self, "mean", (0.0,) * self.channels)
        if not self.standard_deviation:
            object.__setattr__(self, "standard_deviation", (1.0,) * self.channels)
        _require_sound(self)

    @property
    def outputs(self) -> int:
        """Channels of the output: one, or the background's and the classes'."""
        return 1 if self.activation == "sigmoid" else 1 + len(self.classes)

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Outputs, height and width: of the logits, without the batch."""
        return self.outputs, self.height, self.width

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(
            self.height,
            self.width,
            self.channels,
            self.scale,
            self.mean,
            self.standard_deviation,
            self.window,
            self.intensity,
        )

    def with_preprocessing(self, preprocessing: Preprocessing) -> NetworkSpec:
        """The same network behind another preprocessing; exporters move factors into the first convolution so."""
        return replace(
            self,
            height=preprocessing.height,
            width=preprocessing.width,
            channels=preprocessing.channels,
            scale=preprocessing.scale,
            mean=preprocessing.mean[: preprocessing.channels],
            standard_deviation=preprocessing.standard_deviation[: preprocessing.channels],
        )

    def of(self, network: nn.Module) -> NetworkSpec:
        """The spec with what only the network itself tells: the hash of its weights, where no file of them told it, and
        their arithmetic."""
        from s2m_edge.deploy.arithmetic import multiply_adds, parameter_count

        return replace(
            self,
            weights_sha256=self.weights_sha256 or weights_hash(network),
            parameters=parameter_count(network),
            multiply_adds=multiply_adds(network, self.preprocessing.image_shape),
        )


def _require_sound(spec: NetworkSpec) -> None:
    """Raise ConfigurationError unless every value is of its range; the schema has seen the types of a file's."""
    import re

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", spec.name):
        raise ConfigurationError(
            f"the network's name {spec.name!r} cannot be a file's",
            "Use up to 100 letters, digits, dots, dashes and underscores, a letter or digit first.",
        )
    for word, side in (("height", spec.height), ("width", spec.width)):
        if not 1 <= side <= LARGEST_SIDE:
            raise ConfigurationError(f"the {word} is {side}", f"It must lie in 1..{LARGEST_SIDE} pixels.")
    if spec.channels not in (1, 3):
        raise ConfigurationError(f"channels is {spec.channels}", "It must be 1 (grey) or 3 (RGB).")
    for word, values in (("mean", spec.mean), ("standard_deviation", spec.standard_deviation)):
        if len(values) != spec.channels or not all(math.isfinite(value) for value in values):
            raise ConfigurationError(
                f"{word} is {list(values)}", f"Give {spec.channels} finite numbers, one for each channel."
            )
    if not (min(spec.standard_deviation) > 0 and math.isfinite(spec.scale) and spec.scale > 0):
        raise ConfigurationError("scale and standard_deviation must be above zero", "Correct the specification.")
    if not 0.0 <= spec.threshold <= 1.0:
        raise ConfigurationError(f"the threshold is {spec.threshold}", "It must lie in [0, 1].")
    if spec.activation not in ("sigmoid", "softmax"):
        raise ConfigurationError(f"there is no activation {spec.activation!r}", "It must be sigmoid or softmax.")
    if not 1 <= len(spec.classes) <= MOST_CLASSES:
        raise ConfigurationError(
            f"there are {len(spec.classes)} classes", f"Name 1 to {MOST_CLASSES}; the background is not counted."
        )
    if spec.activation == "sigmoid" and len(spec.classes) != 1:
        raise ConfigurationError(
            f"activation is sigmoid and there are {len(spec.classes)} classes",
            "Sigmoid is for one class; several classes take softmax with the background as the first channel.",
        )


def make_spec(
    name: str,
    *,
    height: int,
    width: int,
    channels: int = 3,
    classes: Sequence[str | SegmentClass] = ("foreground",),
    activation: Activation | None = None,
    **values: Any,
) -> NetworkSpec:
    """A specification from plain values.

    Args:
        classes: names (coloured from the toolkit's palette) or classes with their colours.
        activation: sigmoid of one class and softmax of several, if left out.
        values: further attributes of `NetworkSpec`.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    given = tuple(
        entry if isinstance(entry, SegmentClass) else SegmentClass(entry, PALETTE[index % len(PALETTE)])
        for index, entry in enumerate(classes)
    )
    chosen: Activation = activation or ("sigmoid" if len(given) == 1 else "softmax")
    return NetworkSpec(name, height, width, channels, given, chosen, **values)


def weights_hash(network: nn.Module) -> str:
    """`tensors_hash` of a network's state."""
    return tensors_hash(network.state_dict())


def tensors_hash(tensors: Mapping[str, Any]) -> str:
    """SHA-256 of tensors: names, dtypes, shapes and bytes, in the order of their names.

    Floating point counts as float32, whatever it is stored in; counters that no answer depends on
    (`num_batches_tracked`) are left out. A checkpoint's file and the network that it gives have the same.
    """
    import hashlib

    import torch

    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        if not isinstance(tensor, torch.Tensor) or name.endswith("num_batches_tracked"):
            continue
        value = tensor.detach().cpu().contiguous()
        value = value.float() if value.is_floating_point() else value
        total.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


@cache
def spec_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a specification's file."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def spec_from_dict(values: Any, source: str) -> NetworkSpec:
    """A specification from the values of a file.

    Raises:
        ConfigurationError: from a newer version, or a value is missing, unknown or out of its range.
    """
    import jsonschema

    remedy = "s2m-edge spec new writes one with comments."
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source} is no network specification", remedy)
    version = values.get("spec_version")
    if isinstance(version, int) and version > SPEC_VERSION:
        raise ConfigurationError(
            f"{source} follows version {version} of the specification, newer than this s2m-edge reads ({SPEC_VERSION})",
            "Update s2m-edge.",
        )
    try:
        jsonschema.validate(values, spec_schema())
    except jsonschema.ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top level"
        raise ConfigurationError(f"{source} is wrong at {where} ({error.message})", remedy) from None
    entry = values["input"]
    classes = tuple(
        SegmentClass(item, PALETTE[index % len(PALETTE)])
        if isinstance(item, str)
        else SegmentClass(item["name"], tuple(item.get("colour", PALETTE[index % len(PALETTE)])))
        for index, item in enumerate(values["classes"])
    )
    return make_spec(
        values["name"],
        height=entry["height"],
        width=entry["width"],
        channels=entry["channels"],
        classes=classes,
        activation=values.get("activation"),
        scale=float(entry.get("scale", 1.0 / 255.0)),
        mean=tuple(float(value) for value in entry.get("mean", ())),
        standard_deviation=tuple(float(value) for value in entry.get("standard_deviation", ())),
        window=window_of(entry),
        intensity=intensity_of(entry),
        threshold=float(values.get("threshold", DEFAULT_THRESHOLD)),
        provenance=values.get("provenance", {}),
    )


def window_of(entry: Mapping[str, Any]) -> Window | None:
    """The window of an `input` entry of a specification or a `preprocessing` entry of a contract; None: stretched.

    Raises:
        ConfigurationError: its numbers are none, or out of their range.
    """
    if entry.get("fit", "stretch") == "stretch":
        return None
    values = entry.get("window") or {}
    plain = Window()
    try:
        return Window(float(values.get("overlap", plain.overlap)), float(values.get("sigma", plain.sigma)))
    except (TypeError, ValueError, AttributeError):
        raise ConfigurationError(f"the window is {values!r}", "Write overlap and sigma.") from None


def read_spec(path: Path) -> NetworkSpec:
    """A specification's file, YAML or JSON.

    Raises:
        ConfigurationError: missing, unreadable, from a newer version, or a value is wrong.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise ConfigurationError(f"there is no specification {path}", "s2m-edge spec new writes one with comments.")
    try:
        values = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{path} is no YAML ({reason})", "Correct it.") from None
    return spec_from_dict(values, str(path))
