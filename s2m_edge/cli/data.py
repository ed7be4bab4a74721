"""`s2m-edge data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.options import PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption

if TYPE_CHECKING:
    from s2m_edge.train.data.check import DataReport

NAMES_SHOWN = 4

app = typer.Typer(help="Look at data sets before training on them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Image folder, or with --preset a published data set.")],
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    classes: Annotated[
        int | None, typer.Option(help="1 for one kind of object, else all classes with the background.")
    ] = None,
    case_pattern: Annotated[
        str | None, typer.Option(help="Regular expression that finds the patient in a file's name.")
    ] = None,
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Report unreadable files, missing or misfit masks, odd labels, images on two sides of the split, class balance.

    Exits with 0 when all is well, 1 when there are problems, 2 for a wrong request.
    """
    from s2m_edge import console
    from s2m_edge.train.data.check import check_dataset
    from s2m_edge.train.data.sample import parse_labelling

    with console.progress_bar("check") as update:
        report = check_dataset(folder, preset, classes, case_pattern, update, parse_labelling(labels))
    if as_json:
        console.print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.clean:
        raise typer.Exit(1)


def _print_report(report: DataReport) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from s2m_edge import console
    from s2m_edge.texts import printable

    table = Table(box=box.SIMPLE_HEAD, title=printable(f"{report.folder}"), title_justify="left", pad_edge=False)
    table.add_column("split", no_wrap=True)
    for heading in ("images", "cases", "empty masks"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = ["foreground"] if report.classes == 1 else [f"class {index}" for index in range(1, report.classes)]
    for name in names:
        table.add_column(f"{name}, area (images)", justify="right")
    for split, figures in report.splits.items():
        total = max(sum(figures.pixels), 1)
        shares = [
            f"{pixels / total:.2%} ({occurs})"
            for pixels, occurs in zip(figures.pixels[1:], figures.occurs[1:], strict=True)
        ]
        table.add_row(split, str(figures.images), str(figures.cases or "-"), str(figures.empty), *shares)
    console.output.print(table, soft_wrap=False)
    console.output.print(f"split: {report.split_rule}")
    for finding in report.findings:
        colour = "bold red" if finding.severity == "problem" else "yellow"
        count = f" ({len(finding.where)})" if finding.where else ""
        found = printable(f" {finding.kind}: {finding.text}{count}")
        console.output.print(Text.assemble((finding.severity, colour), found))
        for name in finding.where[:NAMES_SHOWN]:
            console.output.print(f"    {printable(str(name))}")
        if len(finding.where) > NAMES_SHOWN:
            console.output.print(f"    and {len(finding.where) - NAMES_SHOWN} more (--json lists all)")
    if report.clean:
        console.output.print(Text("no problems", style="green"))
