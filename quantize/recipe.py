"""The recipe that a checkpoint is fine-tuned by: the one that it says it was trained by."""

from __future__ import annotations

from dataclasses import replace

from s2m_edge.checkpoint import CheckpointHeader
from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.intensity import intensity_of
from s2m_edge.train.recipe import LossName, Recipe, read_recipe, recipe_names

DEFAULT_NAMES = ("foreground",)


def recipe_of(header: CheckpointHeader, loss: str | None = None) -> Recipe:
    """Augmentation, patches, classes and loss as in the checkpoint's own training.

    Args:
        loss: instead of the checkpoint's own.

    Raises:
        ConfigurationError: there is no such loss.
    """
    provenance, config = header.provenance, header.config
    name = provenance.get("recipe") or provenance.get("domain") or ""
    base = read_recipe(name if name in recipe_names() else "polyp")
    names = tuple(provenance.get("class_names", ())) or DEFAULT_NAMES
    if len(names) != max(1, config.classes - 1):
        names = tuple(f"class {label}" for label in range(1, max(2, config.classes)))
    own: LossName = "masl" if str(provenance.get("loss", "")).lower().startswith("masl") else "dice_ce"
    if loss not in (None, "masl", "dice_ce"):
        raise ConfigurationError(f"there is no loss {loss!r}", "Choose --loss masl or dice_ce.")
    chosen: LossName = own if loss is None else ("masl" if loss == "masl" else "dice_ce")
    return replace(
        base,
        class_names=names,
        in_channels=config.in_channels,
        intensity=intensity_of(provenance),
        loss=chosen,
        layout=config.layout,
        average_decay=0.0,
    )
