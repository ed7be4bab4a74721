"""Recipes: everything that fixes a training run, as YAML beside this file or in a file of the user's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from s2m_edge.errors import ConfigurationError
from s2m_edge.imaging.intensity import Intensity, intensity_of
from s2m_edge.text_files import read_text
from s2m_edge.train.teacher.config import Encoder

FOLDER = Path(__file__).parent / "recipes"
SCHEMA = "recipe-1.json"
LossName = Literal["masl", "dice_ce"]
NetworkName = Literal["s2m-net"] | Encoder


@dataclass(frozen=True)
class Phase:
    """Epochs at one resolution, each phase starting from the best checkpoint of the one before.

    Attributes:
        size: input size in pixels.
        epochs, batch_size: the batch is per device.
        learning_rate: the peak; a linear warm-up leads to it, a cosine away from it.
        loss: of this phase; None is the recipe's. From random weights MASL can stay on a plateau of empty masks for
            about a thousand steps (docs/ablation.md), so most recipes begin with a phase of "dice_ce".
    """

    size: int
    epochs: int
    batch_size: int
    learning_rate: float
    loss: LossName | None = None


@dataclass(frozen=True)
class Teaching:
    """What a network learns from teachers beside its labels (docs/distillation.md).

    Attributes:
        files: teachers' files, float checkpoints of S2M-Net or bundled ones' names; their probabilities are averaged.
            Empty, as in the recipes that come with the package, leaves it to --teacher, and without one to the labels.
        share: of the teachers in the loss, in [0, 1]; the rest is the recipe's own loss on labels.
        features: factor of the error of the encoder's features beside that of the masks; 0 compares none.
        mirrored: the teachers' answer is the mean of that to the picture and that to its mirror image.
        mixed: probability that the pictures of a batch are mixed with each other.
        unlabelled: a folder of pictures without masks that are learned from as well; labels are the teachers' alone.
    """

    files: tuple[str, ...] = ()
    share: float = 0.5
    features: float = 0.0
    mirrored: bool = False
    mixed: float = 0.0
    unlabelled: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A training run but for its data and its machine.

    Attributes:
        name, title: of the recipe.
        class_names: foreground classes; one makes a binary network (sigmoid), more a softmax with a background class.
        in_channels: 3 (RGB) or 1 (grey).
        domain: key of the bundled samples that a network of this recipe is shown with.
        phases: at least one; on a CPU several of rising size.
        loss: "masl", or "dice_ce" (Dice + cross-entropy), of every phase that names none of its own.
        loss_weight_rate: learning rate of MASL's weights, as a fraction of the network's; 0 fixes them.
        structure: of MASL, "bounded", or "literal" as the paper writes it (docs/masl.md).
            A weighted mean shrinks fastest by weighing what is small already: at the network's own rate, on real masks
            and free logits, the core weight fell from 1 to 0.26 within 300 steps while the masks stayed empty.
        augmentation: a variant of `s2m_edge.train.data.augment`.
        patches: train on random patches of the phase's size instead of whole images.
        intensity: how pictures deeper than 8 bits are read; it travels with the weights.
        weight_decay: of AdamW, for matrices and kernels alone.
        warmup_epochs: at most a tenth of a phase.
        final_learning_rate: where the cosine ends, as a fraction of the peak.
        gradient_clip: largest norm of the gradient.
        average_decay: per step, of the averaged weights that are validated and kept; 0 keeps the latest.
        early_stopping: epochs without a better validation Dice after which a phase ends.
        epoch_parts: epochs in which every training picture comes once. More than 1 makes epochs shorter than a round of
            the data: the best weights and the state to resume from are kept, and validated, more often.
        layout: of S2M-Net, "paper", "released" or "without_sstm".
        network: "s2m-net", or the ImageNet-trained encoder of a teacher's U-Net (docs/distillation.md).
        encoder_rate: learning rate of a teacher's encoder, as a fraction of its decoder's.
        seed: of weights, order, augmentation and dropout.
        teacher: what is learned from teachers; None, or one without files, is learning from labels alone.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    phases: tuple[Phase, ...]
    in_channels: int = 3
    domain: str = ""
    loss: LossName = "masl"
    loss_weight_rate: float = 0.05
    structure: Literal["bounded", "literal"] = "bounded"
    augmentation: str = "whole_image"
    patches: bool = False
    intensity: Intensity = Intensity()  # noqa: RUF009 - frozen
    weight_decay: float = 1e-4
    warmup_epochs: int = 10
    final_learning_rate: float = 0.01
    gradient_clip: float = 1.0
    average_decay: float = 0.99
    early_stopping: int = 50
    epoch_parts: int = 1
    layout: str = "paper"
    network: NetworkName = "s2m-net"
    encoder_rate: float = 0.2
    seed: int = 42
    teacher: Teaching | None = None

    @property
    def classes(self) -> int:
        """Output channels of the network."""
        return 1 if len(self.class_names) == 1 else len(self.class_names) + 1

    def loss_of(self, phase: Phase) -> LossName:
        """The phase's own loss, or the recipe's."""
        return phase.loss or self.loss

    @property
    def taught(self) -> Teaching | None:
        """What is learned from teachers, where there are any."""
        return self.teacher if self.teacher is not None and self.teacher.files else None

    def to_dict(self) -> dict[str, Any]:
        """JSON values; `recipe_from_values` is the inverse."""
        return json.loads(json.dumps(asdict(self)))


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def recipe_from_values(values: Any, where: str) -> Recipe:
    """A recipe of JSON values, checked against schemas/recipe-1.json.

    Raises:
        ConfigurationError: naming the entry that is wrong.
    """
    from importlib import resources

    from jsonschema import Draft202012Validator

    schema = json.loads((resources.files("s2m_edge") / "schemas" / SCHEMA).read_text(encoding="utf-8"))
    found = sorted(Draft202012Validator(schema).iter_errors(values), key=lambda error: list(map(str, error.path)))
    if found:
        place = ".".join(str(part) for part in found[0].absolute_path)
        raise ConfigurationError(
            f"{where}{f', {place},' if place else ''} is no recipe: {found[0].message}",
            f"Compare with the recipes that come with s2m-edge ({', '.join(recipe_names())}).",
        )
    unbounded = [name for name, number in _numbers(values) if not math.isfinite(number)]
    if unbounded:
        raise ConfigurationError(f"{where}, {unbounded[0]}, is no finite number", "Write one.")
    phases = tuple(Phase(**phase) for phase in values["phases"])
    given = values.get("teacher")
    teaching = None if given is None else Teaching(**{**given, "files": tuple(given.get("files", ()))})
    names = tuple(values["class_names"])
    changed = {"phases": phases, "class_names": names, "teacher": teaching, "intensity": intensity_of(values)}
    return Recipe(**{**values, **changed})


def _numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a tree of JSON values, with its dotted name."""
    if isinstance(values, float):
        yield name, values
    inner = dict(enumerate(values)) if isinstance(values, list | tuple) else values if isinstance(values, dict) else {}
    for key, entry in inner.items():
        yield from _numbers(entry, f"{name}.{key}" if name else str(key))


