"""The network's configuration. Imports no torch, so that the command line can read it cheaply."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.limits import LARGEST_SIDE, MOST_LABELS

SpatialBranch = Literal["bottleneck", "projection"]

MINIMUM_SIZE = 96
MOST_CHANNELS = 2**16
"""In any one layer, the widest of which has `expansion` times its stage's: a bound on what a file may ask for. What it
describes is compared with what it holds, too (`s2m_edge.deploy.claims`)."""
SIZE_MULTIPLE = 32
FEWEST_STAGES, MOST_STAGES = 2, 5
"""Of the encoder. The published layouts have five."""
SPECTRAL_INITIAL_PEAK = 0.5
SPECTRAL_INITIAL_RADIUS = 0.25
SPECTRAL_INITIAL_WIDTH = 0.15


@dataclass(frozen=True)
class S2MNetConfig:
    """Everything that fixes the network's layout (arXiv 2601.01285, section 3).

    Attributes:
        size: input height and width in pixels; a multiple of 32, at least 96.
        in_channels: 1 (grey) or 3 (RGB).
        classes: output channels; 1 means binary (sigmoid), more mean softmax with class 0 as background.
        layout: the preset this layout started from; informative.
        encoder_channels: channels of the encoder stages, shallowest first; five in the published layouts, two at least.
        stem_channels: channels of the full-resolution stem.
        head_channels: channels of the two convolutions of the head.
        expansion: MRF-SE expansion ratio r (F = r * C).
        kept_frequencies: K, frequencies kept per axis by the spectral filter; K' = min(K, H, W) in each stage.
        spatial_branch: "bottleneck" (paper: C > d > C) or "projection" (release: one C > C).
        mixer_stages: 1-based encoder stages that have an SSTM; all in both published layouts.
        spatial_stages: those of them whose SSTM has the spatial branch.
        bottleneck_width: d of the bottleneck.
        dropout: dropout probability in MRF-SE and SSTM.
        layer_norm_epsilon: epsilon of every LayerNorm.
    """

    size: int = 352
    in_channels: int = 3
    classes: int = 1
    layout: str = "paper"
    encoder_channels: tuple[int, ...] = (24, 32, 64, 80, 128)
    stem_channels: int = 16
    head_channels: tuple[int, int] = (32, 16)
    expansion: int = 6
    kept_frequencies: int = 32
    spatial_branch: SpatialBranch = "bottleneck"
    mixer_stages: tuple[int, ...] = (1, 2, 3, 4, 5)
    spatial_stages: tuple[int, ...] = (1, 2, 3, 4, 5)
    bottleneck_width: int = 16
    dropout: float = 0.1
    layer_norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        self._require_kinds()
        if not MINIMUM_SIZE <= self.size <= LARGEST_SIDE or self.size % SIZE_MULTIPLE:
            nearest = round(self.size / SIZE_MULTIPLE) * SIZE_MULTIPLE
            raise ConfigurationError(
                f"the input size {self.size} is not a multiple of {SIZE_MULTIPLE} in {MINIMUM_SIZE}..{LARGEST_SIDE}",
                f"Choose one, for instance {min(max(MINIMUM_SIZE, nearest), LARGEST_SIDE)}.",
            )
        if self.in_channels not in (1, 3):
            raise ConfigurationError(f"in_channels is {self.in_channels}", "It must be 1 (grey) or 3 (RGB).")
        if not 1 <= self.classes <= MOST_LABELS:
            raise ConfigurationError(
                f"classes is {self.classes}", f"It must be 1 (binary) or more, up to {MOST_LABELS}."
            )
        if not FEWEST_STAGES <= self.stages <= MOST_STAGES or min(self.encoder_channels) < 2:
            raise ConfigurationError(
                f"encoder_channels must name {FEWEST_STAGES} to {MOST_STAGES} stages of at least two channels each"
            )
        if len(self.head_channels) != 2 or min(self.head_channels) < 1:
            raise ConfigurationError("head_channels must name two convolutions of at least one channel each")
        widest = max(self.stem_channels, *self.head_channels, self.expansion * max(self.encoder_channels))
        least = min(self.stem_channels, self.expansion, self.bottleneck_width)
        if least < 1 or max(widest, self.bottleneck_width) > MOST_CHANNELS:
            raise ConfigurationError(
                f"the layout has a layer of {least if least < 1 else max(widest, self.bottleneck_width)} channels",
                f"The widest, expansion times encoder_channels, may have {MOST_CHANNELS}.",
            )
        for name, stages in (("mixer_stages", self.mixer_stages), ("spatial_stages", self.spatial_stages)):
            if not set(stages) <= set(range(1, self.stages + 1)):
                raise ConfigurationError(f"{name} is {list(stages)}", f"The encoder's stages are 1 to {self.stages}.")
        if self.kept_frequencies < 1:
            raise ConfigurationError(f"kept_frequencies is {self.kept_frequencies}", "It must be at least 1.")
        if self.spatial_branch not in ("bottleneck", "projection"):
            raise ConfigurationError(
                f"spatial_branch is {self.spatial_branch!r}", "It must be 'bottleneck' or 'projection'."
            )
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigurationError(f"dropout is {self.dropout}", "It must lie in [0, 1).")
        if not 0.0 < self.layer_norm_epsilon < 1.0:
            raise ConfigurationError(f"layer_norm_epsilon is {self.layer_norm_epsilon}", "It must lie in (0, 1).")

    def _require_kinds(self) -> None:
        """Raise ConfigurationError where a value is of another kind than the default; a file's JSON says anything."""
        for entry in fields(self):
            value, default = getattr(self, entry.name), entry.default
            several = isinstance(default, tuple)
            kind = type(default[0]) if several else type(default)
            parts = value if several and isinstance(value, tuple) else (value,)
            wanted = (int, float) if kind is float else kind
            # `true` is no 1, though Python takes it for one.
            sound = all(isinstance(part, wanted) and not isinstance(part, bool) for part in parts)
            if isinstance(value, tuple) != several or not sound:
                raise ConfigurationError(
                    f"{entry.name} is {value!r}", "Use a configuration that s2m-edge wrote, or a preset."
                )

    @staticmethod
    def preset_names() -> tuple[str, ...]:
        return ("paper", "released", "without_sstm")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> S2MNetConfig:
        """The layout `name` with `changes` applied, for instance `size=256`.

        "paper" and "released" are published; "without_sstm" is the network of an ablation, all convolutions.
        """
        if name == "paper":
            base = cls()
        elif name == "released":
            base = cls(layout="released", spatial_branch="projection", spatial_stages=(3, 4, 5))
        elif name == "without_sstm":
            base = cls(layout="without_sstm", mixer_stages=(), spatial_stages=())
        else:
            raise ConfigurationError(f"unknown preset {name!r}", f"Choose one of {', '.join(cls.preset_names())}.")
        return replace(base, **changes)

    @property
    def stages(self) -> int:
        """Of the encoder."""
        return len(self.encoder_channels)

    def stage_size(self, stage: int) -> int:
        """Height and width in pixels of encoder stage `stage` (1..stages)."""
        return -(-self.size // 2**stage)

    def stage_frequencies(self, stage: int) -> int:
        """K' = min(K, H, W) of encoder stage `stage` (1..stages)."""
        return min(self.kept_frequencies, self.stage_size(stage))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> S2MNetConfig:
        """The inverse of `to_dict`, also after a round trip through JSON.

        Raises:
            ConfigurationError: a field is unknown or has the wrong type or range.
        """
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        try:
            return cls(**known)
        except TypeError as error:
            raise ConfigurationError(
                f"the network configuration does not fit this version ({error})",
                "Update s2m-edge, or use a checkpoint that it wrote.",
            ) from None
