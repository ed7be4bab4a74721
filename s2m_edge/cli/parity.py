"""`s2m-edge parity`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.opening import NetworkOption, SpecOption, WeightsOption
from s2m_edge.cli.options import JsonOption, MaxPixelsOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.opened_network import OpenedNetwork

PAGE_SUFFIXES = (".html", ".htm")


def parity(
    bundle: Annotated[Path, typer.Argument(help="Bundle folder written by s2m-edge export.")],
    images: Annotated[Path | None, typer.Option(help="Folder of real images; bundled samples by default.")] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Checkpoint that the bundle came from; else one of the bundled."),
    ] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Folder of pictures that an int8 bundle of --network was calibrated with."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Compare with this file of s2m-edge reference record."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="How many images are taken; all by default, few where the runtime is slow.", min=1),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtime.", min=1)] = None,
    locate: Annotated[
        bool,
        typer.Option(
            "--locate", help="Find the first block, then the first operator, that leaves its tolerance, in place."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the report to this JSON file; of --locate, a page (.html) too.")
    ] = None,
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Compare a bundle's artifact with the PyTorch reference on real images. Exits with 1 if a gate fails."""
    from s2m_edge import console
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.errors import ConfigurationError, ContractError
    from s2m_edge.files import write_json
    from s2m_edge.outputs import require_own_file
    from s2m_edge.samples import images_or_samples
    from s2m_edge.targets.measure.parity.measure import measure_parity
    from s2m_edge.targets.measure.parity.table import parity_table, print_remarks
    from s2m_edge.targets.opening import target_of

    if locate and reference is not None:
        raise ConfigurationError("--locate looks at a network's blocks, and --reference has none", "Leave one out.")
    if out is not None:
        require_own_file(out)
    if out is not None and out.suffix.lower() in PAGE_SUFFIXES and not locate:
        raise ConfigurationError(f"{out} is a page's name", "Give --locate, or end it with .json.")
    opened = open_bundle(bundle, proved=False)
    target = target_of(opened)
    target.require_backend()
    values = opened.contract.values
    source = _open_source(opened, checkpoint, network, weights, spec, calibration)
    if locate:
        _locate(opened, source, images_or_samples(images, source.domain), limit, threads, out, as_json=as_json)
        return
    record = None
    if reference is not None:
        from s2m_edge.deploy.reference_store import read_record

        if images is not None:
            raise ContractError("--reference brings its own images", "Leave --images out.")
        record = read_record(reference)
        record.require_of(source.spec, reference)
    pictures = [] if record is not None else images_or_samples(images, source.domain)
    with console.progress_bar(f"parity of {target.name}") as update:
        report = measure_parity(
            opened,
            source.network,
            source.spec,
            pictures,
            lambda done, total: update("images", done, total),
            threads,
            record,
            limit,
        )
    if as_json:
        console.print_json(report.to_dict())
    else:
        table = parity_table([(report, values["artifact"]["bytes"])])
        console.output.print(table, soft_wrap=False)
        console.output.print(f"worst image: {report.worst.name}")
        console.output.print(f"edge: {report.edge_device}; reference: {report.reference_device}")
        print_remarks([report])
    if out is not None:
        write_json(out, report.to_dict())
    report.require_passed()


def _locate(
    bundle: Bundle,
    source: OpenedNetwork,
    images: Sequence[Path],
    limit: int | None,
    threads: int | None,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Find where the artifact leaves its reference; print it and write it."""
    from s2m_edge import console
    from s2m_edge.files import write_bytes, write_json
    from s2m_edge.targets.measure.locate import locate
    from s2m_edge.targets.measure.locate.write import facts, location_html, location_table, operator_rows

    with console.progress_bar(f"locating in {bundle.contract.target}") as update:
        found = locate(bundle, source.network, source.spec, images, limit=limit, threads=threads, notify=update)
    if as_json:
        console.print_json(found.to_dict())
    else:
        console.output.print(location_table(found), soft_wrap=False)
        for name, text in (*facts(found), *operator_rows(found)):
            console.output.print(f"{name}: {text}", markup=False)
        for text in (*found.remarks, found.sentence):
            console.output.print(text, markup=False)
    if out is not None and out.suffix.lower() in PAGE_SUFFIXES:
        write_bytes(out, location_html(found, bundle.folder.name).encode())
    elif out is not None:
        write_json(out, found.to_dict())
    found.require_kept()


def _open_source(
    bundle: Bundle,
    checkpoint: Path | None,
    network: str | None,
    weights: Path | None,
    spec: Path | None,
    calibration: Path | None,
) -> OpenedNetwork:
    """The network that a bundle came from: a checkpoint, a bundled one that is known by its hash, or --network.

    Raises:
        ContractError: it is another one.
        ConfigurationError: pictures to calibrate with are missing, or have nothing to do with this bundle.
    """
    from s2m_edge.cli.opening import open_checkpoint, open_users_network, require_one_source
    from s2m_edge.deploy.precision import PRECISION_ROWS
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.opened_network import checkpoint_of

    require_one_source(network, weights, spec, checkpoint)
    calibrated = network is not None and PRECISION_ROWS[bundle.contract.precision].quantized
    if calibrated and calibration is None:
        raise ConfigurationError(
            f"{bundle.folder} was proved against a quantized network, which is made during export and not kept",
            "Give --calibration with the pictures that it was exported with, or compare it with the float network on "
            "labelled images: s2m-edge gate.",
        )
    if calibration is not None and not calibrated:
        raise ConfigurationError(
            "--calibration was not expected", "It belongs to a bundle of --network with a quantized precision."
        )
    if network is not None:
        source = open_users_network(network, weights, spec)
        if calibration is not None:
            return _quantized_again(bundle, source, calibration)
        source.require_origin_of(bundle)
        return source
    source = open_checkpoint(checkpoint_of(bundle, checkpoint), bundle.contract.preprocessing.height)
    source.require_origin_of(bundle)
    return source


def _quantized_again(bundle: Bundle, source: OpenedNetwork, calibration: Path) -> OpenedNetwork:
    """The quantized network of an int8 bundle, made once more; the bundle knows the hash of its weights and ranges.

    Raises:
        ContractError: it comes out as another one.
    """
    from s2m_edge.cli.opening import quantize_opened
    from s2m_edge.errors import ContractError
    from s2m_edge.samples import images_or_samples

    quantized = quantize_opened(source, images_or_samples(calibration, None))
    if quantized.spec.weights_sha256 != bundle.contract.values["network"]["weights_sha256"]:
        raise ContractError(
            f"quantized with {calibration}, {source.spec.architecture} is not the network that {bundle.folder} was "
            "exported from (SHA-256 differs)",
            "Give the same weights and pictures; another processor, or another version of PyTorch or s2m-edge, may "
            "round them differently.",
        )
    return quantized