def read_recipe(name_or_path: str) -> Recipe:
    """A recipe by its name, or a YAML file of one's own.

    Raises:
        ConfigurationError: there is none of that name, or the file is no recipe.
    """
    import yaml

    path = FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        path = Path(name_or_path)
        if path.suffix not in (".yaml", ".yml") or not path.is_file():
            raise ConfigurationError(
                f"there is no recipe {name_or_path!r}",
                f"Choose one of {', '.join(recipe_names())}, or give a .yaml file.",
            )
    try:
        values = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"{path} cannot be read as YAML ({reason})", "Mend the file.") from None
    if isinstance(values, dict):
        values = {"name": path.stem, **values}
    return recipe_from_values(values, str(path))


def parse_phase(text: str) -> Phase:
    """SIZE:EPOCHS:BATCH:RATE, or SIZE:EPOCHS:BATCH:RATE:LOSS.

    Raises:
        ConfigurationError: neither of them.
    """
    try:
        size, epochs, batch_size, rate, *rest = text.split(":")
        (loss,) = rest or (None,)
        if loss is not None and loss not in get_args(LossName):
            raise ValueError(loss)
        return Phase(int(size), int(epochs), int(batch_size), float(rate), loss)  # type: ignore[arg-type]
    except ValueError:
        raise ConfigurationError(
            f"the phase {text!r} is not SIZE:EPOCHS:BATCH:RATE, nor that and :LOSS",
            f"Write for instance 160:12:16:0.001 or 160:12:16:0.001:dice_ce; losses: {', '.join(get_args(LossName))}.",
        ) from None


def with_changes(recipe: Recipe, changes: Mapping[str, Any], phase_changes: Mapping[str, Any]) -> Recipe:
    """A recipe with entries replaced, and entries of every phase replaced; None leaves an entry as it is.

    A loss that is asked for is the loss of every phase, unless the phases are given beside it.

    Raises:
        ConfigurationError: the result is out of range.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    of_phases = {key: value for key, value in phase_changes.items() if value is not None}
    if "loss" in given and "phases" not in given:
        of_phases["loss"] = None
    changed = replace(recipe, **given)
    changed = replace(changed, phases=tuple(replace(phase, **of_phases) for phase in changed.phases))
    return recipe_from_values(changed.to_dict(), "the changed recipe")


def with_teachers(recipe: Recipe, files: Sequence[str], unlabelled: Path | None) -> Recipe:
    """A recipe with other teachers, other pictures for them to label, or both; how they teach stays as it is.

    Raises:
        ConfigurationError: pictures without masks, and nobody to label them.
    """
    teaching = recipe.teacher or Teaching()
    if files:
        located = [str(Path(file).resolve()) if Path(file).is_file() else file for file in files]
        teaching = replace(teaching, files=tuple(located))
    if unlabelled is not None:
        teaching = replace(teaching, unlabelled=str(unlabelled.resolve()))
    if teaching.unlabelled and not teaching.files:
        raise ConfigurationError("nobody labels the pictures without masks", "Name a teacher with --teacher.")
    return recipe if teaching == (recipe.teacher or Teaching()) else replace(recipe, teacher=teaching)
