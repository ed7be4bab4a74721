"""`s2m-edge export`, `evaluate` and `parity` as functions; docs/python.md has all of the surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge.checkpoint import guard_beside, locate_model
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.precision import DEFAULT_PRECISION, Precision, SpectralLowering
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.errors import ConfigurationError, ContractError
from s2m_edge.notice import NOTICE
from s2m_edge.opened_network import OpenedNetwork, checkpoint_of, open_checkpoint, open_model
from s2m_edge.samples import images_or_samples
from s2m_edge.targets.export import export_targets, require_exportable
from s2m_edge.targets.measure.evaluation.evaluate import Evaluation, evaluate_samples, split_samples
from s2m_edge.targets.measure.evaluation.metrics import DEFAULT_TOLERANCE
from s2m_edge.targets.measure.evaluation.predictors import Predictor, augmented, bundle_predictor, network_predictor
from s2m_edge.targets.measure.evaluation.report import Subject, publish_report, report_values, summarise_images
from s2m_edge.targets.measure.parity.measure import measure_parity
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.targets.opening import target_of
from s2m_edge.targets.registry import find_target
from s2m_edge.texts import printable
from s2m_edge.train.data.sample import parse_labelling

if TYPE_CHECKING:
    from torch import nn


def export(
    model: nn.Module | Path | str,
    spec: NetworkSpec | None = None,
    *,
    target: str,
    images: Sequence[Path | str] | Path | str | None = None,
    out: Path | str = "exports",
    precision: Precision = DEFAULT_PRECISION,
    spectral: SpectralLowering | None = None,
    guard: Path | str | None = None,
    limit: int | None = None,
) -> Bundle:
    """Lower any segmentation network to one target and prove it; the bundle is in the folder `out`.

    Args:
        model: a module that gives logits B x outputs x height x width of a normalised image B x channels x height x
            width; or a checkpoint of S2M-Net, a file or the name of a bundled one.
        spec: what a module says of itself, see `s2m_edge.make_spec` and `s2m_edge.read_spec`; a checkpoint brings its
            own.
        target: a name of the registry, see `s2m-edge targets`.
        images: image files, or a folder of them, that show the object: the parity gate is measured on them. Bundled
            samples by default.
        precision: a quantized one takes a network of `s2m_edge.quantize.network.quantize_network`.
        guard: a file of `s2m-edge guard`: what the network's training pictures look like; a checkpoint's own by
            default.
        limit: how many images the gate takes; as many as the target's takes by default.

    Raises:
        S2MEdgeError: what cannot be done, with its remedy; nothing is left half-written.
        ParityError: a gate was breached.
    """
    chosen = find_target(target)
    require_exportable([chosen], precision, spectral)
    opened = open_model(model, spec, precision)
    if guard is None and opened.header is not None:
        guard = guard_beside(opened.header)
    results, _ = export_targets(
        [chosen],
        opened.network,
        opened.spec,
        precision=precision,
        spectral=spectral,
        images=images_or_samples(images, opened.domain),
        out=Path(out),
        limit=limit,
        guard=None if guard is None else Path(guard),
    )
    return open_bundle(results[0].folder)


@dataclass(frozen=True, repr=False)
class Scores:
    """What an evaluation found. Printed, it is one line of figures and the notice.

    Attributes:
        subject: what was evaluated, on what, and how.
        evaluation: each image's figures, and the worst images.
    """

    subject: Subject
    evaluation: Evaluation

    def mean(self, metric: str = "dice") -> float | None:
        """Over the images where it is defined: dice, iou, precision, recall, hd95, surface_dice; None where nowhere.

        Raises:
            ConfigurationError: there is no such metric.
        """
        found = summarise_images(self.evaluation)
        if metric not in found:
            raise ConfigurationError(f"there is no metric {metric!r}", f"Choose {', '.join(found)}.")
        return found[metric].mean

    def to_dict(self) -> dict[str, Any]:
        """JSON values, as metrics.json holds them."""
        return report_values(self.subject, self.evaluation)

    def write(self, folder: Path | str) -> None:
        """Write metrics.csv, metrics.json and worst.png into a folder, replacing an earlier evaluation there.

        Raises:
            OutputError: the place cannot be written, or holds something else.
        """
        publish_report(self.subject, self.evaluation, Path(folder))

    def __repr__(self) -> str:
        subject = self.subject
        figures = ", ".join(
            f"{name} {'-' if found.mean is None else format(found.mean, '.3f')}"
            for name, found in summarise_images(self.evaluation).items()
        )
        images = f"{len(self.evaluation.images)} of {subject.available} images of {subject.split}"
        text = f"{subject.predictor.name} on {subject.data}, {images}: {figures}. {NOTICE}"
        return f"<{type(self).__name__} {printable(text)}>"


def evaluate(
    model: nn.Module | Path | str,
    data: Path | str,
    *,
    spec: NetworkSpec | None = None,
    split: str = "test",
    preset: str | None = None,
    labels: str | None = None,
    window: bool | None = None,
    field_of_view: bool = False,
    augment: bool = False,
    threshold: float | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    limit: int | None = None,
    threads: int | None = None,
) -> Scores:
    """Score a network or a bundle on labelled images, as `s2m-edge evaluate` does; writes nothing.

    Args:
        model: a bundle's folder, a checkpoint (a file, or the name of a bundled one), or a module with its `spec`.
        data: an image folder (images/, masks/, split.csv), or with `preset` a published data set.
        labels: what masks hold, if not plain labels, like "#00ff00=1".
        window: slide over pictures, or stretch them; as the network was trained by default.
        field_of_view: score only inside it (fundus photographs).
        augment: average over rotations and reflections.
        threshold: in [0, 1], of one class; the model's own by default.
        tolerance: of the surface Dice, in pixels.
        limit: only the first so many images of the split.

    Raises:
        S2MEdgeError: what cannot be read or run, with its remedy.

    Example:
        >>> scores = evaluate(bundle, data, limit=1)
        >>> 0 <= scores.mean("dice") <= 1
        True
    """
    samples = split_samples(Path(data), split, preset, parse_labelling(labels))
    if limit is not None and limit < 1:
        raise ConfigurationError(f"the limit is {limit}", "Give at least 1, or None for all.")
    predictor = _predictor(model, spec, threads)
    if threshold is not None:
        predictor = predictor.with_threshold(threshold)
    if window is not None:
        predictor = predictor.with_window(window)
    if augment:
        predictor = augmented(predictor)
    subject = Subject(predictor, preset or Path(data).resolve().name, split, len(samples), tolerance, augment)
    return Scores(
        subject, evaluate_samples(predictor, samples[:limit], tolerance=tolerance, field_of_view=field_of_view)
    )


def _predictor(model: nn.Module | Path | str, spec: NetworkSpec | None, threads: int | None) -> Predictor:
    path = locate_model(model) if isinstance(model, str | Path) else None
    if path is not None and path.is_dir():
        if spec is not None:
            raise ConfigurationError("a bundle brings its contract", "Leave spec out.")
        return bundle_predictor(open_bundle(path, proved=False), threads)
    opened = open_model(model, spec)
    return network_predictor(opened.network, opened.spec, threads)


def parity(
    bundle: Bundle | Path | str,
    *,
    model: nn.Module | Path | str | None = None,
    spec: NetworkSpec | None = None,
    images: Sequence[Path | str] | Path | str | None = None,
    limit: int | None = None,
    threads: int | None = None,
) -> ParityReport:
    """Compare a bundle's artifact with its network in PyTorch on real images, as `s2m-edge parity` does.

    The report says whether the gate holds (`passed`, `breaches`); `require_passed` raises where it does not.

    Args:
        bundle: a folder, or what `s2m_edge.export` gave.
        model: what it was exported from: a checkpoint, or a module with its `spec`; a bundled checkpoint with the same
            weights by default. Of a quantized bundle, the quantized network.
        images: files, or a folder of them; bundled samples by default.
        limit: how many images are taken; as many as the target's gate takes by default.

    Raises:
        S2MEdgeError: what cannot be read or run, or another network's, with its remedy.

    Example:
        >>> report = parity(bundle, model=checkpoint, images=[picture])
        >>> report.passed, report.verdict
        (True, 'executed')
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(Path(bundle), proved=False)
    target_of(opened).require_backend()
    source = _source(opened, model, spec)
    if source.spec.weights_sha256 != opened.contract.weights_sha256:
        raise ContractError(
            f"{opened.folder} was proved against a quantized network, and this is the float one",
            "Give the one that was exported; evaluate compares the float one.",
        )
    pictures = images_or_samples(images, source.domain)
    return measure_parity(opened, source.network, source.spec, pictures, limit=limit, threads=threads)


def _source(bundle: Bundle, model: nn.Module | Path | str | None, spec: NetworkSpec | None) -> OpenedNetwork:
    if model is None or isinstance(model, str | Path):
        if spec is not None:
            raise ConfigurationError("a specification belongs to a module", "Give model, or leave spec out.")
        source = open_checkpoint(checkpoint_of(bundle, model), bundle.contract.preprocessing.height)
    else:
        source = open_model(model, spec)
    source.require_origin_of(bundle)
    return source
