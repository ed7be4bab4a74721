"""`s2m-edge export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target", "-t", help="executorch, coreml, coreai, openvino, onnx, or all; give it more than once."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint file, or a bundled one: polyp, vessel, left-ventricle; int8 takes their quantized forms."
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, float16, or int8 of a quantized checkpoint.")] = "float32",
    spectral: Annotated[
        str | None,
        typer.Option(help="matmul (constant matrices) or custom (one op); the target's default if left out."),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Input size in pixels; the checkpoint's own by default.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of real images for the parity gate; bundled samples by default.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="How many images the gate takes; all by default, few where the runtime is slow.", min=1),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that receives one bundle per target.")] = Path("exports"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Lower the network, prove that the artifact computes the same, and write a deployment bundle.

    A bundle holds the artifact, contract.json, golden.safetensors and parity.json. A failed parity gate exits with 1
    and publishes nothing.
    """
    from s2m_edge.checkpoint import quantized_counterpart, read_header
    from s2m_edge.cli import console
    from s2m_edge.cli.options import parse_precision, parse_spectral, parse_targets
    from s2m_edge.errors import ParityError, S2MEdgeError
    from s2m_edge.files import require_writable
    from s2m_edge.targets.base import require_fitting_precision
    from s2m_edge.targets.export import bundle_name, export_bundle, require_replaceable

    # Everything that can be refused is refused before the first second of work.
    chosen = parse_targets(target)
    wanted = parse_precision(precision)
    asked = parse_spectral(spectral)
    for entry in chosen:
        entry.require_capability(wanted, asked or entry.default_lowering)
        entry.require_backend()
        entry.require_kernel(asked or entry.default_lowering)
    header = read_header(checkpoint)
    if wanted == "int8" and header.quantization is None:
        checkpoint = quantized_counterpart(header) or checkpoint
        header = read_header(checkpoint)
    require_fitting_precision(wanted, header.quantization is not None, header.path.name)
    pictures_folder = console.choose_images(images, None) if images is not None else None
    require_writable(out)
    model, header = console.open_checkpoint(checkpoint, size)
    pictures = pictures_folder or console.choose_images(None, header.provenance.get("domain"))

    results = []
    failures: list[S2MEdgeError] = []
    with console.progress_bar("export") as update:
        for entry in chosen:
            lowering = asked or entry.default_lowering
            folder = out / bundle_name(header, entry, model.config.size, wanted, lowering)
            require_replaceable(folder)
            try:
                result = export_bundle(
                    entry,
                    model,
                    header,
                    precision=wanted,
                    spectral=lowering,
                    images=pictures,
                    out=folder,
                    limit=limit,
                    notify=lambda step, done, total, name=entry.name: update(f"{name}, {step}", done, total),
                )
            except ParityError as error:  # the other targets are still worth having
                failures.append(error)
                continue
            results.append(result)
    if as_json:
        console.print_json(
            {
                "bundles": [
                    {
                        "folder": str(result.folder),
                        "artifact_bytes": result.artifact_bytes,
                        "lowering_seconds": round(result.lowering_seconds, 2),
                        "parity": result.parity.to_dict(),
                    }
                    for result in results
                ],
                "failures": [str(error) for error in failures],
            }
        )
    elif results:
        rows = [(result.parity, result.artifact_bytes) for result in results]
        console.output.print(console.parity_table(rows), soft_wrap=False)
        for result in results:
            seconds = f"lowered in {result.lowering_seconds:.0f} s"
            console.output.print(f"bundle: {result.folder} ({seconds})", markup=False)
        console.print_remarks([result.parity for result in results])
    if failures:
        for error in failures[:-1]:
            console.status.print(f"[bold red]error:[/] {error}")
        raise failures[-1]
