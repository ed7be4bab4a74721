"""`s2m-edge check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.options import JsonOption, MaxPixelsOption

if TYPE_CHECKING:
    from s2m_edge.deploy.precision import Precision
    from s2m_edge.opened_network import OpenedNetwork
    from s2m_edge.targets.check.config import CheckConfig
    from s2m_edge.targets.check.perform import Opener

CONFIG = "s2m-edge-check.yaml"


def check(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="What to export and how to judge it, YAML; see docs/ci.md.")
    ] = Path(CONFIG),
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Only these of the configuration's targets; with commas, or repeated."),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(help="Results of the base branch's check (folder or check.json); none there is no failure."),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(help="Record the network on this device too (auto, cpu or cuda), and compare artifacts with it."),
    ] = None,
    label: Annotated[
        str,
        typer.Option(help="What tells this check from those of other machines; the kind of machine if left out."),
    ] = "",
    out: Annotated[
        Path,
        typer.Option(help="Folder that receives bundles, check.json, report.html, summary.md, JUnit XML and SARIF."),
    ] = Path("check"),
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Export a network, judge every artifact, compare with the base branch and write reports for CI. Exits with 1 if
    anything fails.

    The folder of results is written whatever was found; what was not executed on this machine is skipped in it, and not
    passed.
    """
    from s2m_edge import console
    from s2m_edge.devices import choose_device
    from s2m_edge.targets.check.config import read_config
    from s2m_edge.targets.check.perform import PAGE_FILE, run_check
    from s2m_edge.targets.measure.parity.table import parity_table, print_remarks

    given = read_config(config)
    names = [name.strip() for text in target or [] for name in text.split(",") if name.strip()]
    with console.progress_bar("check") as update:
        result = run_check(
            given,
            _opener(given),
            out,
            targets=names,
            base=base,
            device=None if record is None else choose_device(record),
            label=label,
            notify=update,
        )
    if as_json:
        console.print_json(result.to_dict())
    else:
        reports = [(entry.report, entry.size) for entry in result.artifacts if entry.report is not None]
        if reports:
            console.output.print(parity_table(reports), soft_wrap=False)
            print_remarks([report for report, _ in reports])
        for verdict in result.verdicts:
            for sentence in verdict.sentences:
                console.output.print(f"{verdict.state}: {verdict.subject}, {verdict.rule}: {sentence}", markup=False)
        console.output.print(f"results: {out}", markup=False)
    result.require_passed(str(out / PAGE_FILE))


def _opener(config: CheckConfig) -> Opener:
    """Opens the configuration's network for a precision, as `export` does."""
    from s2m_edge.cli.opening import open_checkpoint, open_users_network, quantize_opened
    from s2m_edge.deploy.precision import PRECISION_ROWS
    from s2m_edge.samples import images_or_samples

    def opened(precision: Precision) -> OpenedNetwork:
        if config.network is None:
            return open_checkpoint(config.checkpoint, None, precision)
        found = open_users_network(config.network, config.weights, config.spec)
        if PRECISION_ROWS[precision].quantized and config.calibration is not None:
            return quantize_opened(found, images_or_samples(config.calibration, None))
        return found

    return opened
