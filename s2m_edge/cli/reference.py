"""`s2m-edge reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import BUNDLED, JsonOption

app = typer.Typer(help="Record the reference that parity can be measured against.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command("record")
def record(
    checkpoint: Annotated[Path | None, typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}.")] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "auto",
    images: Annotated[Path | None, typer.Option(help="Folder of real images; bundled samples by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File; CHECKPOINT-DEVICE.reference.safetensors by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the network in float32 on a device, beside float64 on the CPU, and write inputs and outputs down.

    The record names device, driver, versions and precision. s2m-edge parity --reference compares bundles with it.
    """
    from s2m_edge import console
    from s2m_edge.cli.opening import open_checkpoint
    from s2m_edge.deploy.recording import record_reference, write_record
    from s2m_edge.devices import choose_device
    from s2m_edge.outputs import require_own_file
    from s2m_edge.samples import images_or_samples

    chosen = choose_device(device)
    opened = open_checkpoint(checkpoint, None)
    pictures = images_or_samples(images, opened.domain)
    path = out or Path(f"{Path(opened.spec.file).stem}-{chosen}.reference.safetensors")
    require_own_file(path)
    with console.status.status("recording the reference"):
        made = record_reference(opened.network, opened.spec, pictures, chosen)
    write_record(path, made)
    values = {
        "file": str(path),
        "device": made.device,
        "images": [entry.name for entry in made.golden],
        "weights_sha256": made.weights_sha256,
        "float64_error": made.float64_error,
        **made.stamp,
    }
    if as_json:
        console.print_json(values)
        return
    console.output.print(f"{made.device}, {len(made.golden)} images")
    console.output.print(f"largest probability difference from float64 on the CPU: {made.float64_error:.1e}")
    console.output.print(f"record: {path}")
