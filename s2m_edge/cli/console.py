"""What the commands share: the checkpoint, the images, progress, tables of parity."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from s2m_edge.contract import NOTICE

if TYPE_CHECKING:
    from rich.table import Table

    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet
    from s2m_edge.targets.parity.report import ParityReport

# Progress and remarks go to stderr, so that stdout holds results alone (and nothing but JSON with --json).
status = Console(stderr=True, highlight=False)
output = Console(highlight=False, soft_wrap=True)


def print_json(values: Any) -> None:
    """JSON on stdout."""
    print(json.dumps(values, indent=2, ensure_ascii=False))


def open_checkpoint(path: Path | None, size: int | None) -> tuple[S2MNet, CheckpointHeader]:
    """The network and its header; a warning about resampled filters is printed as a line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from s2m_edge.checkpoint import ResampledFilterWarning, load_model, read_header

        header = read_header(path)
        with status.status("loading the checkpoint"):
            model = load_model(path, size=size)
    for warning in caught:
        if issubclass(warning.category, ResampledFilterWarning):
            status.print(f"[yellow]warning:[/] {warning.message}")
    return model, header


def choose_images(folder: Path | None, dataset: str | None) -> list[Path]:
    """The images of a folder, or the bundled ones of the checkpoint's dataset."""
    from s2m_edge.imaging.read import list_images
    from s2m_edge.samples import sample_images

    if folder is not None:
        return list_images(folder)
    return sample_images(dataset) or sample_images(None)


@contextmanager
def progress_bar(description: str) -> Iterator[Any]:
    """A progress bar on stderr with a time estimate; yields `update(step, done, total)`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        Remaining(),
    )
    with Progress(*columns, console=status, transient=True) as bar:
        task = bar.add_task(description, total=None)

        def update(step: str, done: int, total: int) -> None:
            bar.update(task, description=f"{description}: {step}", completed=done, total=total or None)

        yield update


def parity_table(rows: Sequence[tuple[ParityReport, int]]) -> Table:
    """A table of parity reports, each with its artifact's bytes; eighty columns wide. The rest is in parity.json."""
    from rich import box
    from rich.table import Table

    counts = sorted({len(report.images) for report, _ in rows})
    images = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    table = Table(
        title=f"Parity with the PyTorch reference on {images} real images; the worst of them",
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
    from s2m_edge.targets.registry import find_target

    for report, size in rows:
        timed = report.verdict == "executed" and not find_target(report.target).slow_runtime
        summary = report.to_dict()["summary"]
        table.add_row(
            f"{report.target} {report.precision}",
            report.verdict,
            f"{summary['max_probability_error']:.1e}",
            f"{summary['min_mask_agreement']:.5f}",
            f"{summary['min_mask_dice']:.4f}",
            # An evaluator's or an interpreter's time says nothing of a device.
            f"{summary['median_milliseconds']:.0f}" if timed else "-",
            f"{size / 1e6:.1f}",
            "[green]passed[/]" if report.passed else "[bold red]FAILED[/]",
        )
    return table


def print_remarks(reports: Sequence[ParityReport]) -> None:
    """What a table of reports does not say: figures that are not the artifact's own, and gates that took few images."""
    from s2m_edge.targets.registry import find_target

    for report in reports:
        name = f"{report.target} {report.precision}"
        if report.remark:
            output.print(f"{name}: {report.remark}", markup=False)
        if report.images_given > len(report.images):
            slow = find_target(report.target).slow_runtime
            why = f"; its runtime here is {slow}" if slow else ""
            taken = f"{len(report.images)} of {report.images_given} images"
            output.print(f"{name}: the gate took {taken}{why}. --limit takes more.", markup=False)
