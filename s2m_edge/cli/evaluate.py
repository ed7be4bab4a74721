"""`s2m-edge evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2m_edge.cli.opening import NetworkOption, SpecOption, WeightsOption
from s2m_edge.cli.options import BUNDLED, PRESET_HELP, JsonOption, LabelsOption, MaxPixelsOption, finite

if TYPE_CHECKING:
    from rich.table import Table

    from s2m_edge.checkpoint import CheckpointHeader
    from s2m_edge.targets.measure.evaluation.predictors import Predictor

IMAGE, PATIENT = "image", "patient"


def evaluate(
    data: Annotated[Path, typer.Option(help="Image folder: images/, masks/, split.csv; or see --preset.")],
    model: Annotated[
        Path | None,
        typer.Argument(metavar="CHECKPOINT|BUNDLE", help=f"Checkpoint (file, or {BUNDLED}), or bundle folder."),
    ] = None,
    network: NetworkOption = None,
    weights: WeightsOption = None,
    spec: SpecOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    all_images: Annotated[
        bool, typer.Option("--all-images", help="Every image with its mask, also of a folder without split.csv.")
    ] = False,
    preset: Annotated[str | None, typer.Option(help=PRESET_HELP)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; evaluation/NAME-SPLIT by default.", show_default=False)
    ] = None,
    augment: Annotated[bool, typer.Option("--augment", help="Average over 4 rotations, each also mirrored.")] = False,
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--stretch",
            help="Slide over pictures at native resolution, or stretch them; as the network was trained by default.",
        ),
    ] = None,
    field_of_view: Annotated[
        bool,
        typer.Option("--field-of-view", help="Score only inside the field of view (fundus photographs)."),
    ] = False,
    size: Annotated[int | None, typer.Option(help="Input size of a checkpoint; its own by default.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Probability that counts as foreground; the contract's by default.", min=0, max=1, callback=finite
        ),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Of the surface Dice, in pixels.", min=0, callback=finite)] = 2.0,
    limit: Annotated[int | None, typer.Option(help="Only the first images of the split.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Of a checkpoint: cpu, cuda, or auto (a GPU where there is one); cpu by default."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help="image, or patient: also Dice and volumes of whole patients, and intervals over patients; whose an "
            "image is says the column patient of split.csv, the preset, or DICOM."
        ),
    ] = "image",
    record: Annotated[
        bool, typer.Option("--record", help="Write the mean Dice into the checkpoint's provenance.")
    ] = False,
    as_json: JsonOption = False,
    labels: LabelsOption = None,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Score a checkpoint or a bundle on labelled images: Dice, IoU, precision, recall, HD95, surface Dice.

    Writes metrics.csv (each image and class), metrics.json (means with 95 % intervals, conventions, hashes) and
    worst.png (the worst ten) to --out. With --by patient also patients.csv and bland-altman.png.
    """
    from s2m_edge import console
    from s2m_edge.cli.opening import require_one_source
    from s2m_edge.files import require_replaceable, require_writable
    from s2m_edge.targets.measure.evaluation.evaluate import ALL_IMAGES, evaluate_samples, split_samples
    from s2m_edge.targets.measure.evaluation.patients import group_by_patient
    from s2m_edge.targets.measure.evaluation.predictors import augmented
    from s2m_edge.targets.measure.evaluation.report import (
        EVALUATION,
        Subject,
        publish_report,
        record_figures,
        report_values,
    )
    from s2m_edge.train.data.sample import parse_labelling

    split = ALL_IMAGES if all_images else split
    samples = split_samples(data, split, preset, parse_labelling(labels))
    require_one_source(network, weights, spec, model)
    if network is None:
        predictor, header = _open(model, size, threads, device)
    else:
        predictor, header = _open_network(network, weights, spec, size, threads, device), None
    if threshold is not None:
        predictor = predictor.with_threshold(threshold)
    _require_by(by, record)
    recorded = _require_recordable(header, limit, size, threshold, all_images) if record else None
    if window is not None:
        predictor = predictor.with_window(window)
    how = {"window": predictor.windowed, "augmented": augment, "field-of-view": field_of_view}
    name = "-".join([predictor.name, split, *(word for word, chosen in how.items() if chosen)])
    folder = out if out is not None else Path("evaluation") / name
    require_replaceable(folder, EVALUATION)
    # Only what is there already is tried, so that an interrupted evaluation leaves not even an empty folder.
    require_writable(next(parent for parent in folder.absolute().parents if parent.exists()))
    chosen = samples[:limit]
    if len(chosen) < len(samples):
        console.print_warning(f"only the first {len(chosen)} of {len(samples)} images of {split}")
    grouping = group_by_patient(chosen) if by == PATIENT else None
    if augment:
        predictor = augmented(predictor)
    subject = Subject(predictor, preset or data.resolve().name, split, len(samples), tolerance, augment, grouping)
    with console.progress_bar(f"evaluate {predictor.name}") as update:
        evaluation = evaluate_samples(predictor, chosen, tolerance, update, field_of_view)
    recording = None
    if recorded is not None:
        subject, recording = record_figures(subject, evaluation, recorded)
    values = report_values(subject, evaluation)
    if not as_json:  # first: it took long, and a disk that is full by now must not cost it
        console.output.print(_title(values))
        console.output.print(f"{predictor.title}: {predictor.device} ({predictor.verdict})")
        console.output.print(_table(values), soft_wrap=False)
        if grouping is not None:
            console.output.print(_patient_table(values["patients"]), soft_wrap=False)
            if values["patients"]["remark"]:
                console.output.print(values["patients"]["remark"])
    try:
        values = publish_report(subject, evaluation, folder)
        if recording is not None:
            recording.write()
    finally:
        if as_json:
            console.print_json({"out": str(folder), **values})
    if not as_json:
        console.output.print(f"report: {folder}")


