"""`s2m-edge export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.opening import NetworkOption, SpecOption, WeightsOption
from s2m_edge.cli.options import BUNDLED, PRECISION_HELP, SPECTRAL_HELP, TARGET_HELP, JsonOption, MaxPixelsOption
from s2m_edge.deploy.precision import DEFAULT_PRECISION

if TYPE_CHECKING:
    from s2m_edge.targets.export import ExportResult


def export(
    target: Annotated[list[str] | None, typer.Option("--target", "-t", help=TARGET_HELP)] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help=f"Checkpoint file, or a bundled one: {BUNDLED}; int8 takes their quantized forms."),
    ] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    precision: Annotated[str, typer.Option(help=PRECISION_HELP)] = DEFAULT_PRECISION,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures that set the ranges of an int8 artifact of --network."),
    ] = None,
    spectral: Annotated[str | None, typer.Option(help=SPECTRAL_HELP)] = None,
    size: Annotated[int | None, typer.Option(help="Input size in pixels; the checkpoint's own by default.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of real images for the parity gate; bundled samples by default.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="How many images the gate takes; all by default, few where the runtime is slow.", min=1),
    ] = None,
    guard: Annotated[
        Path | None,
        typer.Option(
            help="File of s2m-edge guard, to warn of pictures unlike the training's; a checkpoint's own by default."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that receives one bundle per target.")] = Path("exports"),
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Lower a network, prove that the artifact computes the same, and write a deployment bundle.

    Without --network it is S2M-Net, from a checkpoint. With --network MODULE:FACTORY and --spec FILE it is any PyTorch
    segmentation network of yours. A bundle holds the artifact, contract.json, golden.safetensors, parity.json and
    report.html, and guard.safetensors where there is one. A failed parity gate exits with 1 and publishes nothing.
    """
    from s2m_edge import console
    from s2m_edge.checkpoint import guard_beside
    from s2m_edge.cli.opening import open_checkpoint, open_users_network, require_one_source
    from s2m_edge.cli.options import parse_precision, parse_spectral, parse_targets
    from s2m_edge.deploy.precision import PRECISION_ROWS
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.samples import images_or_samples
    from s2m_edge.targets.bundle_page import next_commands
    from s2m_edge.targets.export import export_targets, output_folder, require_exportable
    from s2m_edge.targets.measure.parity.table import parity_table, print_remarks

    # Everything that can be refused is refused before the first second of work.
    chosen = parse_targets(target)
    wanted = parse_precision(precision)
    asked = parse_spectral(spectral)
    require_exportable(chosen, wanted, asked)
    require_one_source(network, weights, spec, checkpoint)
    pictures = images_or_samples(images, None) if images is not None else None
    quantizes = network is not None and PRECISION_ROWS[wanted].quantized
    if (calibration is not None) != quantizes:
        raise ConfigurationError(
            f"--precision {wanted} of --network needs --calibration" if quantizes else "--calibration was not expected",
            "Give a folder of pictures like those that the network was trained on."
            if quantizes
            else "It belongs to --network with a quantized --precision.",
        )
    with output_folder(out):
        if network is None:
            opened = open_checkpoint(checkpoint, size, wanted)
        elif size is not None:
            raise ConfigurationError("--size belongs to checkpoints", "Write height and width into the specification.")
        else:
            opened = open_users_network(network, weights, spec)
        if calibration is not None:
            from s2m_edge.cli.opening import quantize_opened

            opened = quantize_opened(opened, images_or_samples(calibration, None))
        with console.progress_bar("export") as update:
            results, failures = export_targets(
                chosen,
                opened.network,
                opened.spec,
                precision=wanted,
                spectral=asked,
                images=pictures or images_or_samples(None, opened.domain),
                out=out,
                limit=limit,
                guard=guard or (opened.header and guard_beside(opened.header)),
                notify=update,
            )
    if as_json:
        console.print_json(
            {
                "bundles": [
                    {
                        "folder": str(result.folder),
                        "artifact_bytes": result.artifact_bytes,
                        "lowering_seconds": round(result.lowering_seconds, 2),
                        "parity": result.parity.to_dict(),
                        "next": [command for command, _ in next_commands(result.parity.target, result.folder)],
                    }
                    for result in results
                ],
                "failures": [str(error) for error in failures],
            }
        )
    elif results:
        rows = [(result.parity, result.artifact_bytes) for result in results]
        console.output.print(parity_table(rows), soft_wrap=False)
        for result in results:
            seconds = f"lowered in {result.lowering_seconds:.0f} s"
            console.output.print(f"bundle: {result.folder} ({seconds})")
        print_remarks([result.parity for result in results])
        _print_notes(results)
    if failures:
        for error in failures[:-1]:
            console.print_error(error)
        raise failures[-1]


def _print_notes(results: list[ExportResult]) -> None:
    """What to know of a precision, and what comes next: of one bundle its commands, of several where they stand."""
    from rich.text import Text

    from s2m_edge import console
    from s2m_edge.targets.bundle_page import PAGE_FILE, next_commands
    from s2m_edge.targets.registry import find_target

    for result in results:
        note = find_target(result.parity.target).precision_notes.get(result.parity.precision)
        if note:
            console.output.print(f"{result.parity.target}: {note}.")
    console.output.print(f"\nNext (each bundle's {PAGE_FILE} has the code that runs it):")
    for command, what in [step for result in results for step in next_commands(result.parity.target, result.folder)]:
        if len(results) == 1 or command.startswith("s2m-edge predict"):
            console.output.print(Text.assemble("  ", (command, "bold"), f"  ({what})"))
