"""What several commands open: a checkpoint or a network of the user's, with progress and warnings as lines."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from s2m_edge.deploy.precision import Precision
    from s2m_edge.opened_network import OpenedNetwork

NetworkOption = Annotated[
    str | None,
    typer.Option(
        "--network",
        help="A network of yours: module:factory, file.py:factory, or a .pt2 file; with --spec.",
        metavar="MODULE:FACTORY",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option("--weights", help="Its weights: .safetensors, or a torch.save file of tensors alone.", metavar="FILE"),
]
SpecOption = Annotated[
    Path | None,
    typer.Option("--spec", help="What it takes and gives, YAML; s2m-edge spec new writes one.", metavar="FILE"),
]


def open_checkpoint(path: Path | str | None, size: int | None, precision: Precision | None = None) -> OpenedNetwork:
    """A checkpoint's network; a warning about resampled filters is printed as a line.

    Args:
        precision: of an artifact; its checkpoint is then the one that `checkpoint_for` finds.
    """
    from s2m_edge import console, opened_network
    from s2m_edge.checkpoint import ResampledFilterWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with console.status.status("loading the checkpoint"):
            opened = opened_network.open_checkpoint(path, size, precision)
    for warning in caught:
        if issubclass(warning.category, ResampledFilterWarning):
            console.print_warning(warning.message)
    return opened


def open_users_network(reference: str, weights: Path | None, spec: Path | None) -> OpenedNetwork:
    """A network of the user's, checked against its specification."""
    from s2m_edge import console
    from s2m_edge.deploy.factory import open_network
    from s2m_edge.deploy.soundness import require_sound_network
    from s2m_edge.deploy.spec import read_spec
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.opened_network import OpenedNetwork
    from s2m_edge.targets.quiet import hush_copies

    hush_copies()  # for the whole command: a .pt2 file is a program, and every step copies it
    if spec is None:
        raise ConfigurationError(
            "--network was given without --spec", "Write one with s2m-edge spec new, and fill in what it asks."
        )
    given = read_spec(spec)
    with console.status.status("opening the network"):
        network, described = open_network(reference, weights, given)
        require_sound_network(network, described)
        described = described.of(network)
    if weights is None and described.sha256 == "":
        console.status.print("note: no --weights; the network has those that its factory gives")
    return OpenedNetwork(network, described)


def require_one_source(network: str | None, weights: Path | None, spec: Path | None, checkpoint: Path | None) -> None:
    """Raise ConfigurationError where options of both kinds of network, or half of one, were given."""
    from s2m_edge.errors import ConfigurationError

    if network is None and (weights is not None or spec is not None):
        raise ConfigurationError("--weights and --spec belong to --network", "Add --network, or leave them out.")
    if network is not None and checkpoint is not None:
        raise ConfigurationError("--network and a checkpoint were given", "Give one of them.")


def quantize_opened(opened: OpenedNetwork, pictures: list[Path]) -> OpenedNetwork:
    """A network of the user's in its fake-quantized form, its ranges from pictures."""
    from dataclasses import replace

    import torch

    from s2m_edge import console
    from s2m_edge.imaging.inputs import read_input
    from s2m_edge.imaging.preprocess import normalise
    from s2m_edge.opened_network import OpenedNetwork
    from s2m_edge.quantize.network import quantize_network
    from s2m_edge.quantize.quantize import require_torchao

    require_torchao()
    preprocessing = opened.spec.preprocessing
    images = [torch.from_numpy(normalise(read_input(path, preprocessing), preprocessing)[0]) for path in pictures]
    with console.progress_bar("calibration") as update:
        network = quantize_network(
            opened.network, opened.spec, images, progress=lambda done, total: update("pictures", done, total)
        )
    provenance = {
        **opened.spec.provenance,
        "calibration": {"count": len(images)},
        "float": {"weights_sha256": opened.spec.weights_sha256},
    }
    return OpenedNetwork(network, replace(opened.spec, provenance=provenance, weights_sha256="").of(network))
