"""`s2m-edge diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.options import JsonOption, finite

if TYPE_CHECKING:
    from rich.table import Table

    from s2m_edge.targets.measure.changes import Changes


def diff(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="Bundle folder, checkpoint, or JSON file of parity, gate or benchmark.")
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="What takes its place: another one of the same kind.")],
    tolerance: Annotated[
        float,
        typer.Option(
            help="Share of what a gate allows in all that B may lose against A; of a time, of the time itself.",
            min=0.0,
            callback=finite,
        ),
    ] = 0.1,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed between two bundles, checkpoints or reports. Exits with 1 if B is worse.

    Figures are judged by the share of their gate; weights are compared block by block.
    """
    from s2m_edge import console
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import write_bytes
    from s2m_edge.outputs import require_own_file
    from s2m_edge.targets.measure.changes import changes_html, compare_sides, open_side
    from s2m_edge.targets.measure.changes.write import sentence

    if html is not None:
        if html.suffix.lower() not in (".html", ".htm"):
            raise ConfigurationError(f"{html} is no page's name", "End it with .html.")
        require_own_file(html, "--html")
    changes = compare_sides(open_side(before), open_side(after), tolerance)
    if html is not None:
        write_bytes(html, changes_html(changes).encode())
    if as_json:
        console.print_json(changes.to_dict())
    else:
        for table in _tables(changes):
            console.output.print(table, soft_wrap=False)
        if changes.same_weights:
            console.output.print("weights: all tensors are equal")
        console.output.print(sentence(changes), markup=False)
    changes.require_no_worse()


def _tables(changes: Changes) -> list[Table]:
    from s2m_edge.targets.measure.changes.write import BLOCK_HEADINGS, block_rows, figure_rows

    found: list[Table] = []
    for headings, rows in (
        (("figure", "A", "B", ""), figure_rows(changes)),
        (BLOCK_HEADINGS, block_rows(changes)),
        (("what it says of itself", "A", "B"), changes.facts),
    ):
        if rows:
            found.append(_table(headings, rows))
    return found


def _table(headings: tuple[str, ...], rows: object) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:  # type: ignore[attr-defined]
        table.add_row(*(Text(cell) for cell in row))
    return table
