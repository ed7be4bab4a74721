"""`s2m-edge spec`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from s2m_edge.cli.options import JsonOption

app = typer.Typer(help="Specifications of networks that are not S2M-Net.", no_args_is_help=True)

TEMPLATE = """\
# What a segmentation network says of itself, so that s2m-edge can lower, prove and deploy it.
# s2m-edge export --network module:factory --weights FILE --spec {name} --target all
spec_version: 1

# Of files and bundles: letters, digits, dots, dashes and underscores.
name: my-network

input:
  height: 352 # pixels
  width: 352
  channels: 3 # 3: RGB, 1: grey
  fit: stretch # the whole picture to height x width; window: windows of that size slide over it
  # Files deeper than 8 bits: from one percentile of a slice's values to another; or rule: window, low and high in the
  # file's units (Hounsfield units of a CT).
  intensity: {{rule: percentiles, low: 0, high: 100, over: slice}}
  # The network takes (x * scale - mean) / standard_deviation of values x in 0..255, channel by channel.
  scale: 0.00392156862745098 # 1/255
  mean: [0.0, 0.0, 0.0] # of ImageNet: [0.485, 0.456, 0.406]
  standard_deviation: [1.0, 1.0, 1.0] # of ImageNet: [0.229, 0.224, 0.225]

# Foreground classes, in the order of the output's channels; a colour is optional.
classes:
  - name: lesion
    colour: [0, 200, 120]

# The network gives logits. sigmoid: one channel, one class. softmax: the background first, then a channel a class.
activation: sigmoid

# From this probability on a pixel belongs to the class; of sigmoid alone.
threshold: 0.5

# Anything that should travel with the weights. "domain" chooses the bundled sample pictures (polyp, vessel, cardiac,
# skin) where none are given; "dataset" stands in descriptions.
provenance:
  dataset: unknown
"""


@app.command("new")
def new(
    path: Annotated[Path, typer.Argument(help="The file to write, .yaml.")] = Path("spec.yaml"),
    as_json: JsonOption = False,
) -> None:
    """Write a specification with comments, to be filled in. Replaces nothing."""
    from s2m_edge import console
    from s2m_edge.errors import OutputError
    from s2m_edge.files import require_writable, write_bytes
    from s2m_edge.texts import encoded, printable

    if path.exists():
        raise OutputError(f"{path} exists", "Choose another name, or remove it.")
    require_writable(path.absolute().parent)
    write_bytes(path, encoded(TEMPLATE.format(name=printable(path.name))))
    if as_json:
        console.print_json({"file": str(path)})
        return
    console.output.print(f"written: {path}")


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="A specification's file.")],
    as_json: JsonOption = False,
) -> None:
    """Read a specification and say what it says."""
    from dataclasses import asdict

    from s2m_edge import console
    from s2m_edge.deploy.spec import read_spec

    spec = read_spec(path)
    if as_json:
        console.print_json(asdict(spec))
        return
    colour = "RGB" if spec.channels == 3 else "grey"
    names = ", ".join(entry.name for entry in spec.classes)
    console.output.print(f"{spec.name}: {colour}, {spec.height} x {spec.width}, {spec.activation}: {names}")
