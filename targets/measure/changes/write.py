"""Changes as a page: the same look as the page on a bundle."""

from __future__ import annotations

from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.changes.compare import Changes
from s2m_edge.targets.measure.page.environment import page_environment
from s2m_edge.texts import printable

TEMPLATE = "changes.html.j2"


def figure_rows(changes: Changes) -> list[tuple[str, str, str, str]]:
    """Name, before, after and judgement of every figure, as texts."""
    return [
        (printable(entry.name), _text(entry.before), _text(entry.after), entry.judgement) for entry in changes.figures
    ]


BLOCK_HEADINGS = ("block", "tensors changed", "weights", "largest", "statistics")


def block_rows(changes: Changes) -> list[tuple[str, str, str, str, str]]:
    """Block, tensors that changed, relative and largest change of weights, change of statistics, as texts.

    See `BLOCK_HEADINGS`.
    """
    return [
        (
            printable(entry.block),
            f"{entry.changed} of {entry.tensors}",
            entry.remark or f"{entry.relative:.2%}",
            f"{entry.largest:.3g}",
            "-" if entry.statistics is None else f"{entry.statistics:.2%}",
        )
        for entry in changes.blocks
    ]


def sentence(changes: Changes) -> str:
    """The outcome in one sentence."""
    if changes.worse:
        more = len(changes.worse) - 1
        return f"B is worse: {changes.worse[0]}{f' ({more} more)' if more else ''}."
    improved = sum(entry.judgement == "better" for entry in changes.figures)
    if not changes.facts and not changes.blocks and all(entry.before == entry.after for entry in changes.figures):
        return "Nothing differs."
    return f"B is no worse; {improved} of {len(changes.figures)} figures are better beyond the tolerance."


def changes_html(changes: Changes) -> str:
    """One HTML file that needs no other; names are text in it, whatever they hold."""
    return (
        page_environment()
        .get_template(TEMPLATE)
        .render(
            title=f"{printable(changes.before.path.name)} and {printable(changes.after.path.name)}",
            notice=NOTICE,
            before=printable(str(changes.before.path)),
            after=printable(str(changes.after.path)),
            sentence=sentence(changes),
            worse=[printable(line) for line in changes.worse],
            tolerance=f"{changes.tolerance:.0%}",
            figures=figure_rows(changes),
            facts=changes.facts,
            block_headings=BLOCK_HEADINGS,
            blocks=block_rows(changes),
            same_weights=changes.same_weights,
        )
    )


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
