"""`python tools/ablation.py --data polyp=FOLDER vessel=FOLDER`: does the spectral mixer, or MASL, earn its place?

Every variant is trained with the same budget, data order, augmentation and optimizer, three seeds each, and scored on
validation images by its averaged weights of the last epoch, so that no variant gains by choosing an epoch. Each run is
added to the JSON file as it ends; started again, the tool goes on with the runs that are missing. A short budget shows
how fast the variants learn, not where they would end: the JSON file holds scores of earlier epochs too, which tell
whether they still rose. What SSTM and the loss change is told by pairs of runs of one seed.

With `--teacher` all variants learn from its masks and features too (docs/distillation.md), and the U-Net, whose stages
are compared with nobody's, is left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.train.module import SegmentationModule
    from s2m_edge.train.recipe import LossName, Phase, Recipe

SEEDS = (42, 123, 456)
# Residual units; of MONAI's own widths none comes as near to S2M-Net's 4.76 million parameters.
UNET_CHANNELS = (27, 54, 108, 216, 432)


SCORED = 4
"""How often a run is scored at least, the last time at its end."""


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        title: for people.
        layout: of S2M-Net, or "unet".
        loss: of the recipe.
    """

    title: str
    layout: str
    loss: LossName


VARIANTS = (
    Variant("S2M-Net, MASL", "paper", "masl"),
    Variant("S2M-Net without SSTM, MASL", "without_sstm", "masl"),
    Variant("U-Net (MONAI, residual), MASL", "unet", "masl"),
    Variant("S2M-Net, Dice + cross-entropy", "paper", "dice_ce"),
    Variant("S2M-Net without SSTM, Dice + cross-entropy", "without_sstm", "dice_ce"),
    Variant("U-Net (MONAI, residual), Dice + cross-entropy", "unet", "dice_ce"),
)


@dataclass(frozen=True)
class Comparison:
    """Two variants that differ in one thing.

    Attributes:
        title: what is asked, for people.
        one: title of the variant whose score is taken.
        other: title of the one that is subtracted.
    """

    title: str
    one: str
    other: str


def comparisons() -> list[Comparison]:
    """What SSTM adds under either loss, and what MASL adds to either layout of S2M-Net."""
    named = {(variant.layout, variant.loss): variant.title for variant in VARIANTS}
    losses = {"masl": "MASL", "dice_ce": "Dice + cross-entropy"}
    layouts = {"paper": "with SSTM", "without_sstm": "without SSTM"}
    return [
        *(
            Comparison(f"SSTM, under {words}", named["paper", loss], named["without_sstm", loss])
            for loss, words in losses.items()
        ),
        *(
            Comparison(
                f"MASL instead of Dice + cross-entropy, {words}", named[layout, "masl"], named[layout, "dice_ce"]
            )
            for layout, words in layouts.items()
        ),
    ]


def build_network(variant: Variant, recipe: Recipe, size: int) -> nn.Module:
    """The variant's network with random weights."""
    from s2m_edge.train.module import recipe_network

    if variant.layout != "unet":
        return recipe_network(recipe, size)
    from monai.networks.nets.unet import UNet

    return UNet(2, recipe.in_channels, recipe.classes, UNET_CHANNELS, strides=(2, 2, 2, 2), num_res_units=2)


def build_module(variant: Variant, recipe: Recipe, phase: Phase) -> SegmentationModule:
    """What trains the variant by the recipe, with the recipe's teachers where it has some."""
    from s2m_edge.train.fit import recipe_module
    from s2m_edge.train.module import SegmentationModule

    if recipe.taught is not None:
        return recipe_module(recipe, phase)[0]
    return SegmentationModule(recipe, phase, build_network(variant, recipe, phase.size))


def scored_every(epochs: int) -> int:
    """After how many epochs to score, so that a run is scored `SCORED` times or more (if it has as many epochs), and at
    its end."""
    return max(
        count for count in range(1, epochs + 1) if epochs % count == 0 and epochs // count >= min(SCORED, epochs)
    )