def _open_network(
    network: str, weights: Path | None, spec: Path | None, size: int | None, threads: int | None, device: str | None
) -> Predictor:
    from s2m_edge.cli.opening import open_users_network
    from s2m_edge.devices import choose_device
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.targets.measure.evaluation.predictors import network_predictor

    if size is not None:
        raise ConfigurationError("--size belongs to checkpoints", "Write height and width into the specification.")
    chosen = choose_device(device or "cpu")
    opened = open_users_network(network, weights, spec)
    return network_predictor(opened.network, opened.spec, threads, chosen)


def _open(
    model: Path | None, size: int | None, threads: int | None, device: str | None
) -> tuple[Predictor, CheckpointHeader | None]:
    """The predictor of a checkpoint file or a bundle folder, and the checkpoint's header.

    The CPU is the default even where there is a GPU: a figure must not depend on whether a machine has one.
    """
    from s2m_edge.checkpoint import locate_model
    from s2m_edge.cli.opening import open_checkpoint
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.devices import choose_device
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.targets.measure.evaluation.predictors import bundle_predictor, network_predictor

    header: CheckpointHeader | None = None
    if model is None:
        raise ConfigurationError("no model was given", "Name a checkpoint or a bundle, or give --network.")
    model = locate_model(model)
    if model.is_dir():
        if size is not None:
            raise ConfigurationError("a bundle has the size that it was exported for", "Leave --size out.")
        if device is not None:
            raise ConfigurationError("a bundle runs on its own runtime's device", "Leave --device out.")
        predictor = bundle_predictor(open_bundle(model, proved=False), threads)
    else:
        chosen = choose_device(device or "cpu")
        opened = open_checkpoint(model, size)
        header = opened.header
        predictor = network_predictor(opened.network, opened.spec, threads, chosen)
    return predictor, header


