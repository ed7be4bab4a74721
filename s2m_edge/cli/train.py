"""`s2m-edge train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import BUNDLED, PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption, finite


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="polyp, polyp-taught, teacher-polyp, vessel, cardiac, skin, surgical, ultrasound, gland, or a .yaml."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.")] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/RECIPE by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    start: Annotated[
        Path | None,
        typer.Option(help=f"Checkpoint to start from, a file or {BUNDLED}; random weights by default."),
    ] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="SIZE:EPOCHS:BATCH:RATE[:LOSS] instead of the recipe's; once per phase, in order."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of every phase.")] = None,
    size: Annotated[int | None, typer.Option(help="Input size of every phase, in pixels.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per step and device.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.", callback=finite)] = None,
    loss: Annotated[str | None, typer.Option(help="masl or dice_ce, of phases that --phase gives none.")] = None,
    classes: Annotated[str | None, typer.Option(help="Foreground classes by name, comma-separated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn from this network's masks too (a file, or a bundled checkpoint's name); may be given twice."
        ),
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="Folder of pictures without masks, which --teacher labels.")
    ] = None,
    accelerator: Annotated[str, typer.Option(help="auto, cpu, gpu or mps.")] = "auto",
    devices: Annotated[str, typer.Option(help="How many, or auto.")] = "auto",
    strategy: Annotated[str, typer.Option(help="auto, ddp, or another of Lightning's.")] = "auto",
    nodes: Annotated[int, typer.Option(help="Machines.")] = 1,
    precision: Annotated[
        str | None, typer.Option(help="Lightning's; bf16-mixed on a GPU and 32-true elsewhere by default.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that read and augment.")] = 0,
    compile_network: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    hours: Annotated[float | None, typer.Option(help="Longest time of each phase.", callback=finite)] = None,
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Train S2M-Net, or a teacher, by a recipe. The best checkpoint by validation Dice is OUT/phase-N/best.safetensors.

    Interrupted, it goes on from the last finished epoch with --resume, exactly as if it had not been.
    """
    from contextlib import nullcontext
    from dataclasses import replace
    from datetime import timedelta

    from s2m_edge import console, interrupts
    from s2m_edge.checkpoint import locate_checkpoint
    from s2m_edge.errors import ConfigurationError, MissingBackendError
    from s2m_edge.files import alone
    from s2m_edge.installation import install_command
    from s2m_edge.train.recipe import parse_phase, read_recipe, recipe_names, with_changes, with_teachers
    from s2m_edge.train.run import Run, begin_run, open_run

    try:
        import lightning  # noqa: F401
    except ImportError:
        raise MissingBackendError("Lightning is not installed", install_command("train")) from None
    if resume:
        if out is None and recipe is None:
            raise ConfigurationError("nothing names the run to resume", "Give --out.")
        of_recipe = (phase, epochs, size, batch_size, learning_rate, loss, classes, seed, teacher, unlabelled)
        changed = (data, preset, labels, start, *of_recipe)
        if any(value is not None for value in changed):
            raise ConfigurationError(
                "a resumed run keeps its recipe and data", "Leave those options out, or start another run."
            )
        opened = open_run(out or Path("runs") / str(recipe))
        if precision is not None and opened.precision not in (None, precision):
            raise ConfigurationError(
                f"the run began in precision {opened.precision}", "Leave --precision out, or start another run."
            )
        if compile_network and opened.compiled is False:
            raise ConfigurationError("the run began without --compile", "Leave --compile out, or start another run.")
    else:
        if recipe is None:
            raise ConfigurationError("no recipe was given", f"Choose one of {', '.join(recipe_names())}.")
        if data is None:
            raise ConfigurationError("no data was given", "Give --data an image folder.")
        chosen = with_changes(
            read_recipe(recipe),
            {
                "loss": loss,
                "seed": seed,
                "class_names": tuple(name.strip() for name in classes.split(",")) if classes else None,
                "phases": tuple(parse_phase(text) for text in phase) if phase else None,
            },
            {"epochs": epochs, "size": size, "batch_size": batch_size, "learning_rate": learning_rate},
        )
        chosen = with_teachers(chosen, teacher or (), unlabelled)
        begin = None if start is None else locate_checkpoint(start)
        opened = Run(out or Path("runs") / chosen.name, chosen, data, preset, begin, labels=labels)
    from s2m_edge.train.fit import Machine, chosen_precision, is_main_process, require_possible, train_run

    machine = Machine(
        accelerator,
        devices,
        strategy,
        nodes,
        precision,
        workers,
        compile_network,
        timedelta(hours=hours) if hours is not None else None,
    )
    if not resume:
        opened = replace(opened, precision=chosen_precision(machine), compiled=compile_network)
        remark = require_possible(opened, machine)  # before a folder is made
        if is_main_process():
            if remark:
                console.status.print(f"note: {remark}")
            begin_run(opened)
    with (
        alone(opened.folder) if is_main_process() else nullcontext(),
        interrupts.resumable("s2m-edge", "train", "--resume", "--out", opened.folder),
    ):
        best = train_run(opened, machine)
    if not is_main_process():
        return
    path = opened.best(len(opened.recipe.phases))
    if as_json:
        console.print_json({"checkpoint": str(path), "validation_dice": best, "run": str(opened.folder)})
        return
    console.output.print(f"best validation Dice {best:.4f}: {path}")