def train_variant(variant: Variant, recipe: Recipe, data: Path, seed: int, precision: str) -> dict[str, Any]:
    """Train one variant through the recipe's only phase; its validation Dice, and what it took."""
    from lightning import Callback, LightningModule, Trainer, seed_everything

    from s2m_edge.train.allocator import keep_freed_memory
    from s2m_edge.train.callbacks import AverageWeights, SeedEachEpoch
    from s2m_edge.train.data.module import ImageFolderData
    from s2m_edge.train.fit import quiet_lightning, run_trainer

    layout = recipe.layout if variant.layout == "unet" else variant.layout
    recipe = replace(recipe, loss=variant.loss, layout=layout, seed=seed)
    phase = recipe.phases[0]
    course: dict[str, float] = {}

    class NoteScores(Callback):
        """The validation Dice after epochs, by their number."""

        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            course[str(trainer.current_epoch + 1)] = round(float(trainer.callback_metrics["val_dice"]), 4)

    quiet_lightning()
    seed_everything(seed, verbose=False)
    keep_freed_memory()
    module = build_module(variant, recipe, phase)
    images = ImageFolderData(
        data,
        phase.size,
        recipe.in_channels,
        phase.batch_size,
        seed,
        classes=recipe.classes,
        augmentation=recipe.augmentation,
        patches=recipe.patches,
    )
    trainer = Trainer(
        max_epochs=phase.epochs,
        devices=1,
        precision=precision,  # type: ignore[arg-type] - Lightning's own list of names, checked by it
        gradient_clip_val=recipe.gradient_clip,
        callbacks=[SeedEachEpoch(seed), NoteScores(), AverageWeights(recipe.average_decay)],
        check_val_every_n_epoch=scored_every(phase.epochs),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    began = time.monotonic()
    run_trainer(trainer, module, images, None)
    return {
        "validation_dice": course[str(phase.epochs)],
        "validation_dice_after": course,
        "parameters": sum(weight.numel() for weight in module.network.parameters()),
        "seconds": round(time.monotonic() - began),
        "device": str(trainer.strategy.root_device.type),
    }


def table(runs: list[dict[str, Any]], title: Callable[[str], str]) -> str:
    """Markdown: a row per variant, a column per data set, mean and spread over the seeds that are there."""
    names = list(dict.fromkeys(run["data"] for run in runs))
    lines = ["| variant | parameters | " + " | ".join(title(name) for name in names) + " |"]
    lines.append("|---|---|" + "---|" * len(names))
    for variant in VARIANTS:
        mine = [run for run in runs if run["variant"] == variant.title]
        if not mine:
            continue
        cells = []
        for name in names:
            scores = [run["validation_dice"] for run in mine if run["data"] == name]
            if not scores:
                cells.append("")
                continue
            spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
            seeds = "1 seed" if len(scores) == 1 else f"{len(scores)} seeds"
            cells.append(f"{statistics.mean(scores):.3f}{spread}, {seeds}")
        lines.append(f"| {variant.title} | {mine[0]['parameters'] / 1e6:.2f} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paired(runs: list[dict[str, Any]], title: Callable[[str], str]) -> str:
    """Markdown: a row per comparison, a column per data set; the mean difference over the seeds that both have, with
    Student's 95 % interval. Empty where no two runs can be compared."""
    names = list(dict.fromkeys(run["data"] for run in runs))
    scores = {(run["variant"], run["data"], run["seed"]): run["validation_dice"] for run in runs}
    lines = []
    for comparison in comparisons():
        cells = []
        for name in names:
            pairs = [
                (scores.get((comparison.one, name, seed)), scores.get((comparison.other, name, seed))) for seed in SEEDS
            ]
            cells.append(_interval([one - other for one, other in pairs if one is not None and other is not None]))
        if any(cells):
            lines.append(f"| {comparison.title} | " + " | ".join(cells) + " |")
    if not lines:
        return ""
    head = ["| what is added | " + " | ".join(title(name) for name in names) + " |", "|---|" + "---|" * len(names)]
    return "\n".join([*head, *lines])


def _interval(differences: list[float]) -> str:
    if len(differences) < 2:
        return f"{differences[0]:+.3f}, 1 seed" if differences else ""
    from scipy.stats import t as student

    mean, count = statistics.mean(differences), len(differences)
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
    return f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f}), {count} seeds"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Train variants of network and loss alike and compare them.")
    parser.add_argument("--data", nargs="+", required=True, metavar="RECIPE=FOLDER", help="polyp=..., vessel=...")
    parser.add_argument("--phase", nargs="+", required=True, help="SIZE:EPOCHS:BATCH:RATE of each, equal for all")
    titles = [variant.title for variant in VARIANTS]
    parser.add_argument("--variant", nargs="+", choices=titles, default=titles, help="train these alone")
    parser.add_argument("--teacher", action="append", default=[], metavar="CHECKPOINT", help="of all variants")
    parser.add_argument("--precision", default="32-true", help="Lightning's, of all runs; bf16-mixed for instance")
    parser.add_argument("--out", type=Path, default=Path("ablation.json"))
    parser.add_argument("--table", action="store_true", help="print the tables of --out and train nothing")
    options = parser.parse_args(arguments)

    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import write_json
    from s2m_edge.train.distillation.teachers import load_teachers
    from s2m_edge.train.recipe import parse_phase, read_recipe, with_teachers

    pairs = [entry.partition("=")[::2] for entry in options.data]
    if any(not folder for _, folder in pairs):
        raise ConfigurationError(f"--data takes RECIPE=FOLDER, not {options.data}", "For instance polyp=/data/kvasir.")
    if len(options.phase) != len(pairs):
        raise ConfigurationError(
            f"{len(pairs)} data sets have {len(options.phase)} phases", "Give --phase one of each."
        )
    phases = {name: text for (name, _), text in zip(pairs, options.phase, strict=True)}
    recipes = {
        name: replace(with_teachers(read_recipe(name), options.teacher, None), phases=(parse_phase(text),))
        for name, text in phases.items()
    }
    same: dict[str, Any] = {"teachers": [], "precision": options.precision}
    for recipe in recipes.values():  # told apart by content, as every run's best file has one name; refused here
        same["teachers"] = [source["sha256"] for source in load_teachers(options.teacher, recipe.classes)[1]]
    kept: list[dict[str, Any]] = json.loads(options.out.read_text())["runs"] if options.out.exists() else []
    runs = [{"teachers": [], "precision": "32-true", **run} for run in kept]

    def title(name: str) -> str:
        size, epochs = phases[name].split(":")[:2]
        return f"{name}, {epochs} epochs at {size}"

    # Seeds come first, so that an interrupted comparison still compares like with like.
    chosen = [variant for variant in VARIANTS if variant.title in options.variant]
    if options.teacher:
        chosen = [variant for variant in chosen if variant.layout != "unet"]
    wanted = [(seed, *pair, variant) for seed in SEEDS for pair in pairs for variant in chosen]
    for seed, name, folder, variant in [] if options.table else wanted:
        key = {"variant": variant.title, "data": name, "seed": seed, "phase": phases[name], **same}
        if any(key.items() <= run.items() for run in runs):
            continue
        found = train_variant(variant, recipes[name], Path(folder), seed, options.precision)
        runs.append({**key, **found})
        write_json(options.out, {"runs": runs})
        print(
            f"{name}, seed {seed}, {variant.title}: {found['validation_dice']:.4f} ({found['seconds']} s)", flush=True
        )
    alike = [run for run in runs if run["phase"] == phases.get(run["data"]) and same.items() <= run.items()]
    print(table(alike, title))
    if differences := paired(alike, title):
        print(f"\n{differences}")
    return 0


if __name__ == "__main__":
    from s2m_edge.errors import S2MEdgeError

    try:
        sys.exit(main(sys.argv[1:]))
    except S2MEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; runs that had ended are kept", file=sys.stderr)
        sys.exit(130)
