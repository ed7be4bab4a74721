"""The bundle that an app starts from: found where it was exported before, or exported there, parity gate included."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s2m_edge.deploy.contract import CONTRACT_FILE
from s2m_edge.deploy.precision import DEFAULT_PRECISION, Precision, SpectralForm, SpectralLowering
from s2m_edge.errors import S2MEdgeError

if TYPE_CHECKING:
    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.deploy.bundle import Bundle
    from s2m_edge.targets.registry import Target

EXPORTS = Path("exports")
Notify = Callable[[str, int, int], None]


def find_or_export_bundle(
    target: str,
    checkpoint: str | Path | None = None,
    precision: Precision = DEFAULT_PRECISION,
    *,
    spectral: SpectralLowering | None = None,
    size: int | None = None,
    folder: Path = EXPORTS,
    images: Sequence[Path] = (),
    notify: Notify = lambda step, done, total: None,
) -> Bundle:
    """The bundle of a checkpoint in `folder`, its hashes checked; exported first where there is none that is whole.

    Args:
        target: a name of the registry.
        checkpoint: a file, or the name of a bundled one; the polyp network by default. For int8, a quantized one, or
            a bundled one that has a quantized form.
        spectral: the target's default lowering if left out.
        size: input size in pixels; the checkpoint's own by default.
        folder: holds one folder per bundle, whatever their names.
        images: real images for the parity gate of an export; the bundled ones of the checkpoint's domain by default.
        notify: called with an export's step, images done and in all; not at all where the bundle is found.

    Raises:
        CapabilityError, CheckpointError, MissingBackendError, LoweringError, OutputError: see their docstrings.
        ParityError: the gate was breached; nothing is published.
    """
    from s2m_edge.checkpoint import checkpoint_for
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.targets.registry import find_target

    entry = find_target(target)
    lowering: SpectralLowering = spectral or entry.default_lowering
    entry.require_capability(precision, lowering)
    header = checkpoint_for(checkpoint, precision)
    form: SpectralForm = lowering if header.config.mixer_stages else "none"
    wanted_size = header.config.size if size is None else size
    found = find_bundle(folder, entry, header, precision, form, wanted_size)
    if found is None:
        out = _export(entry, header, precision, form, wanted_size, folder, images, notify)
        found = open_bundle(out)
    return found


def find_bundle(
    folder: Path,
    target: Target,
    header: CheckpointHeader,
    precision: Precision,
    spectral: SpectralForm,
    size: int,
) -> Bundle | None:
    """The first bundle in `folder`, by name, that is of this checkpoint and kind, is whole, and passed its gate."""
    from s2m_edge.checkpoint import network_spec
    from s2m_edge.deploy.bundle import open_bundle

    wanted = network_spec(header, size).preprocessing
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not (path / CONTRACT_FILE).is_file():
            continue
        try:
            bundle = open_bundle(path, verify=False)
            values = bundle.contract.values
            kind = (values["target"], values["precision"], values["spectral"])
            same = kind == (target.name, precision, spectral) and bundle.contract.preprocessing == wanted
            if same and bundle.contract.weights_sha256 == header.weights_sha256:
                return open_bundle(path)
        except S2MEdgeError:  # damaged, or from a newer version: as good as not there
            continue
    return None


def _export(
    target: Target,
    header: CheckpointHeader,
    precision: Precision,
    spectral: SpectralForm,
    size: int,
    folder: Path,
    images: Sequence[Path],
    notify: Notify,
) -> Path:
    from s2m_edge.checkpoint import guard_beside, load_network, network_spec
    from s2m_edge.files import require_writable
    from s2m_edge.targets.export import bundle_name, export_bundle, require_free

    target.require_backend()
    require_writable(folder)
    spec = network_spec(header, size)
    out = folder / bundle_name(spec, target, precision, spectral)
    require_free(out)

    from s2m_edge.samples import sample_images

    notify("loading the checkpoint", 0, 0)
    network = load_network(header, size=size)
    pictures = images or sample_images(header.provenance.get("domain")) or sample_images(None)
    export_bundle(
        target,
        network,
        spec,
        precision=precision,
        spectral=None if spectral == "none" else spectral,
        images=pictures,
        out=out,
        guard=guard_beside(header),
        notify=notify,
    )
    return out
