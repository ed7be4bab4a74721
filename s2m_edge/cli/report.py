"""`s2m-edge report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2m_edge.cli.options import BUNDLED, JsonOption, MaxPixelsOption

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.opened_network import OpenedNetwork
    from s2m_edge.targets.measure.page import StageSpectrum

PAGE = "report.html"


def report(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="BUNDLE...|CHECKPOINT",
            help="Bundle folders of one network, and the checkpoint that they came from (a file, or a bundled one: "
            f"{BUNDLED} and so on); the checkpoint is found if it is bundled, and may stand alone.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The page.")] = Path(PAGE),
    images: Annotated[
        Path | None, typer.Option(help="Folder of real images for the spectra; bundled samples by default.")
    ] = None,
    gate: Annotated[Path | None, typer.Option(help="Show this file of s2m-edge gate --out.")] = None,
    benchmark: Annotated[Path | None, typer.Option(help="Show this file of s2m-edge benchmark --json.")] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Run the recorded inputs through the artifacts, here and now.")
    ] = True,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the edge runtimes.", min=1)] = None,
    as_json: JsonOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Write one page on bundles and their network: verdict, margins, pictures, spectra, hashes. Exits with 1 if a gate
    fails.

    The page is one HTML file that needs no network and no script.
    """
    import shlex
    import sys

    from s2m_edge import console
    from s2m_edge.errors import ConfigurationError, ContractError, ParityError
    from s2m_edge.files import write_bytes
    from s2m_edge.outputs import require_own_file
    from s2m_edge.targets.measure.page import BundleFacts, PageContent, bundle_facts, page_html
    from s2m_edge.targets.measure.page.write import read_json_of

    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"{out} is no page's name", "End it with .html.")
    require_own_file(out)
    bundles, network = _open(models)
    _require_outside(out, bundles)
    accuracy = None if gate is None else read_json_of(gate, ("stages", "differences", "data"), "s2m-edge gate --out")
    measured = None
    if benchmark is not None:
        measured = read_json_of(benchmark, ("contenders", "machine"), "s2m-edge benchmark --json")
    if accuracy is not None and bundles and not _is_about(accuracy, bundles):
        raise ContractError(f"{gate} is about another network", "Give the one of these bundles' network.")
    facts: list[BundleFacts] = []
    with console.progress_bar("report") as update:
        for index, bundle in enumerate(bundles):
            update("bundles", index, len(bundles))
            facts.append(bundle_facts(bundle, threads, run))
        update("bundles", len(bundles), len(bundles))
    stages, count = _spectra(network, images)
    content = PageContent(
        tuple(facts),
        None if network is None else network.spec.of(network.network),
        {} if network is None else network.spec.provenance,
        tuple(stages),
        count,
        accuracy,
        measured,
        shlex.join(["s2m-edge", *sys.argv[1:]]) if sys.argv[1:2] == ["report"] else "s2m-edge report",
    )
    try:
        page = page_html(content).encode()
    except (LookupError, TypeError, ValueError) as error:
        if accuracy is None and measured is None:
            raise
        raise ConfigurationError(
            f"a file that was given lacks figures ({type(error).__name__}: {error})",
            "Write it again with this version.",
        ) from error
    write_bytes(out, page)
    values = {
        "page": str(out),
        "bytes": len(page),
        "passed": not content.breaches,
        "breaches": content.breaches,
        "bundles": [
            {
                "folder": str(entry.bundle.folder),
                "verdict": entry.report.verdict,
                "passed": not entry.breaches,
                "run_here_on": entry.device or None,
                "not_run": entry.failure or entry.not_run or None,
            }
            for entry in facts
        ],
        "energy_kept": {stage.name: round(stage.energy_kept(), 6) for stage in stages},
    }
    if as_json:
        console.print_json(values)
    else:
        for entry in facts:
            if entry.not_run:
                console.output.print(f"{entry.bundle.folder.name}: not run here, {entry.not_run}")
        console.output.print(f"page: {out}, {len(page) / 1e6:.2f} MB")
    if content.breaches:
        more = f" ({len(content.breaches) - 1} more)" if len(content.breaches) > 1 else ""
        raise ParityError(f"{content.breaches[0]}{more}", f"Do not deploy it; {out} has every figure.")


def _open(models: list[Path]) -> tuple[list[Bundle], OpenedNetwork | None]:
    """The bundles, and the network that all of them came from, if it is at hand."""
    from s2m_edge.checkpoint import bundled_with_weights, read_header
    from s2m_edge.cli.opening import open_checkpoint
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.errors import ConfigurationError, ContractError

    folders = [path for path in models if path.is_dir()]
    files = [path for path in models if not path.is_dir()]
    if len(files) > 1:
        raise ConfigurationError(
            f"{files[0]} and {files[1]} are no bundles", "Name bundle folders, and one checkpoint at most."
        )
    bundles = [open_bundle(folder, proved=False) for folder in folders]
    if len({bundle.folder.resolve() for bundle in bundles}) < len(bundles):
        raise ConfigurationError("a bundle was named twice", "Name each once.")
    size = bundles[0].contract.preprocessing.height if bundles else None
    if files:
        header = read_header(files[0])
        for bundle in bundles:
            _require_relation(header, bundle)
        return bundles, open_checkpoint(files[0], size)
    for bundle in bundles[1:]:
        if _float_weights(bundle) != _float_weights(bundles[0]):
            raise ContractError(
                f"{bundle.folder} and {bundles[0].folder} are of different networks", "Write a page for each network."
            )
    found = bundled_with_weights(_float_weights(bundles[0]))
    return bundles, None if found is None else open_checkpoint(found, size)


def _require_outside(out: Path, bundles: list[Bundle]) -> None:
    """Raise ConfigurationError if the page would lie in a bundle: each has one, whose hash is in its contract."""
    from s2m_edge.errors import ConfigurationError

    for bundle in bundles:
        if out.resolve().is_relative_to(bundle.folder.resolve()):
            raise ConfigurationError(
                f"{out} would lie in the bundle, whose files are fixed", "Choose another place with --out."
            )


def _float_weights(bundle: Bundle) -> str:
    """What bundles of one network share: the hash of its float weights, from which int8 ones were made."""
    from s2m_edge.deploy.origin import float_origin

    origin = float_origin(bundle.contract.values["checkpoint"]["provenance"]).get("weights_sha256")
    return str(origin or bundle.contract.weights_sha256)


def _require_relation(header: CheckpointHeader, bundle: Bundle) -> None:
    """Raise ContractError unless a bundle came from this checkpoint, or both from one float network."""
    from s2m_edge.deploy.origin import float_origin
    from s2m_edge.errors import ContractError

    origin = float_origin(header.provenance).get("weights_sha256")
    if _float_weights(bundle) not in (header.weights_sha256, origin):
        raise ContractError(
            f"{header.path.name} does not have the weights that {bundle.folder} was exported from (SHA-256 differs)",
            "Name the checkpoint that it came from, or leave it out.",
        )


def _is_about(accuracy: dict, bundles: list[Bundle]) -> bool:
    hashes = set((accuracy.get("hashes") or {}).values())
    return any(_float_weights(bundle) in hashes or bundle.contract.weights_sha256 in hashes for bundle in bundles)


def _spectra(network: OpenedNetwork | None, images: Path | None) -> tuple[list[StageSpectrum], int]:
    """The network's spectral filters over some pictures, and how many these were."""
    from s2m_edge.samples import images_or_samples
    from s2m_edge.targets.measure.page import picture_spectra

    if network is None:
        return [], 0
    return picture_spectra(network.network, network.spec.preprocessing, images_or_samples(images, network.domain))
