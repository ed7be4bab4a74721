"""`s2m-edge gate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2m_edge.cli.opening import NetworkOption, SpecOption, WeightsOption
from s2m_edge.cli.options import PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption

if TYPE_CHECKING:
    from rich.table import Table

    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.targets.measure.parity.stages import StagesReport


def gate(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CHECKPOINT BUNDLE...",
            help="A checkpoint (a file, or polyp-int8, polyp and so on), and bundles that were exported from it, or "
            "from the float checkpoint it was made from. With --network, bundles alone.",
        ),
    ] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    data: Annotated[
        Path | None, typer.Option(help="Image folder (images/, masks/, split.csv), or --preset.", show_default=False)
    ] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    float_checkpoint: Annotated[
        Path | None,
        typer.Option("--float", help="The float checkpoint that an int8 one was made from; found if bundled."),
    ] = None,
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--stretch",
            help="Slide over pictures at native resolution, or stretch them; as the network was trained by default.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first images of the split.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report to this JSON file.")] = None,
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Hold int8, and artifacts of every precision, to the float network's accuracy on labelled images.

    The stages of int8 are float, decomposed, fake-quantized, converted and runtime.
    Exits with 1 if a gate fails, and names the first stage that breaks.
    """
    from s2m_edge import console
    from s2m_edge.checkpoint import load_network, network_spec, read_header
    from s2m_edge.cli.opening import open_users_network, require_one_source
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.deploy.precision import PRECISION_ROWS
    from s2m_edge.errors import ConfigurationError, ContractError
    from s2m_edge.files import write_json
    from s2m_edge.outputs import require_own_file
    from s2m_edge.targets.measure.evaluation.evaluate import split_samples
    from s2m_edge.targets.measure.parity.stages import FLOAT, StagesReport, measure_stages, stage_networks
    from s2m_edge.targets.opening import target_of
    from s2m_edge.train.data.sample import parse_labelling

    if out is not None:
        require_own_file(out)
    if data is None:
        raise ConfigurationError("no data was given", "Give --data an image folder.")
    given = list(models or [])
    require_one_source(network, weights, spec, None)
    if network is None and not given:
        raise ConfigurationError("no network was given", "Name a checkpoint, or give --network.")
    header = None if network is not None else read_header(given.pop(0))
    float_header = None if header is None else _float_header(header, float_checkpoint)
    opened = [open_bundle(folder, proved=False) for folder in given]
    for bundle in opened:
        target_of(bundle).require_backend()
        origin = header if PRECISION_ROWS[bundle.contract.precision].quantized else float_header
        if origin is not None and bundle.contract.weights_sha256 != origin.weights_sha256:
            raise ContractError(f"{bundle.folder} was not exported from {origin.path.name}", "Export it again.")
    if not opened and (network is not None or header is float_header):
        raise ConfigurationError(
            "there is nothing to compare the float network with", "Name bundles that were exported from it."
        )
    users = None if network is None else open_users_network(network, weights, spec)
    if users is not None:
        for bundle in opened:
            users.require_origin_of(bundle)
    samples = split_samples(data, split, preset, parse_labelling(labels))
    chosen = samples[:limit]
    if len(chosen) < len(samples):
        console.status.print(f"note: the first {len(chosen)} of {len(samples)} images of {split}")
    with console.progress_bar("gate") as update:
        if users is not None:
            networks, described = {FLOAT: users.network}, users.spec
        else:
            assert header is not None
            assert float_header is not None
            float_model, described = load_network(float_header), network_spec(header)
            networks = (
                {FLOAT: float_model}
                if header is float_header
                else stage_networks(load_network(header), float_model, described)
            )
        stages = measure_stages(
            networks,
            described,
            opened,
            chosen,
            windowed=window,
            threads=threads,
            progress=update,
        )
    hashes = {"weights": described.weights_sha256, "float": described.weights_sha256}
    if header is not None and float_header is not None:
        hashes = {"weights": header.weights_sha256, "float": float_header.weights_sha256}
    report = StagesReport(tuple(stages), hashes)
    values = {
        "data": {"name": preset or data.resolve().name, "split": split, "images": len(chosen)},
        **report.to_dict(),
    }
    if as_json:
        console.print_json(values)
    else:
        console.output.print(_table(report, len(chosen)), soft_wrap=False)
        if report.remark:
            console.output.print(report.remark)
    if out is not None:
        write_json(out, values)
    report.require_passed()


def _float_header(header: CheckpointHeader, given: Path | None) -> CheckpointHeader:
    """Of the float checkpoint that `header`'s was made from; `header` itself if it is one."""
    from s2m_edge.checkpoint import bundled_with_weights, read_header
    from s2m_edge.deploy.origin import float_origin
    from s2m_edge.errors import CheckpointError, ConfigurationError
    from s2m_edge.targets.measure.parity.stages import require_origin

    if header.quantization is None:
        if given is not None:
            raise ConfigurationError(f"{header.path.name} is a float checkpoint", "Leave --float out.")
        return header
    origin = float_origin(header.provenance)
    found = given or bundled_with_weights(str(origin.get("weights_sha256", "")))
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

    from s2m_edge import console
    from s2m_edge.notice import NOTICE
    from s2m_edge.targets.measure.parity.gates import accuracy_breaches
    from s2m_edge.targets.measure.parity.stages import gate_of

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
    rows: list[tuple[Any, ...]] = [(first.name, "", "", "", "", "")]
    for entry in report.differences:
        verdict = console.passed_or_failed(not accuracy_breaches(gate_of(entry), entry))
        far = f"{entry.mean_hd95:+.2f}" if entry.images_with_hd95 else "-"
        figures = f"{entry.mean_dice:+.4f}", f"{entry.worst_dice:+.4f}", far
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
