"""Parity reports for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from s2m_edge import console
from s2m_edge.notice import NOTICE
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.targets.registry import find_target

if TYPE_CHECKING:
    from rich.table import Table


def parity_table(rows: Sequence[tuple[ParityReport, int]]) -> Table:
    """A table of parity reports, each with its artifact's bytes; eighty columns wide. The rest is in parity.json."""
    from rich import box
    from rich.table import Table

    counts = sorted({len(report.images) for report, _ in rows})
    images = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    noun = "image" if counts == [1] else "images; the worst of them"
    table = Table(
        title=f"Parity with the PyTorch reference on {images} real {noun}",
        caption=NOTICE,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
    )
    table.add_column("target", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("error", "agree", "Dice", "ms", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    for report, size in rows:
        table.add_row(*table_cells(report, size), console.passed_or_failed(report.passed))
    return table


def table_cells(report: ParityReport, size: int) -> tuple[str, ...]:
    """One report as a row: bundle, verdict, largest error, least agreement, least Dice, milliseconds, MB.

    Args:
        size: of the artifact, in bytes.
    """
    summary = report.to_dict()["summary"]
    return (
        f"{report.target} {report.precision}",
        report.verdict,
        f"{summary['max_probability_error']:.1e}",
        f"{summary['min_mask_agreement']:.5f}",
        f"{summary['min_mask_dice']:.4f}",
        f"{summary['median_milliseconds']:.0f}" if is_timed(report) else "-",
        f"{size / 1e6:.1f}",
    )


def is_timed(report: ParityReport) -> bool:
    """Whether its times are a device's: an evaluator's or an interpreter's say nothing of one."""
    return report.verdict == "executed" and not find_target(report.target).slow_runtime


def print_remarks(reports: Sequence[ParityReport]) -> None:
    """What a table of reports does not say: on how many images there is anything to find, figures that are not the
    artifact's own, and gates that took few images."""
    shares = {report.target: _of(report.images_with_foreground, len(report.images)) for report in reports}
    found = dict.fromkeys(shares.values())
    told = next(iter(found), "") if len(found) == 1 else ", ".join(f"{name} {share}" for name, share in shares.items())
    if reports:
        console.output.print(f"the reference finds foreground on {told}")
    for report in reports:
        name = f"{report.target} {report.precision}"
        if report.remark:
            console.output.print(f"{name}: {report.remark}")
        if report.images_given > len(report.images):
            slow = find_target(report.target).slow_runtime
            why = f"; its runtime here is {slow}" if slow else ""
            taken = _of(len(report.images), report.images_given)
            console.output.print(f"{name}: the gate took {taken}{why}. --limit takes more.")


def _of(count: int, whole: int) -> str:
    return f"{count} of {whole} {'image' if whole == 1 else 'images'}"
