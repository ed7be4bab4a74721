"""Exporting: a network and its specification to a bundle, with the parity gate between lowering and publishing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge import interrupts
from s2m_edge.deploy.bundle import Bundle, draft_contract, seal_contract
from s2m_edge.deploy.bundle_files import BUNDLE
from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.golden import GOLDEN_FILE, Reference, choose_golden, reference_device, write_golden
from s2m_edge.deploy.guard import GUARD_FILE, read_guard, require_guard_fits
from s2m_edge.deploy.precision import DEFAULT_PRECISION, Precision, SpectralForm, SpectralLowering
from s2m_edge.deploy.soundness import require_sound_network
from s2m_edge.errors import CapabilityError, LoweringError, ParityError, S2MEdgeError
from s2m_edge.files import (
    publish_folder,
    require_replaceable,
    require_writable,
    staged_folder,
    write_bytes,
    write_json,
)
from s2m_edge.notice import INTENDED_USE, NOTICE
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.bundle_page import PAGE_FILE, bundle_page
from s2m_edge.targets.measure.page.exported import REPORT_FILE, EdgeAnswers, ExportPages
from s2m_edge.targets.measure.parity.measure import measure_parity
from s2m_edge.targets.measure.parity.report import PARITY_FILE, ParityReport
from s2m_edge.targets.quiet import quiet_copies
from s2m_edge.targets.registry import Target
from s2m_edge.train.data.presets import dataset_title
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from torch import nn

    from s2m_edge.deploy.spec import NetworkSpec

GOLDEN_COUNT = 3
Notify = Callable[[str, int, int], None]


def ignore_progress(step: str, done: int, total: int) -> None:
    """A `Notify` that says nothing."""


@dataclass(frozen=True)
class ExportResult:
    """What one export gave.

    Attributes:
        folder: the published bundle.
        artifact_bytes: size of the artifact.
        lowering_seconds: time to lower and save.
        parity: the report.
    """

    folder: Path
    artifact_bytes: int
    lowering_seconds: float
    parity: ParityReport


def bundle_name(spec: NetworkSpec, target: Target, precision: str, spectral: str) -> str:
    """Folder name of a bundle: network, target and precision, and the spectral lowering where it is not the default."""
    parts = [spec.name, target.name, precision]
    if spectral not in (target.default_lowering, "none"):
        parts.append(spectral)
    return "-".join(parts)


def spectral_form(network: nn.Module, target: Target, asked: SpectralLowering | None) -> SpectralForm:
    """How an artifact will hold the spectral filter: as asked, as the target does by default, or "none".

    Raises:
        CapabilityError: a lowering was asked for, and the network has no filter.
    """
    from s2m_edge.targets.rewrites.spectral import has_spectral_filters

    if has_spectral_filters(network):
        return asked or target.default_lowering
    if asked is not None:
        raise CapabilityError("the network has no spectral filter to lower", "Leave --spectral out.")
    return "none"


def require_exportable(targets: Sequence[Target], precision: Precision, spectral: SpectralLowering | None) -> None:
    """Refuse what can be refused before any work: capability, backend, and a kernel that cannot be built here.

    Raises:
        CapabilityError, MissingBackendError, NativeBuildError: of the first target that cannot.
    """
    for target in targets:
        lowering = spectral or target.default_lowering
        target.require_capability(precision, lowering)
        target.require_backend()
        target.require_kernel(lowering)


def failed_folder(out: Path) -> Path:
    """Where the bundle is kept that breached its gate and was to become `out`."""
    return out.with_name(f"{out.name}.failed")


def require_free(out: Path) -> None:
    """Raise OutputError if a bundle, or one that fails, could not take its place without a loss."""
    for folder in (out, failed_folder(out)):
        require_replaceable(folder, BUNDLE)


@contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """A folder that can be written to, inside; if it and its parents were made for this and stay empty, they go again.

    Raises:
        OutputError: it cannot be made or written to.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        require_writable(folder)
        yield
    finally:
        for place in made:
            with suppress(OSError):  # what holds something stays
                place.rmdir()


