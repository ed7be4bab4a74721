"""References recorded on the device, and the parity of bundles against them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from s2m_edge.errors import S2MEdgeError, in_one_line
from s2m_edge.opened_network import OpenedNetwork, checkpoint_of, open_checkpoint


def record_once(opened: OpenedNetwork, folder: Path, device: str, pictures: int) -> Path:
    """A network's reference in `folder` by this device and these versions, recorded where there is none yet.

    Raises:
        S2MEdgeError: it cannot be recorded or written, or a file of the folder is damaged.
    """
    from s2m_edge.deploy.recording import fitted_pictures, record_reference, stamp_of
    from s2m_edge.deploy.reference_store import keep_record, stored_records
    from s2m_edge.samples import images_or_samples

    images = images_or_samples(None, opened.domain)[:pictures]
    stamp = stamp_of(opened.network, opened.spec, fitted_pictures(opened.spec, images), device)
    known = (path for path, record in stored_records(folder) if record.stamp == stamp)
    found = next(known, None)
    return found or keep_record(folder, record_reference(opened.network, opened.spec, images, device))


def record_references(folder: Path, device: str, pictures: int, names: tuple[str, ...]) -> dict[str, Any]:
    """Records of bundled networks: file, pictures, largest probability difference from float64 on the CPU."""
    from s2m_edge.deploy.reference_store import read_record

    values: dict[str, Any] = {}
    for name in names:
        path = record_once(open_checkpoint(name), folder, device, pictures)
        record = read_record(path)
        values[name] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "pictures": len(record.golden),
            "device": record.device,
            "difference from float64": record.float64_error,
        }
    return values


def measure_bundles(bundles: Path, folder: Path, device: str, pictures: int) -> tuple[dict[str, Any], list[str]]:
    """Parity of every bundle found under a folder with the reference of its own network on the device.

    Returns:
        Values by bundle, and one line for each that fails a gate or cannot be measured here.
    """
    from s2m_edge.deploy.contract import CONTRACT_FILE

    values: dict[str, Any] = {}
    failures: list[str] = []
    for contract in sorted(bundles.rglob(CONTRACT_FILE)):
        name = contract.parent.relative_to(bundles).as_posix()
        try:
            values[name] = _parity(contract.parent, folder, device, pictures)
            if values[name]["breaches"]:
                failures.append(f"{name}: {values[name]['breaches']}")
        except S2MEdgeError as error:
            failures.append(f"{name}: {error}")
        except Exception as error:  # a runtime made for another PyTorch raises anything
            failures.append(f"{name}: {in_one_line(error)}")
    if not values and not failures:
        failures.append(f"{bundles} holds no bundle")
    return values, failures


def _parity(bundle: Path, folder: Path, device: str, pictures: int) -> dict[str, Any]:
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.deploy.reference_store import read_record
    from s2m_edge.targets.measure.parity.measure import measure_parity
    from s2m_edge.targets.opening import target_of

    opened = open_bundle(bundle, proved=False)
    target_of(opened).require_backend()
    source = open_checkpoint(checkpoint_of(opened), opened.contract.preprocessing.height)
    source.require_origin_of(opened)
    record = read_record(record_once(source, folder, device, pictures))
    report = measure_parity(opened, source.network, source.spec, [], lambda done, total: None, None, record, None)
    return {"passed": report.passed, "breaches": "; ".join(report.breaches), "report": report.to_dict()}
