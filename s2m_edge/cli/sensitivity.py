"""`s2m-edge sensitivity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from s2m_edge.cli.options import BUNDLED, PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption


def sensitivity(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help=f"Float checkpoint: a file, or {BUNDLED}.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.", show_default=False)
    ] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    images: Annotated[int, typer.Option(help="Training images to calibrate with.", min=1)] = 32,
    limit: Annotated[int, typer.Option(help="Validation images to measure on.", min=1)] = 16,
    weight_limit: Annotated[int, typer.Option(help="Largest quantized weight.", min=1)] = 63,
    out: Annotated[Path, typer.Option(help="The report; a picture of the same name is drawn beside it.")] = Path(
        "sensitivity.json"
    ),
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Quantize one block at a time and say what each costs, as JSON and as a picture."""
    from s2m_edge import console
    from s2m_edge.charts import require_drawable
    from s2m_edge.checkpoint import read_header
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import require_writable, write_json
    from s2m_edge.imaging.intensity import intensity_of
    from s2m_edge.outputs import require_own_file
    from s2m_edge.quantize.chart import write_sensitivity_chart
    from s2m_edge.quantize.images import read_calibration_set, read_validation_images
    from s2m_edge.quantize.quantize import load_float, require_torchao
    from s2m_edge.quantize.recipe import recipe_of
    from s2m_edge.quantize.sensitivity import measure_sensitivity, report_values
    from s2m_edge.train.data.sample import parse_labelling

    if data is None:
        raise ConfigurationError("no data was given", "Give --data an image folder.")
    picture = out.with_suffix(".png")
    require_torchao()
    require_drawable(picture)
    for path in (out, picture):
        require_own_file(path)
    header = read_header(checkpoint)
    model = load_float(header)
    require_writable(out.parent)
    how: dict[str, Any] = {
        "preset": preset,
        "patches": recipe_of(header).patches,
        "labelling": parse_labelling(labels),
        "intensity": intensity_of(header.provenance),
    }
    calibration = read_calibration_set(data, header.config, count=images, **how)
    labelled = read_validation_images(data, header.config, count=limit, **how)
    with console.progress_bar("sensitivity") as update:
        dice, blocks = measure_sensitivity(model, calibration, labelled, weight_limit=weight_limit, notify=update)
    name = {"file": header.path.name, "sha256": header.sha256}
    values = report_values(name, dice, blocks, len(labelled), preset or data.resolve().name)
    if as_json:
        write_json(out, values)
        write_sensitivity_chart(picture, values)
        console.print_json({"out": str(out), "chart": str(picture), **values})
        return
    worst = max(blocks[:-2], key=lambda entry: entry.error)
    console.output.print(f"most sensitive: {worst.name} (error {worst.error:.4f}, Dice {worst.dice_moved:+.4f})")
    for entry in blocks[-2:]:
        console.output.print(f"{entry.name}: error {entry.error:.4f}, Dice {entry.dice_moved:+.4f}")
    write_json(out, values)
    write_sensitivity_chart(picture, values)
    console.output.print(f"report: {out}, {picture}")
