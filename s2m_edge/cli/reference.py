"""`s2m-edge reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Record the reference that parity can be measured against.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    pass


@app.command("record")
def record(
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint file, or a bundled one: polyp, vessel, left-ventricle.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu or cuda.")] = "auto",
    images: Annotated[Path | None, typer.Option(help="Folder of real images; bundled samples by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="File; CHECKPOINT-DEVICE.reference.safetensors by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the network in float32 on a device, beside float64 on the CPU, and write inputs and outputs down.

    The record names device, driver, versions and precision. s2m-edge parity --reference compares bundles with it.
    """
    from s2m_edge.cli import console
    from s2m_edge.contract import DEFAULT_THRESHOLD
    from s2m_edge.devices import choose_device
    from s2m_edge.recording import record_reference, write_record

    chosen = choose_device(device)
    model, header = console.open_checkpoint(checkpoint, None)
    pictures = console.choose_images(images, header.provenance.get("domain"))
    path = out or Path(f"{header.path.stem}-{chosen}.reference.safetensors")
    with console.status.status("recording the reference"):
        made = record_reference(model, header, pictures, chosen, DEFAULT_THRESHOLD)
    write_record(path, made)
    values = {
        "file": str(path),
        "device": made.device,
        "images": [entry.name for entry in made.golden],
        "checkpoint_sha256": made.checkpoint_sha256,
        "float64_error": made.float64_error,
        **made.stamp,
    }
    if as_json:
        console.print_json(values)
        return
    console.output.print(f"{made.device}, {len(made.golden)} images", markup=False)
    console.output.print(f"largest probability difference from float64 on the CPU: {made.float64_error:.1e}")
    console.output.print(f"record: {path}", markup=False)
