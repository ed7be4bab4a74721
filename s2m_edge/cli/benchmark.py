"""`s2m-edge benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from s2m_edge.targets.benchmark.plan import Plan


def benchmark(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="Checkpoint file, or a bundled one: polyp, vessel, left-ventricle.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="executorch, coreml, coreai, openvino, onnx; all that are installed and fast by default.",
        ),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="float32, float16, int8, or all; float32 by default.")
    ] = None,
    spectral: Annotated[list[str] | None, typer.Option(help="matmul, custom, or all; all by default.")] = None,
    bundles: Annotated[
        list[Path] | None, typer.Option(help="Bundle, or folder of bundles, to take instead of exporting; repeatable.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Input size in pixels; the checkpoint's own by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each; all usable cores by default.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each is timed.", min=1)] = 30,
    data: Annotated[Path | None, typer.Option(help="Image folder for Dice; bundled samples by default.")] = None,
    split: Annotated[str, typer.Option(help="Of --data: train, val or test.")] = "test",
    preset: Annotated[str | None, typer.Option(help="Layout of a published data set in --data.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first images of the split.", min=1)] = None,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with other networks of random weights.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time goes, by block and stage.")] = False,
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="With or without torch.compile, which takes minutes.")
    ] = True,
    out: Annotated[Path, typer.Option(help="Folder that keeps exported bundles for next time.")] = Path("benchmark"),
    json_file: Annotated[Path | None, typer.Option("--json", help="File for every figure as JSON.")] = None,
    chart: Annotated[list[Path] | None, typer.Option(help="File for the chart, .png or .svg; repeatable.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for a Markdown page.")] = None,
) -> None:
    """Compare every way to run the network on this machine: PyTorch, and every target, precision and lowering.

    Each runs in a process of its own, in turn, on the same picture. Artifacts first pass their parity gate.
    """
    from s2m_edge.charts import require_drawable
    from s2m_edge.checkpoint import read_header
    from s2m_edge.cli import console
    from s2m_edge.files import require_writable, write_bytes, write_json
    from s2m_edge.samples import sample_images
    from s2m_edge.targets.benchmark.bundles import find_bundles, require_same_network
    from s2m_edge.targets.benchmark.chart import write_chart
    from s2m_edge.targets.benchmark.markdown import markdown_page
    from s2m_edge.targets.benchmark.measure import Settings
    from s2m_edge.targets.benchmark.run import Request, run_benchmark
    from s2m_edge.targets.benchmark.samples import SampleChoice

    # Everything that can be refused is refused before the first second of work.
    charts = chart or []
    plan = _plan(target, precision, spectral, "all" if bundles else "float32")
    used = _choose_threads(threads)
    for path in charts:
        require_drawable(path)
    for option, path in (("--json", json_file), *(("--chart", path) for path in charts), ("--markdown", markdown)):
        _require_file(path, option)
    header = read_header(checkpoint)
    domain = header.provenance.get("domain")
    samples = SampleChoice(data, split, preset, limit, domain if domain and sample_images(domain) else None)
    samples.find()
    opened = find_bundles(bundles or [])
    if opened:
        size = require_same_network(opened, header, size)
    if peers or not opened:
        require_writable(out)
    model, header = console.open_checkpoint(checkpoint, size)
    images = console.choose_images(None, domain)
    request = Request(plan, opened, images, out, compiled, peers, Settings(used, rounds, samples, profile))
    with console.progress_bar("benchmark") as update:
        values, breaches = run_benchmark(model, header, request, update)
    if json_file is not None:
        write_json(json_file, values)
    for path in charts:
        write_chart(path, values)
    if markdown is not None:
        write_bytes(markdown, markdown_page(values, markdown, charts[0] if charts else None).encode())
    _print(values)
    for path in (json_file, *charts, markdown):
        if path is not None:
            console.output.print(f"written: {path}", markup=False)
    if breaches:
        raise breaches[-1]


def _plan(target: list[str] | None, precision: list[str] | None, spectral: list[str] | None, default: str) -> Plan:
    """The plan of the three options; without --target every installed target takes part.

    Args:
        default: of --precision.
    """
    from s2m_edge.cli.options import parse_each, parse_precision, parse_spectral, parse_targets
    from s2m_edge.precision import PRECISIONS, SPECTRAL_LOWERINGS
    from s2m_edge.targets.benchmark.plan import make_plan

    names = [name for text in target or [] for name in text.split(",")]
    targets = parse_targets(target) if names and "all" not in names else None
    precisions = parse_each(precision or [default], PRECISIONS, parse_precision)
    lowerings = parse_each(spectral, SPECTRAL_LOWERINGS, parse_spectral)
    return make_plan(targets, precisions, lowerings)


def _choose_threads(threads: int | None) -> int:
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.targets.benchmark.machine import usable_cores

    if threads is not None and threads < 1:
        raise ConfigurationError(f"--threads is {threads}", "It must be at least 1.")
    return threads or usable_cores()


def _require_file(path: Path | None, option: str) -> None:
    """Raise OutputError, naming the option, unless `path` can be written."""
    from s2m_edge.errors import OutputError
    from s2m_edge.files import require_writable

    if path is None:
        return
    if path.is_dir():
        raise OutputError(f"{path} is a folder", f"Give {option} a file.")
    try:
        require_writable(path.parent)
    except OutputError as error:
        raise OutputError(error.cause, f"Choose another place with {option}.") from None


def _print(values: dict[str, Any]) -> None:
    from s2m_edge.cli import console
    from s2m_edge.targets.benchmark.columns import (
        COST_COLUMNS,
        TIME_COLUMNS,
        left_out,
        own_rows,
        peer_rows,
        profile_headings,
        profile_rows,
        profiled,
        summary_lines,
    )

    size = values["size"]
    console.output.print(values["machine"]["line"], markup=False)
    for title, rows in ((f"S2M-Net, {size} x {size}", own_rows(values)), ("other networks", peer_rows(values))):
        for columns in (TIME_COLUMNS, COST_COLUMNS) if rows else ():
            cells = [[row["title"], *(column.text(row) for column in columns)] for row in rows]
            console.output.print(_table([title, *(column.heading for column in columns)], cells), soft_wrap=False)
    for entry in profiled(values):
        console.output.print(
            _table([entry["title"], *profile_headings(entry)[1:]], profile_rows(entry)), soft_wrap=False
        )
        console.output.print(entry["profile"]["method"], markup=False)
    for line in [*summary_lines(values), *left_out(values), values["notice"]]:
        console.output.print(line, markup=False)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(headings[0], overflow="fold")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
