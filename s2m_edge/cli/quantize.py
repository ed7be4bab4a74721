"""`s2m-edge quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader

STRANGE = 0.3


def quantize(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Float checkpoint: a file, or polyp, vessel, left-ventricle.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.", show_default=False)
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Layout of a published data set, for instance drive.")] = None,
    method: Annotated[
        str, typer.Option(help="qat: calibrate, then fine-tune with fake quantization. ptq: calibrate only.")
    ] = "qat",
    images: Annotated[int, typer.Option(help="Training images to calibrate with.", min=1)] = 64,
    out: Annotated[
        Path | None, typer.Option(help="The int8 checkpoint; quantized/NAME-int8.safetensors by default.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of fine-tuning.", min=1)] = 200,
    every: Annotated[int, typer.Option(help="Steps between validations; --resume goes on from the last.", min=1)] = 50,
    batch_size: Annotated[int, typer.Option(help="Pictures per step.", min=1)] = 2,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-6,
    loss: Annotated[str | None, typer.Option(help="masl or dice_ce; the checkpoint's own by default.")] = None,
    distillation: Annotated[
        float,
        typer.Option(help="Share of the loss that compares with the float network; the rest is --loss.", min=0, max=1),
    ] = 1.0,
    validation_images: Annotated[int | None, typer.Option(help="Validate on so many at most.", min=1)] = None,
    weight_limit: Annotated[
        int,
        typer.Option(help="Largest quantized weight: 63 cannot saturate on CPUs without VNNI, 127 is finer.", min=1),
    ] = 63,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 42,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fine-tuning of --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make an int8 checkpoint of a float one. Every target's int8 artifact derives from that one file.

    Ranges come from training images of DATA; the checkpoint records which, with their hashes. Fine-tuning learns
    weights and ranges, keeps the network closest to the float one on validation images, and an interrupted one goes on
    with --resume.
    """
    from s2m_edge.checkpoint import QUANTIZED_SUFFIX, read_header, require_float
    from s2m_edge.cli import console
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import require_writable
    from s2m_edge.quantize.quantize import require_torchao

    if method not in ("qat", "ptq"):
        raise ConfigurationError(f"there is no method {method!r}", "Choose --method qat or ptq.")
    require_torchao()
    header = read_header(checkpoint)
    require_float(header)
    path = out or Path("quantized") / f"{header.path.stem}{QUANTIZED_SUFFIX}.safetensors"
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder", "Give --out a file's name.")
    folder = path.with_suffix(".run")
    if resume:
        result = _finetune(folder, path, None)
    else:
        if data is None:
            raise ConfigurationError("no data was given", "Give --data an image folder.")
        require_writable(path.parent)
        tuning = None
        if method == "qat":
            from s2m_edge.quantize.finetune import FineTuning, begin
            from s2m_edge.quantize.recipe import recipe_of

            recipe = recipe_of(header, loss)
            tuning = FineTuning(
                str(header.path.resolve()),
                str(data.resolve()),
                preset,
                steps,
                min(every, steps),
                batch_size,
                learning_rate,
                distillation,
                recipe.loss,
                validation_images,
                seed,
            )
            begin(folder, tuning)
        try:
            result = _calibrate(header, data, preset, images, weight_limit, path if tuning is None else folder)
        except BaseException:
            _remove_unstarted(folder)
            raise
        if tuning is not None:
            result |= _finetune(folder, path, tuning)
    result |= {"checkpoint": str(path), "bytes": path.stat().st_size}
    if as_json:
        console.print_json(result)
        return
    for key, value in result.items():
        if key not in ("checkpoint", "bytes"):
            console.output.print(f"{key.replace('_', ' ')}: {value}", markup=False)
    console.output.print(f"int8 checkpoint: {path} ({path.stat().st_size / 1e6:.1f} MB)", markup=False)
    console.output.print(f"next: s2m-edge export --precision int8 --target all --checkpoint {path}", markup=False)


def _calibrate(
    header: CheckpointHeader, data: Path, preset: str | None, count: int, weight_limit: int, out: Path
) -> dict[str, Any]:
    """Calibrate, and write the checkpoint as `out`, or for fine-tuning to start from into the folder `out`."""
    from s2m_edge.cli import console
    from s2m_edge.quantize.images import read_calibration_set
    from s2m_edge.quantize.quantize import calibrated_network, float_dice, load_float, save_calibrated
    from s2m_edge.quantize.recipe import recipe_of
    from s2m_edge.quantized import QuantizationConfig

    quantization = QuantizationConfig(weight_limit=weight_limit)
    model = load_float(header)
    chosen = read_calibration_set(data, header.config, preset=preset, count=count, patches=recipe_of(header).patches)
    with console.progress_bar("quantize") as update:
        network = calibrated_network(model, chosen, quantization, update)
    dice = float_dice(model, chosen)
    if dice < STRANGE:
        console.status.print(
            f"[yellow]warning:[/] on the calibration images the float network's Dice is {dice:.2f}: are they of the "
            "kind that it was trained on?"
        )
    start = out / "start.safetensors" if out.is_dir() else out
    save_calibrated(start, network, header, chosen, quantization)
    coverage = ", ".join(f"class {entry['label']} in {entry['images']}" for entry in chosen.provenance["coverage"])
    return {"calibration_images": f"{chosen.provenance['count']} ({coverage})"}


def _finetune(folder: Path, path: Path, tuning: Any) -> dict[str, Any]:
    from s2m_edge.checkpoint import read_header
    from s2m_edge.cli import console
    from s2m_edge.quantize.finetune import BEST_FILE, finetune, read_options
    from s2m_edge.quantize.quantize import publish
    from s2m_edge.quantize.recipe import recipe_of

    options = tuning or read_options(folder)
    recipe = recipe_of(read_header(options.checkpoint), options.loss)
    try:
        result = finetune(folder, options, recipe)
    except KeyboardInterrupt:
        console.status.print(
            f"interrupted; go on with: s2m-edge quantize {options.checkpoint} --resume --out {path}", markup=False
        )
        raise typer.Exit(130) from None
    publish(folder / BEST_FILE, path, folder)
    return result


def _remove_unstarted(folder: Path) -> None:
    """A folder without a calibrated network cannot be resumed."""
    import shutil

    from s2m_edge.quantize.finetune import START_FILE

    if folder.is_dir() and not (folder / START_FILE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
