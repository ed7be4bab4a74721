"""`s2m-edge data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    preset: Annotated[str | None, typer.Option(help="Layout of a published data set, for instance drive.")] = None,
    classes: Annotated[
        int | None, typer.Option(help="1 for one kind of object, else all classes with the background.")
    ] = None,
    case_pattern: Annotated[
        str | None, typer.Option(help="Regular expression that finds the patient in a file's name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Report unreadable files, missing or misfit masks, odd labels, images on two sides of the split, class balance.

    Exits with 0 when all is well, 1 when there are problems, 2 for a wrong request.
    """
    from s2m_edge.cli import console
    from s2m_edge.train.data.check import check_dataset

    with console.progress_bar("check") as update:
        report = check_dataset(folder, preset, classes, case_pattern, update)
    if as_json:
        console.print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.clean:
        raise typer.Exit(1)


def _print_report(report: DataReport) -> None:
    from rich import box
    from rich.table import Table

    from s2m_edge.cli import console

    table = Table(box=box.SIMPLE_HEAD, title=f"{report.folder}", title_justify="left", pad_edge=False)
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
    console.output.print(f"split: {report.split_rule}", markup=False)
    for finding in report.findings:
        colour = "bold red" if finding.severity == "problem" else "yellow"
        count = f" ({len(finding.where)})" if finding.where else ""
        console.output.print(f"[{colour}]{finding.severity}[/] {finding.kind}: ", end="")
        console.output.print(f"{finding.text}{count}", markup=False)
        for name in finding.where[:NAMES_SHOWN]:
            console.output.print(f"    {name}", markup=False)
        if len(finding.where) > NAMES_SHOWN:
            console.output.print(f"    and {len(finding.where) - NAMES_SHOWN} more (--json lists all)", markup=False)
    if report.clean:
        console.output.print("[green]no problems[/]")