def _require_recordable(
    header: CheckpointHeader | None, limit: int | None, size: int | None, threshold: float | None, all_images: bool
) -> CheckpointHeader:
    """Refuse, before any work, to record a figure that is not the checkpoint's own on the whole split."""
    from s2m_edge.checkpoint import is_bundled
    from s2m_edge.errors import ConfigurationError
    from s2m_edge.files import require_writable

    if header is None:
        raise ConfigurationError("only a checkpoint has a provenance to record figures in", "Leave --record out.")
    if all_images or limit is not None or threshold is not None or (size is not None and size != header.config.size):
        raise ConfigurationError(
            "--record is for the whole split at the checkpoint's own size and threshold",
            "Leave --limit, --size, --threshold and --all-images out, or --record.",
        )
    if is_bundled(header.path):
        raise ConfigurationError(
            f"{header.path.name} is the bundled checkpoint, which every command uses",
            f"Copy it first, and record in the copy: cp {header.path} .",
        )
    require_writable(header.path.resolve().parent)
    return header


def _require_by(by: str, record: bool) -> None:
    """Raise ConfigurationError before any work that --by could not use."""
    from s2m_edge.errors import ConfigurationError

    if by not in (IMAGE, PATIENT):
        raise ConfigurationError(f"there are no figures by {by!r}", f"Choose --by {IMAGE} or {PATIENT}.")
    if by == PATIENT and record:
        raise ConfigurationError("--record is for figures of images", "Leave --by patient out, or --record.")


def _patient_table(patients: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{patients['count']} patients", title_justify="left")
    table.add_column("of whole patients", overflow="fold")
    for heading in ("mean", "95 % interval", "median"):
        table.add_column(heading, justify="right", no_wrap=True)
    several = len(patients["classes"]) > 1
    rows = [("Dice, mean of the classes", patients["dice"], 3)] if several else []
    for entry in patients["classes"]:
        mark = f"{entry['name']}: " if several else ""
        rows.append((f"{mark}Dice", entry["dice"], 3))
        if entry["volume_error_percent"] is not None:
            rows.append((f"{mark}volume error (%)", entry["volume_error_percent"], 1))
    for name, figures, digits in rows:
        interval = figures["mean_interval"]
        table.add_row(
            name,
            _number(figures["mean"], digits),
            " to ".join(_number(end, digits) for end in interval) if interval else "-",
            _number(figures["median"], digits),
        )
    for entry in patients["classes"]:
        found = entry["bland_altman"]
        limits = found["limits_of_agreement"]
        mark = f"{entry['name']}: " if several else ""
        table.add_row(
            f"{mark}volume, bias and limits of agreement ({found['unit']})",
            f"{found['bias']:.4g}",
            " to ".join(f"{end:.4g}" for end in limits) if limits else "-",
            "",
        )
    return table


def _title(values: dict[str, Any]) -> str:
    data = values["data"]
    limited = f"the first {data['images']} of {data['images_in_split']}"
    images = data["images"] if data["images"] == data["images_in_split"] else limited
    settings = values["settings"]
    how = ", sliding window" if settings["window"] else ""
    how += ", eight-fold augmentation" if settings["augment"] else ""
    how += _field(settings["field_of_view"])
    return f"{values['model']['name']} on {data['name']}, {data['split']}: {images} images{how}"


def _field(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    origins = ", ".join(f"{found[origin]} {origin}" for origin in ("published", "estimated") if found[origin])
    return f", inside the field of view ({origins}; {found['mean_share']:.0%} of an image)"


def _table(values: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from s2m_edge.notice import NOTICE
    from s2m_edge.targets.measure.evaluation.metrics import METRICS

    classes = values["classes"]
    groups = [("", values["metrics"])]
    if len(classes) > 1:
        groups = [("mean of the classes", values["metrics"]), *((entry["name"], entry["metrics"]) for entry in classes)]
    table = Table(box=box.SIMPLE_HEAD, caption=NOTICE, caption_justify="left", pad_edge=False)
    table.add_column("metric", overflow="fold")
    for heading in ("mean", "95 % interval", "median"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, figures in groups:
        if name:
            table.add_section()
            table.add_row(Text(name, style="bold"))
        for metric in METRICS:
            entry = figures[metric.name]
            interval = entry["mean_interval"]
            table.add_row(
                f"{metric.title}{f', undefined in {undefined}' if (undefined := entry['undefined']) else ''}",
                _number(entry["mean"], metric.digits),
                " to ".join(_number(end, metric.digits) for end in interval) if interval else "-",
                _number(entry["median"], metric.digits),
            )
    return table


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
