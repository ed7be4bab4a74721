"""`s2m-edge guard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import BUNDLED, PRESET_HELP, JsonOption, MaxPixelsOption


def guard(
    data: Annotated[
        Path, typer.Argument(help="The training data, an image folder: images/, masks/, split.csv; or see --preset.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help=f"Whose pictures they are: a file, or {BUNDLED}.", metavar="CHECKPOINT"),
    ] = None,
    spec: Annotated[
        Path | None, typer.Option("--spec", help="Or the specification of a network of yours, YAML.", metavar="FILE")
    ] = None,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("guard.safetensors"),
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Learn what a network's training pictures look like, so that its bundles can warn of pictures unlike them.

    The statistics are of the split train; the threshold is the score that one in twenty pictures of val exceeds. The
    file goes into a bundle with s2m-edge export --guard.
    """
    from s2m_edge import console
    from s2m_edge.checkpoint import network_spec, read_header
    from s2m_edge.deploy.guard import write_guard
    from s2m_edge.deploy.spec import read_spec
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import require_writable
    from s2m_edge.outputs import require_own_file
    from s2m_edge.train.data.presets import dataset_title
    from s2m_edge.train.guard import learn_guard

    if (checkpoint is None) == (spec is None):
        raise ConfigurationError("a guard is of one network", "Give --checkpoint, or --spec.")
    require_own_file(out)
    described = read_spec(spec) if spec is not None else network_spec(read_header(checkpoint))
    require_writable(out.absolute().parent)
    with console.progress_bar("guard") as update:
        made, remark = learn_guard(
            data, preset, described.preprocessing, str(described.provenance.get("domain", "")), update
        )
    write_guard(out, made)
    if as_json:
        console.print_json(
            {"file": str(out), "bytes": out.stat().st_size, "threshold": made.threshold, **made.provenance}
        )
        return
    if remark:
        console.status.print(f"note: {remark}")
    counted = f"{made.provenance['training_pictures']} training and {made.provenance['validation_pictures']} validation"
    learned_from = dataset_title(made.provenance["dataset"])
    console.output.print(f"{counted} pictures of {learned_from}: scores up to {made.threshold:.1f} are usual")
    console.output.print(f"guard: {out}")
