"""`s2m-edge quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2m_edge.cli.options import BUNDLED, PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption, finite

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader

STRANGE = 0.3


def quantize(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help=f"Float checkpoint: a file, or {BUNDLED}.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.", show_default=False)
    ] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
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
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.", callback=finite)] = 1e-6,
    loss: Annotated[str | None, typer.Option(help="masl or dice_ce; the checkpoint's own by default.")] = None,
    distillation: Annotated[
        float,
        typer.Option(
            help="Share of the loss that compares with the float network; the rest is --loss.",
            min=0,
            max=1,
            callback=finite,
        ),
    ] = 1.0,
    validation_images: Annotated[int | None, typer.Option(help="Validate on so many at most.", min=1)] = None,
    weight_limit: Annotated[
        int,
        typer.Option(help="Largest quantized weight: 63 cannot saturate on CPUs without VNNI, 127 is finer.", min=1),
    ] = 63,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 42,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted fine-tuning of --out.")] = False,
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Make an int8 checkpoint of a float one. Every target's int8 artifact derives from that one file.

    Ranges come from training images of DATA; the checkpoint records which, with their hashes. Fine-tuning learns
    weights and ranges, keeps the network closest to the float one on validation images, and an interrupted one goes on
    with --resume.
    """
    from s2m_edge import console
    from s2m_edge.checkpoint import QUANTIZED_SUFFIX, read_header, require_float
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import require_writable
    from s2m_edge.outputs import require_own_file
    from s2m_edge.quantize.quantize import require_torchao

    if method not in ("qat", "ptq"):
        raise ConfigurationError(f"there is no method {method!r}", "Choose --method qat or ptq.")
    require_torchao()
    header = read_header(checkpoint)
    require_float(header)
    path = out or Path("quantized") / f"{header.path.stem}{QUANTIZED_SUFFIX}.safetensors"
    require_own_file(path)
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
                labels,
            )
            begin(folder, tuning)
        try:
            result = _calibrate(header, data, preset, images, weight_limit, path if tuning is None else folder, labels)
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
            console.output.print(f"{key.replace('_', ' ')}: {value}")
    console.output.print(f"int8 checkpoint: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    console.output.print(f"next: s2m-edge export --precision int8 --target all --checkpoint {path}")


def _calibrate(
    header: CheckpointHeader,
    data: Path,
    preset: str | None,
    count: int,
    weight_limit: int,
    out: Path,
    labels: str | None = None,
) -> dict[str, Any]:
    """Calibrate, and write the checkpoint as `out`, or for fine-tuning to start from into the folder `out`."""
    from s2m_edge import console
    from s2m_edge.imaging.intensity import intensity_of
    from s2m_edge.network.fake_quantized import QuantizationConfig
    from s2m_edge.quantize.images import read_calibration_set
    from s2m_edge.quantize.quantize import calibrated_network, float_dice, load_float, save_calibrated
    from s2m_edge.quantize.recipe import recipe_of
    from s2m_edge.train.data.sample import parse_labelling

    quantization = QuantizationConfig(weight_limit=weight_limit)
    model = load_float(header)
    chosen = read_calibration_set(
        data,
        header.config,
        preset=preset,
        count=count,
        patches=recipe_of(header).patches,
        intensity=intensity_of(header.provenance),
        labelling=parse_labelling(labels),
    )
    with console.progress_bar("quantize") as update:
        network = calibrated_network(model, chosen, quantization, update)
    dice = float_dice(model, chosen)
    if dice < STRANGE:
        console.print_warning(
            f"on the calibration images the float network's Dice is {dice:.2f}: are they of the "
            "kind that it was trained on?"
        )
    start = out / "start.safetensors" if out.is_dir() else out
    save_calibrated(start, network, header, chosen, quantization)
    coverage = ", ".join(f"class {entry['label']} in {entry['images']}" for entry in chosen.provenance["coverage"])
    return {"calibration_images": f"{chosen.provenance['count']} ({coverage})"}


def _finetune(folder: Path, path: Path, tuning: Any) -> dict[str, Any]:
    from s2m_edge import interrupts
    from s2m_edge.checkpoint import read_header
    from s2m_edge.files import alone
    from s2m_edge.quantize.finetune import BEST_FILE, finetune, read_options
    from s2m_edge.quantize.quantize import publish
    from s2m_edge.quantize.recipe import recipe_of

    options = tuning or read_options(folder)
    recipe = recipe_of(read_header(options.checkpoint), options.loss)
    with alone(folder):
        with interrupts.resumable("s2m-edge", "quantize", options.checkpoint, "--resume", "--out", path):
            result = finetune(folder, options, recipe)
        publish(folder / BEST_FILE, path, folder)
    return result


def _remove_unstarted(folder: Path) -> None:
    """A folder without a calibrated network cannot be resumed: what `begin` wrote there goes, and nothing else."""
    from contextlib import suppress

    from s2m_edge.quantize.finetune import RUN_FILE, START_FILE

    if folder.is_dir() and not (folder / START_FILE).is_file():
        with suppress(OSError):  # a folder that holds anything else stays
            (folder / RUN_FILE).unlink(missing_ok=True)
            folder.rmdir()
