"""`s2m-edge gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.targets.parity.stages import StagesReport


def gate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint: a file, or polyp-int8, polyp and so on.")],
    bundles: Annotated[
        list[Path] | None,
        typer.Argument(help="Bundles exported from it, or from the float checkpoint it was made from."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    preset: Annotated[str | None, typer.Option(help="Layout of a published data set, for instance drive.")] = None,
    float_checkpoint: Annotated[
        Path | None,
        typer.Option("--float", help="The float checkpoint that an int8 one was made from; found if bundled."),
    ] = None,
    window: Annotated[bool, typer.Option("--window", help="Slide over pictures at native resolution.")] = False,
    limit: Annotated[int | None, typer.Option(help="Only the first images of the split.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this JSON file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Hold int8, and artifacts of every precision, to the float network's accuracy on labelled images.

    The stages of int8 are float, decomposed, fake-quantized, converted and runtime.
    Exits with 1 if a gate fails, and names the first stage that breaks.
    """
    from s2m_edge.checkpoint import load_model, read_header
    from s2m_edge.cli import console
    from s2m_edge.errors import ConfigurationError, ContractError
    from s2m_edge.files import write_json
    from s2m_edge.targets.bundle import open_bundle
    from s2m_edge.targets.evaluation.evaluate import split_samples
    from s2m_edge.targets.parity.stages import FLOAT, StagesReport, measure_stages, stage_networks

    if data is None:
        raise ConfigurationError("no data was given", "Give --data an image folder.")
    header = read_header(checkpoint)
    float_header = _float_header(header, float_checkpoint)
    opened = [open_bundle(folder) for folder in bundles or []]
    for bundle in opened:
        bundle.target.require_backend()
        origin = header if bundle.contract.precision == "int8" else float_header
        if bundle.contract.values["checkpoint"]["sha256"] != origin.sha256:
            raise ContractError(f"{bundle.folder} was not exported from {origin.path.name}", "Export it again.")
    samples = split_samples(data, split, preset)
    chosen = samples[:limit]
    if len(chosen) < len(samples):
        console.status.print(f"[yellow]note:[/] the first {len(chosen)} of {len(samples)} images of {split}")
    with console.progress_bar("gate") as update:
        float_model = load_model(float_header.path)
        whole = header is float_header
        stages = measure_stages(
            {FLOAT: float_model} if whole else stage_networks(load_model(header.path), float_model),
            header,
            opened,
            chosen,
            windowed=window,
            threads=threads,
            progress=update,
        )
    hashes = {"checkpoint": header.sha256, "float": float_header.sha256}
    report = StagesReport(tuple(stages), hashes)
    values = {
        "data": {"name": preset or data.resolve().name, "split": split, "images": len(chosen)},
        **report.to_dict(),
    }
    if out is not None:
        write_json(out, values)
    if as_json:
        console.print_json(values)
    else:
        console.output.print(_table(report, len(chosen)), soft_wrap=False)
    report.require_passed()


def _float_header(header: CheckpointHeader, given: Path | None) -> CheckpointHeader:
    """Of the float checkpoint that `header`'s was made from; `header` itself if it is one."""
    from s2m_edge.checkpoint import bundled_with_hash, read_header
    from s2m_edge.errors import CheckpointError, ConfigurationError
    from s2m_edge.targets.parity.stages import require_origin

    if header.quantization is None:
        if given is not None:
            raise ConfigurationError(f"{header.path.name} is a float checkpoint", "Leave --float out.")
        return header
    origin = header.provenance.get("float", {})
    found = given or bundled_with_hash(str(origin.get("sha256", "")))
    if found is None:
        raise CheckpointError(
            f"the float checkpoint of {header.path.name} is not bundled",
            f"Give --float the file that was called {origin.get('file', 'in its provenance')}.",
        )
    float_header = read_header(found)
    require_origin(header, float_header)
    return float_header


def _table(report: StagesReport, images: int) -> Table:
    from rich import box
    from rich.table import Table

    from s2m_edge.contract import NOTICE
    from s2m_edge.targets.parity.gates import accuracy_breaches
    from s2m_edge.targets.parity.stages import gate_of

    table = Table(
        title=f"Accuracy stage by stage on {images} labelled images",
        title_justify="left",
        caption=NOTICE,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("stage", no_wrap=True)
    table.add_column("against", no_wrap=True)
    for heading in ("Dice", "HD95", "Dice\nmoved", "worst\nimage", "HD95\nmoved"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    means = {entry["name"]: entry for entry in report.to_dict()["stages"]}
    first = report.stages[0]
    rows = [(first.name, "", "", "", "", "")]
    for entry in report.differences:
        verdict = "[bold red]FAILED[/]" if accuracy_breaches(gate_of(entry), entry) else "[green]passed[/]"
        figures = f"{entry.mean_dice:+.4f}", f"{entry.worst_dice:+.4f}", f"{entry.mean_hd95:+.2f}"
        rows.append((entry.name, entry.reference, *figures, verdict))
    for name, reference, *rest in rows:
        figures = means[name]
        distance = figures["hd95"]["mean"]
        shown = "-" if distance is None else f"{distance:.1f}"
        table.add_row(
            figures["title"],
            reference,
            f"{figures['dice']['mean']:.4f}",
            shown,
            *rest,
        )
    return table
