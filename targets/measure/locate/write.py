"""A location for people: a table along the network, and a page with the same look as the one on a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.locate.report import (
    KEEPS,
    LARGEST_HALF,
    LEAVES,
    NOT_HELD,
    NOT_LOOKED_AT,
    BlockError,
    Judgement,
    Location,
)
from s2m_edge.targets.measure.page.environment import page_environment
from s2m_edge.texts import printable

if TYPE_CHECKING:
    from rich.table import Table

TEMPLATE = "location.html.j2"
SHORT: Mapping[Judgement, str] = {
    KEEPS: "kept",
    LEAVES: "left",
    NOT_HELD: "part of others",
    NOT_LOOKED_AT: "not looked at",
}
"""Judgements in a table."""


def headings(location: Location) -> tuple[str, ...]:
    """Of `block_rows`: peaks and saturated values only where a block has them."""
    peak, saturated = _extras(location)
    return (
        "block",
        "largest",
        "mean",
        "of range",
        "allowed",
        *(("of 65504",) if peak else ()),
        *(("saturated",) if saturated else ()),
        "tolerance",
    )


def block_rows(location: Location) -> list[tuple[str, ...]]:
    """One row for each block, as texts: errors, the share of the range that the gate limits and what it may be, the
    largest absolute value as a share of float16's largest number, and the share of values at the ends of int8."""
    peak, saturated = _extras(location)
    return [
        (
            printable(entry.block),
            _number(entry.largest),
            _number(entry.mean),
            _number(entry.relative),
            f"{entry.tolerance:g}",
            *((_share(None if entry.peak is None else entry.peak / LARGEST_HALF),) if peak else ()),
            *((_share(entry.saturated),) if saturated else ()),
            SHORT[entry.judgement],
        )
        for entry in location.blocks
    ]


def _extras(location: Location) -> tuple[bool, bool]:
    def has(values: Sequence[float | None]) -> bool:
        return any(value is not None for value in values)

    return has([entry.peak for entry in location.blocks]), has([entry.saturated for entry in location.blocks])


def location_table(location: Location) -> Table:
    """The table along the network."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{location.target} {location.precision} beside PyTorch, block by block",
        caption=NOTICE,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for heading in headings(location):
        table.add_column(heading, justify="left" if heading in ("block", "tolerance") else "right", overflow="fold")
    for entry, row in zip(location.blocks, block_rows(location), strict=True):
        table.add_row(*(Text(cell) for cell in row[:-1]), Text(row[-1], style=_style(entry)))
    return table


def _style(entry: BlockError) -> str:
    return "bold red" if entry.judgement == LEAVES else ""


def facts(location: Location) -> list[tuple[str, str]]:
    """What was looked at, and how: name and text."""
    share = "" if location.pictures == 1 else f", of {location.pictures} the one with the largest error"
    return [
        ("picture", f"{printable(location.picture)}{share}"),
        ("device", location.device),
        ("read from", location.method),
    ]


def operator_rows(location: Location) -> list[tuple[str, str]]:
    """What is known of the first operator; empty where there is none."""
    found = location.operator
    if found is None:
        return []
    return [
        ("operator", f"{printable(found.kind)} {printable(found.name)}"),
        ("error", f"{_number(found.relative)} of its range, allowed {found.tolerance:g}"),
        ("compared with", found.against),
    ]


def location_html(location: Location, title: str) -> str:
    """One HTML file that needs no other; names are text in it, whatever they hold.

    Args:
        title: of the page, for instance the bundle's name.
    """
    from markupsafe import Markup

    from s2m_edge.targets.measure.page.plots import blocks_plot

    shares = [(printable(entry.block), entry.relative, entry.judgement == LEAVES) for entry in location.blocks]
    names = headings(location)
    return (
        page_environment()
        .get_template(TEMPLATE)
        .render(
            title=printable(title),
            notice=NOTICE,
            wrong=location.first is not None,
            sentence=printable(location.sentence),
            remarks=[printable(remark) for remark in location.remarks],
            facts=[("artifact", f"{location.target} {location.precision}"), *facts(location)],
            plot=Markup(blocks_plot(shares, location.blocks[-1].tolerance)),
            headings=names,
            figures=list(range(1, len(names) - 1)),
            blocks=block_rows(location),
            operator=operator_rows(location),
        )
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