def export_bundle(
    target: Target,
    network: nn.Module,
    spec: NetworkSpec,
    *,
    precision: Precision = DEFAULT_PRECISION,
    spectral: SpectralLowering | None = None,
    images: Sequence[Path],
    out: Path,
    limit: int | None = None,
    guard: Path | None = None,
    notify: Notify = ignore_progress,
    reference: Reference | None = None,
    pages: ExportPages | None = None,
) -> ExportResult:
    """Lower `network`, prove parity on `images` with the artifact reloaded, and publish the bundle as `out`.

    Nothing appears at `out` unless the gates hold. An artifact that breaches one is kept as `out`.failed, to be
    examined; an interrupted export leaves nothing.

    Args:
        network: gives logits B x outputs x height x width; float32, CPU, eval mode.
        spec: what it says of itself.
        spectral: the target's default if left out; nothing of a network without spectral filters.
        images: real images, at least one.
        limit: how many of them the gate takes, see `measure_parity`.
        guard: a file of `s2m-edge guard`, which becomes part of the bundle.
        notify: called with the step's name, images done and in all.
        reference: answers of `network` that are there already.
        pages: what makes the pages of the bundles that `network` is exported to.

    Raises:
        CapabilityError, MissingBackendError, LoweringError, OutputError, ImageError: see their docstrings.
        ConfigurationError: the network does not do what its specification says.
        ContractError: the guard is damaged, or of another kind of picture.
        ParityError: a gate was breached.
    """
    require_exportable([target], precision, spectral)
    form = spectral_form(network, target, spectral)
    require_free(out)
    if guard is not None:
        require_guard_fits(read_guard(guard), spec.channels, str(guard))
    require_sound_network(network, spec)
    spec = spec.of(network)
    exporter = target.make_exporter()
    with output_folder(out.parent), staged_folder(out, BUNDLE) as stage:
        notify("lowering", 0, 0)
        began = time.perf_counter()
        lowering: SpectralLowering = target.default_lowering if form == "none" else form
        request = LoweringRequest(network, spec, precision, lowering, artifact_metadata(spec))
        with quiet_copies():
            artifact = exporter.export(request, stage)
        lowering_seconds = time.perf_counter() - began
        contract = draft_contract(target.name, exporter.interface, spec, precision, form, artifact)
        if guard is not None:
            write_bytes(stage / GUARD_FILE, guard.read_bytes())
        reference = reference or Reference(network, spec.preprocessing)
        golden = choose_golden(reference, spec, images, GOLDEN_COUNT)
        stamp = {"device": reference_device(), "weights_sha256": spec.weights_sha256, **tool_versions()}
        write_golden(stage / GOLDEN_FILE, golden, stamp)
        answers = EdgeAnswers(golden)
        report = measure_parity(
            Bundle(stage, contract),
            network,
            spec,
            images,
            lambda done, total: notify("parity", done, total),
            limit=limit,
            reference=reference,
            observe=answers,
        )
        write_json(stage / PARITY_FILE, report.to_dict())
        write_bytes(stage / PAGE_FILE, bundle_page(contract, report, out.name, guarded=guard is not None).encode())
        proved = parity_entry(report)
        whole = Bundle(stage, seal_contract(contract, stage, proved))
        page = (pages or ExportPages(network, spec)).page(whole, out.name, report, golden, answers)
        write_bytes(stage / REPORT_FILE, page.encode())
        contract = seal_contract(contract, stage, proved)
        write_json(stage / CONTRACT_FILE, contract.values)
        try:
            report.require_passed()
        except ParityError as error:
            failed = failed_folder(out)
            publish_folder(stage, failed, BUNDLE)
            raise ParityError(
                error.cause,
                f"Nothing was published; the artifact and its figures are in {failed}, s2m-edge report shows them.",
            ) from None
        publish_folder(stage, out, BUNDLE)
    return ExportResult(out, contract.values["artifact"]["bytes"], lowering_seconds, report)


def export_targets(
    targets: Sequence[Target],
    network: nn.Module,
    spec: NetworkSpec,
    *,
    precision: Precision = DEFAULT_PRECISION,
    spectral: SpectralLowering | None = None,
    images: Sequence[Path],
    out: Path,
    limit: int | None = None,
    guard: Path | None = None,
    notify: Notify = ignore_progress,
) -> tuple[list[ExportResult], list[S2MEdgeError]]:
    """One bundle for each target, in the folder `out`. A target that fails does not keep the others from being made.

    Everything that can be refused is refused before the first is lowered. Arguments as in `export_bundle`.

    Returns:
        What was published, and why the others were not: breached gates, and networks that a target cannot lower.
    """
    require_exportable(targets, precision, spectral)
    with output_folder(out):
        require_sound_network(network, spec)
        folders = {
            target.name: out / bundle_name(spec, target, precision, spectral_form(network, target, spectral))
            for target in targets
        }
        for folder in folders.values():
            require_free(folder)
        results: list[ExportResult] = []
        failures: list[S2MEdgeError] = []
        reference, pages = Reference(network, spec.preprocessing), ExportPages(network, spec)
        for target in targets:
            try:
                result = export_bundle(
                    target,
                    network,
                    spec,
                    precision=precision,
                    spectral=spectral,
                    images=images,
                    out=folders[target.name],
                    limit=limit,
                    guard=guard,
                    notify=lambda step, done, total, name=target.name: notify(f"{name}, {step}", done, total),
                    reference=reference,
                    pages=pages,
                )
            except (ParityError, LoweringError) as error:  # the other targets are still worth having
                interrupts.heed(error)
                if len(targets) == 1:
                    raise
                failures.append(error)
                continue
            results.append(result)
    return results, failures


def parity_entry(report: ParityReport) -> dict[str, Any]:
    """The contract's `parity`: the gate, and the worst of what was measured; a figure that is not finite is null."""
    values = report.to_dict()
    figures = {key: value for key, value in values["summary"].items() if isinstance(value, int | float)}
    figures.pop("median_milliseconds", None)
    return {
        "passed": values["passed"],
        "verdict": values["verdict"],
        "images": values["image_count"],
        "images_with_foreground": values["images_with_foreground"],
        "gate": values["gate"],
        "figures": {key: value if math.isfinite(value) else None for key, value in figures.items()},
    }


def artifact_metadata(spec: NetworkSpec) -> dict[str, str]:
    """Short texts for the formats that have a place for them."""
    dataset = dataset_title(str(spec.provenance.get("dataset", "unknown")))
    return {
        "name": f"{spec.architecture} ({spec.name})",
        "description": f"{spec.architecture} segmentation, trained on {dataset}. {NOTICE}",
        "notice": NOTICE,
        "intended_use": INTENDED_USE,
        "weights_sha256": spec.weights_sha256,
        "s2m_edge_version": tool_versions()["s2m-edge"],
        "licence": "MIT (software); see the checkpoint's card for the data",
        "classes": ",".join(entry.name for entry in spec.classes),
    }
