"""`s2m-edge benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2m_edge.cli.options import BUNDLED, TARGET_HELP
from s2m_edge.deploy.precision import DEFAULT_PRECISION, PRECISIONS

ROUNDS, QUICK_ROUNDS = 30, 5

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from s2m_edge.targets.measure.benchmark.plan import Plan


def benchmark(
    checkpoint: Annotated[Path | None, typer.Argument(help=f"Checkpoint file, or a bundled one: {BUNDLED}.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help=f"{TARGET_HELP} All that are installed and fast by default."),
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(PRECISIONS)}, or all; {DEFAULT_PRECISION} by default.")
    ] = None,
    spectral: Annotated[
        list[str] | None, typer.Option(help="matmul, custom, or all; each target's default by default.")
    ] = None,
    bundles: Annotated[
        list[Path] | None,
        typer.Option(
            help="Bundle, or folder of bundles, to take instead of exporting, also of other networks; repeatable."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Input size in pixels; the checkpoint's own by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of each; all usable cores by default.")] = None,
    rounds: Annotated[
        int | None, typer.Option(help=f"How often each is timed; {ROUNDS}, or {QUICK_ROUNDS} with --quick.", min=1)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first table in minutes: few rounds, nothing that takes long.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Image folder for Dice; bundled samples by default.")] = None,
    split: Annotated[str, typer.Option(help="Of --data: train, val or test.")] = "test",
    preset: Annotated[str | None, typer.Option(help="Layout of a published data set in --data.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first images of the split.", min=1)] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Say where the time goes, by block and stage.")] = False,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Also images per second with several under way, as for archives.")
    ] = False,
    cpu_isa: Annotated[
        str | None,
        typer.Option("--cpu-isa", help="sse42, avx2 or avx512: as on an older processor."),
    ] = None,
    compiled: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="With or without torch.compile, which takes minutes."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="File of --json of an earlier run; the table gets ratios to it.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder that keeps exported bundles, which later runs take where nothing changed.")
    ] = Path("benchmark"),
    json_file: Annotated[Path | None, typer.Option("--json", help="File for every figure as JSON.")] = None,
    chart: Annotated[list[Path] | None, typer.Option(help="File for the chart, .png or .svg; repeatable.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for a Markdown page.")] = None,
) -> None:
    """Compare every way to run the network on this machine: PyTorch, and every target, precision and lowering.

    Each runs in a process of its own, in turn, on the same picture. Artifacts first pass their parity gate.
    """
    from s2m_edge import console
    from s2m_edge.charts import require_drawable
    from s2m_edge.checkpoint import read_header
    from s2m_edge.cli.opening import open_checkpoint
    from s2m_edge.files import require_writable, write_bytes, write_json
    from s2m_edge.samples import images_or_samples, sample_images
    from s2m_edge.targets.measure.benchmark.chart import write_chart
    from s2m_edge.targets.measure.benchmark.comparison import compared, read_earlier
    from s2m_edge.targets.measure.benchmark.exports import common_size, find_bundles
    from s2m_edge.targets.measure.benchmark.instruction_sets import find_instruction_set
    from s2m_edge.targets.measure.benchmark.markdown import markdown_page
    from s2m_edge.targets.measure.benchmark.measure import Settings
    from s2m_edge.targets.measure.benchmark.progress import Pace
    from s2m_edge.targets.measure.benchmark.run import Request, run_benchmark
    from s2m_edge.targets.measure.benchmark.samples import SampleChoice
    from s2m_edge.texts import encoded

    # Everything that can be refused is refused before the first second of work.
    charts = chart or []
    plan = _plan(target, precision, spectral, bundled=bool(bundles), quick=quick)
    left_out = _left_out_for_speed(precision, spectral, rounds, compiled) if quick else None
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    compiled = not quick if compiled is None else compiled
    limit_set = None if cpu_isa is None else find_instruction_set(cpu_isa)
    earlier = None if compare is None else read_earlier(compare)
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
        size = common_size(opened, header, size)
    if not opened:
        require_writable(out)
    network = open_checkpoint(checkpoint, size)
    images = images_or_samples(None, domain)
    settings = Settings(used, rounds, samples, profile, throughput, limit_set)
    request = Request(plan, opened, images, out, compiled, settings, size, left_out)
    with console.estimate_line("benchmark") as update:
        values, breaches = run_benchmark(network.network, header, request, Pace(update), console.status.print)
    if earlier is not None and compare is not None:
        values = compared(values, earlier, compare)
    _print(values)  # first: it took long, and a disk that is full by now must not cost it
    if json_file is not None:
        write_json(json_file, values)
    for path in charts:
        write_chart(path, values)
    if markdown is not None:
        write_bytes(markdown, encoded(markdown_page(values, markdown, charts[0] if charts else None)))
    for path in (json_file, *charts, markdown):
        if path is not None:
            console.output.print(f"written: {path}")
    if breaches:
        raise breaches[-1]


def _plan(
    target: list[str] | None, precision: list[str] | None, spectral: list[str] | None, bundled: bool, quick: bool
) -> Plan:
    """The plan of the options; without --target every installed target takes part.

    Args:
        bundled: bundles are given: whatever they are takes part where nothing else is asked for.
        quick: leave out what takes time and has no times.
    """
    from s2m_edge.cli.options import parse_each, parse_precision, parse_spectral, parse_targets
    from s2m_edge.deploy.precision import PRECISIONS, SPECTRAL_LOWERINGS
    from s2m_edge.targets.measure.benchmark.plan import make_plan

    names = [name for text in target or [] for name in text.split(",")]
    targets = parse_targets(target) if names and "all" not in names else None
    default = "all" if bundled else DEFAULT_PRECISION
    precisions = parse_each(precision or [default], PRECISIONS, parse_precision)
    lowerings = parse_each(spectral or (["all"] if bundled else None), SPECTRAL_LOWERINGS, parse_spectral)
    return make_plan(targets, precisions, lowerings, executed=quick)


def _left_out_for_speed(
    precision: list[str] | None, spectral: list[str] | None, rounds: int | None, compiled: bool | None
) -> tuple[str, ...]:
    """What --quick does not do and was not asked for beside it, for the header."""
    remarks = {
        f"{ROUNDS - QUICK_ROUNDS} of {ROUNDS} rounds": rounds is None,
        "torch.compile (--compile)": not compiled,
        "other precisions (--precision all)": not precision,
        "other lowerings (--spectral all)": not spectral,
    }
    return tuple(text for text, left_out in remarks.items() if left_out)


def _choose_threads(threads: int | None) -> int:
    from s2m_edge.devices import usable_cores
    from s2m_edge.errors import ConfigurationError

    if threads is not None and threads < 1:
        raise ConfigurationError(f"--threads is {threads}", "It must be at least 1.")
    return threads or usable_cores()


def _require_file(path: Path | None, option: str) -> None:
    """Raise OutputError, naming the option, unless `path` can be written."""
    from s2m_edge.errors import OutputError
    from s2m_edge.files import require_writable
    from s2m_edge.outputs import require_own_file

    if path is None:
        return
    require_own_file(path, option)
    try:
        require_writable(path.parent)
    except OutputError as error:
        raise OutputError(error.cause, f"Choose another place with {option}.") from None


def _print(values: dict[str, Any]) -> None:
    from s2m_edge import console
    from s2m_edge.targets.measure.benchmark.columns import (
        COST_COLUMNS,
        header_lines,
        left_out,
        own_rows,
        peer_rows,
        profile_headings,
        profile_rows,
        profiled,
        summary_lines,
        time_columns,
    )

    size = values["size"]
    for line in header_lines(values):
        console.output.print(line)
    for title, rows in ((f"S2M-Net, {size} x {size}", own_rows(values)), ("other networks", peer_rows(values))):
        for columns in (time_columns(values), COST_COLUMNS) if rows else ():
            cells = [[row["title"], *(column.text(row) for column in columns)] for row in rows]
            console.output.print(_table([title, *(column.heading for column in columns)], cells), soft_wrap=False)
    for entry in profiled(values):
        console.output.print(
            _table([entry["title"], *profile_headings(entry)[1:]], profile_rows(entry)), soft_wrap=False
        )
        console.output.print(entry["profile"]["method"])
    for line in [*summary_lines(values), *left_out(values), values["notice"]]:
        console.output.print(line)


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
