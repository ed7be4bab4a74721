"""`s2m-edge parity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def parity(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder written by s2m-edge export.")],
    images: Annotated[Path | None, typer.Option(help="Folder of real images; bundled samples by default.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Checkpoint that the bundle came from; else one of the bundled."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Compare with this record of s2m-edge reference record."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="How many images are taken; all by default, few where the runtime is slow.", min=1),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtime.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare a bundle's artifact with the PyTorch reference on real images. Exits with 1 if a gate fails."""
    from s2m_edge.checkpoint import bundled_with_hash
    from s2m_edge.cli import console
    from s2m_edge.errors import ContractError
    from s2m_edge.files import write_json
    from s2m_edge.targets.bundle import open_bundle
    from s2m_edge.targets.parity.measure import measure_parity

    opened = open_bundle(bundle)
    opened.target.require_backend()
    values = opened.contract.values
    given = checkpoint if checkpoint is not None else bundled_with_hash(values["checkpoint"]["sha256"])
    model, header = console.open_checkpoint(given, values["network"]["size"])
    if header.sha256 != values["checkpoint"]["sha256"]:
        raise ContractError(
            f"{header.path.name} is not the checkpoint that {bundle} was exported from (SHA-256 differs)",
            f"Give --checkpoint with the file that was called {values['checkpoint']['file']}.",
        )
    record = None
    if reference is not None:
        from s2m_edge.recording import read_record

        if images is not None:
            raise ContractError("--reference brings its own images", "Leave --images out.")
        record = read_record(reference)
        if record.checkpoint_sha256 != header.sha256:
            raise ContractError(f"{reference} was recorded with another checkpoint", "Record it again with this one.")
    pictures = [] if record is not None else console.choose_images(images, header.provenance.get("domain"))
    with console.progress_bar(f"parity of {opened.target.name}") as update:
        report = measure_parity(
            opened, model, pictures, lambda done, total: update("images", done, total), threads, record, limit
        )
    if out is not None:
        write_json(out, report.to_dict())
    if as_json:
        console.print_json(report.to_dict())
    else:
        table = console.parity_table([(report, values["artifact"]["bytes"])])
        console.output.print(table, soft_wrap=False)
        console.output.print(f"worst image: {report.worst.name}", markup=False)
        console.output.print(f"edge: {report.edge_device}; reference: {report.reference_device}", markup=False)
        console.print_remarks([report])
    report.require_passed()
