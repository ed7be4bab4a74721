"""Exporting: checkpoint to bundle, with the parity gate between lowering and publishing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.checkpoint import QUANTIZED_SUFFIX
from s2m_edge.contract import CONTRACT_FILE, INTENDED_USE, NOTICE, default_classes
from s2m_edge.errors import OutputError, ParityError
from s2m_edge.files import publish_folder, staged_folder, write_json
from s2m_edge.imaging.preprocess import fit_to_network
from s2m_edge.imaging.read import read_image
from s2m_edge.precision import Precision, SpectralLowering
from s2m_edge.reference import GOLDEN_FILE, record_golden, reference_device, write_golden
from s2m_edge.targets.base import LoweringRequest
from s2m_edge.targets.bundle import Bundle, make_contract, preprocessing_for
from s2m_edge.targets.parity.measure import measure_parity
from s2m_edge.targets.parity.report import PARITY_FILE, ParityReport
from s2m_edge.targets.registry import Target
from s2m_edge.versions import tool_versions

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.model import S2MNet

GOLDEN_COUNT = 3
Notify = Callable[[str, int, int], None]


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


def bundle_name(header: CheckpointHeader, target: Target, size: int, precision: str, spectral: str) -> str:
    """Folder name of a bundle: checkpoint, target and precision, and whatever is not the default."""
    stem = header.path.stem
    # The checkpoint's name says "int8" already; the bundle's says it once.
    parts = [stem.removesuffix(QUANTIZED_SUFFIX) if precision == "int8" else stem, target.name, precision]
    if size != header.config.size:
        parts.insert(1, str(size))
    if spectral != target.default_lowering:
        parts.append(spectral)
    return "-".join(parts)


def require_replaceable(folder: Path, marker: str = CONTRACT_FILE, kind: str = "a bundle") -> None:
    """Raise OutputError if `folder` holds something that would be lost: a folder of our `kind` has a file `marker`."""
    occupied = folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / marker).is_file())
    if occupied:
        raise OutputError(f"{folder} exists and is not {kind}", "Remove it, or choose another place with --out.")


def export_bundle(
    target: Target,
    model: S2MNet,
    header: CheckpointHeader,
    *,
    precision: Precision,
    spectral: SpectralLowering,
    images: Sequence[Path],
    out: Path,
    limit: int | None = None,
    notify: Notify = lambda step, done, total: None,
) -> ExportResult:
    """Lower `model`, prove parity on `images` with the artifact reloaded, and publish the bundle as `out`.

    Nothing appears at `out` unless the gates hold. An artifact that breaches one is kept as `out`.failed, to be
    examined; an interrupted export leaves nothing.

    Args:
        model: loaded from `header`'s checkpoint, possibly at another size.
        images: real images, at least one.
        limit: how many of them the gate takes, see `measure_parity`.
        notify: called with the step's name, images done and in all.

    Raises:
        CapabilityError, MissingBackendError, LoweringError, OutputError, ImageError: see their docstrings.
        ParityError: a gate was breached.
    """
    target.require_capability(precision, spectral)
    target.require_backend()
    require_replaceable(out)
    preprocessing = preprocessing_for(model.config)
    exporter = target.make_exporter()
    with staged_folder(out) as stage:
        notify("lowering", 0, 0)
        began = time.perf_counter()
        classes = default_classes(model.config.classes, tuple(header.provenance.get("class_names", ())))
        request = LoweringRequest(model, precision, spectral, preprocessing, artifact_metadata(header), classes)
        artifact = exporter.export(request, stage)
        lowering_seconds = time.perf_counter() - began
        contract = make_contract(target, exporter.interface, request, header, artifact)
        write_json(stage / CONTRACT_FILE, contract.values)
        pictures = [(path.name, fit_to_network(read_image(path), preprocessing)) for path in images[:GOLDEN_COUNT]]
        golden = record_golden(model, pictures, preprocessing, contract.threshold)
        stamp = {"device": reference_device(), "checkpoint_sha256": header.sha256, **tool_versions()}
        write_golden(stage / GOLDEN_FILE, golden, stamp)
        report = measure_parity(
            Bundle(stage, contract), model, images, lambda done, total: notify("parity", done, total), limit=limit
        )
        write_json(stage / PARITY_FILE, report.to_dict())
        try:
            report.require_passed()
        except ParityError as error:
            failed = out.with_name(f"{out.name}.failed")
            publish_folder(stage, failed)
            raise ParityError(
                error.cause, f"Nothing was published; the artifact and its figures are in {failed}."
            ) from None
        publish_folder(stage, out)
    return ExportResult(out, contract.values["artifact"]["bytes"], lowering_seconds, report)


def artifact_metadata(header: CheckpointHeader) -> dict[str, str]:
    """Short texts for the formats that have a place for them."""
    dataset = header.provenance.get("dataset", "unknown")
    return {
        "name": f"S2M-Net ({header.path.stem})",
        "description": f"S2M-Net segmentation, trained on {dataset}. {NOTICE}",
        "notice": NOTICE,
        "intended_use": INTENDED_USE,
        "checkpoint_sha256": header.sha256,
        "s2m_edge_version": tool_versions()["s2m-edge"],
        "licence": "MIT (software); see the checkpoint's card for the data",
        "classes": ",".join(header.provenance.get("class_names", ())),
    }
