"""The page itself: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s2m_edge.deploy.guard import GuardVerdict
from s2m_edge.deploy.spec import NetworkSpec
from s2m_edge.notice import INTENDED_USE, NOTICE
from s2m_edge.targets.measure.page.environment import page_environment
from s2m_edge.targets.measure.page.facts import BundleFacts, ShownInput
from s2m_edge.targets.measure.page.pictures import Tile, tiles
from s2m_edge.targets.measure.page.plots import error_plot, spectrum_plot
from s2m_edge.targets.measure.page.spectrum import StageSpectrum
from s2m_edge.targets.measure.parity.compare import ImageParity
from s2m_edge.targets.measure.parity.gates import GATES, gated_figures
from s2m_edge.targets.measure.parity.report import ParityReport
from s2m_edge.targets.measure.parity.table import is_timed, table_cells
from s2m_edge.targets.registry import find_target
from s2m_edge.texts import printable
from s2m_edge.versions import tool_versions

TEMPLATE = "report.html.j2"
SHOWN = 2
"""Recorded inputs that are drawn: the worst and a typical one."""
Row = tuple[str, str]


@dataclass(frozen=True)
class PageContent:
    """What a page is made of.

    Attributes:
        bundles: one section each.
        network: what they came from; None where it is not known.
        provenance: of its checkpoint.
        stages: its spectral filters; none of a network without.
        spectrum_images: how many pictures they were measured on.
        accuracy: what `s2m-edge gate --out` wrote; benchmark: what `s2m-edge benchmark --json` wrote.
        command: the line that made the page.
    """

    bundles: tuple[BundleFacts, ...]
    network: NetworkSpec | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[StageSpectrum, ...] = ()
    spectrum_images: int = 0
    accuracy: Mapping[str, Any] | None = None
    benchmark: Mapping[str, Any] | None = None
    command: str = ""

    @property
    def breaches(self) -> list[str]:
        """What of any bundle lies outside its gate, and of the accuracy."""
        found = [f"{entry.name}: {breach}" for entry in self.bundles for breach in entry.breaches]
        return [*found, *(str(breach) for breach in (self.accuracy or {}).get("breaches", []))]


def page_html(content: PageContent) -> str:
    """The page. What bundles and checkpoints say of themselves is text in it, whatever they say."""
    from markupsafe import Markup

    sections = [_section(facts, index) for index, facts in enumerate(content.bundles)]
    for section in sections:
        section["plot"] = Markup(section["plot"])  # drawn here, from numbers alone
    return (
        page_environment()
        .get_template(TEMPLATE)
        .render(
            title=_title(content),
            notice=NOTICE,
            intended_use=INTENDED_USE,
            verdicts=[(section["name"], section["verdict"], section["passed"]) for section in sections],
            sections=sections,
            overview=[
                table_cells(facts.report, facts.bundle.contract.values["artifact"]["bytes"])
                for facts in content.bundles
            ]
            if len(content.bundles) > 1
            else [],
            network=_network_rows(content),
            stages=content.stages,
            spectrum=spectrum_plot(content.stages) if content.stages else "",
            spectrum_images=content.spectrum_images,
            accuracy=None if content.accuracy is None else _accuracy(content.accuracy),
            benchmark=None if content.benchmark is None else _benchmark(content.benchmark),
            provenance=_provenance_rows(content.provenance),
            command=content.command,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            made_with=", ".join(f"{name} {version}" for name, version in tool_versions().items()),
        )
    )


def _title(content: PageContent) -> str:
    names = [facts.name for facts in content.bundles]
    if len(names) == 1:
        return printable(names[0])
    return printable(content.network.name if content.network is not None else f"{len(names)} bundles")


# One bundle


def verdict_sentence(facts: BundleFacts) -> str:
    """What was proved and on what, in one sentence."""
    report = facts.report
    target = find_target(report.target)
    subject = f"{target.title}, {report.precision}"
    if facts.breaches:
        more = len(facts.breaches) - 1
        return f"{subject} FAILED its gate: {facts.breaches[0]}{f' ({more} more)' if more else ''}."
    summary = report.to_dict()["summary"]
    count = len(report.images)
    pictures = "one picture" if count == 1 else f"{count} pictures"
    least = summary["min_mask_agreement"]
    labels = "every pixel has" if least == 1 else f"at least {least:.3%} of the pixels have"
    answer = (
        f"on {pictures} the largest error of a probability is {summary['max_probability_error']:.1e}, and {labels} the "
        "network's label"
    )
    if report.verdict == "executed":
        return f"{subject} gives the network's answer: {answer}."
    if report.verdict == "artifact parity":
        return f"{subject} was evaluated, and not run on its device: {answer}."
    return f"{subject} was converted, and not executed: no figure here is of a device."


def _section(facts: BundleFacts, index: int) -> dict[str, Any]:
    bundle, report = facts.bundle, facts.report
    values = bundle.contract.values
    run = [entry for entry in facts.shown if entry.parity is not None]
    chosen = _worst_and_typical(run) if run else [(entry, "") for entry in facts.shown[:SHOWN]]
    pictures: list[dict[str, Any]] = []
    for entry, role in chosen:
        pictures.append(
            {
                "name": printable(entry.golden.name),
                "role": role,
                "figures": "" if entry.parity is None else _picture_figures(entry.parity),
                "guard": "" if entry.guard is None else _guard_figures(entry.guard),
                "tiles": list[Tile](tiles(entry, bundle.contract.classes, bundle.contract.threshold)),
            }
        )
    return {
        "anchor": f"bundle-{index + 1}",
        "name": printable(facts.name),
        "verdict": verdict_sentence(facts),
        "passed": not facts.breaches,
        "breaches": facts.breaches,
        "gate": _gate_rows(report),
        "plot": error_plot(report),
        "pictures": pictures,
        "recorded": len(facts.shown),
        "device": facts.device,
        "not_run": facts.failure or facts.not_run,
        "executed": _execution_rows(facts),
        "classes": [(printable(entry.name), f"#{bytes(entry.colour).hex()}") for entry in bundle.contract.classes],
        "contract": _contract_rows(values),
        "hashes": [("network's weights", bundle.contract.weights_sha256), *sorted(bundle.contract.files.items())],
        "tools": ", ".join(f"{name} {version}" for name, version in values["tools"].items()),
    }


def _worst_and_typical(run: Sequence[ShownInput]) -> list[tuple[ShownInput, str]]:
    """Of the recorded inputs that were run, which are sorted: the first, and the one in the middle of the rest."""
    worst, *others = run
    if not others:
        return [(worst, "the one recorded input that was run")]
    return [
        (worst, f"worst of {len(run)} recorded inputs"),
        (others[(len(others) - 1) // 2], "typical"),
    ]


def _picture_figures(parity: ImageParity) -> str:
    return (
        f"largest error {parity.max_probability_error:.1e}, mean {parity.mean_probability_error:.1e}, agreement "
        f"{parity.mask_agreement:.5f}, Dice {parity.mask_dice:.4f}; the mask covers {parity.mask_fraction:.1%}"
    )


def _guard_figures(guard: GuardVerdict) -> str:
    return f"guard: score {guard.score:.1f}, usual up to {guard.threshold:.1f}" + (", UNUSUAL" if guard.unusual else "")


def _gate_rows(report: ParityReport) -> list[dict[str, str]]:
    """Figure, worst value, what is allowed, and how much of it is left."""
    rows: list[dict[str, str]] = []
    for entry in gated_figures(GATES[report.precision]):
        worst, where = entry.worst(report.images)
        bound = "at least" if entry.likeness else "at most"
        rows.append(
            {
                "title": entry.title,
                "worst": f"{worst:.5f}" if entry.likeness else f"{worst:.1e}",
                "where": printable(where),
                "allowed": "-" if entry.limit is None else f"{bound} {entry.limit:g}",
                "margin": _margin(1 - worst if entry.likeness else worst, entry.allowed),
            }
        )
    return rows


def _margin(lost: float, allowed: float | None) -> str:
    """How many times the loss that is allowed exceeds the one that was found."""
    if allowed is None:
        return "not limited"
    if not math.isfinite(lost) or lost > allowed:
        return "BREACHED"
    return "nothing lost" if lost <= 0 else f"{allowed / lost:.3g} times"


def _execution_rows(facts: BundleFacts) -> list[Row]:
    report = facts.report
    taken = f"{len(report.images)} of {max(report.images_given, len(report.images))}"
    here = (
        f"recorded inputs run on {facts.device}" if facts.device else f"not run here: {facts.failure or facts.not_run}"
    )
    rows = [
        ("verdict", f"{report.verdict}, {'passed' if report.passed else 'FAILED'}"),
        ("artifact ran on", report.edge_device),
        ("reference ran on", report.reference_device),
        ("pictures compared", f"{taken}; the reference finds something on {report.images_with_foreground}"),
        ("for this page", here),
    ]
    if is_timed(report):
        rows.append(("time of a picture then", f"{report.to_dict()['summary']['median_milliseconds']:.0f} ms, median"))
    rows += [(name, _plain(value)) for name, value in report.observations.items()]
    return [*rows, *([("remark", report.remark)] if report.remark else [])]


def _contract_rows(values: Mapping[str, Any]) -> list[Row]:
    fitted, output = values["preprocessing"], values["output"]
    return [
        ("exported", f"{values['exported_at']} by s2m-edge {values['s2m_edge_version']}"),
        ("artifact", f"{values['artifact']['file']}, {values['artifact']['bytes'] / 1e6:.2f} MB"),
        ("spectral filter", values["spectral"]),
        (
            "input",
            f"{fitted['height']} x {fitted['width']}, {values['input']['colour']}, {values['input']['dtype']} "
            f"{values['input']['layout']}, {fitted['fit']}",
        ),
        ("values", f"mean {_plain(fitted['mean'])}, standard deviation {_plain(fitted['standard_deviation'])}"),
        ("output", f"{' x '.join(map(str, output['shape']))}, {output['activation']}"),
        ("threshold", f"{values['postprocessing']['threshold']:g}"),
    ]


# The network


def _network_rows(content: PageContent) -> list[Row]:
    spec = content.network
    if spec is None:
        return []
    rows = [
        ("network", f"{spec.architecture}, {spec.parameters / 1e6:.2f} million parameters"),
        ("picture", f"{spec.preprocessing.height} x {spec.preprocessing.width}, {spec.channels} channels"),
        ("classes", ", ".join(entry.name for entry in spec.classes)),
        ("file", spec.file or "-"),
        ("SHA-256 of the weights", spec.weights_sha256),
    ]
    if spec.multiply_adds:
        rows.insert(1, ("multiply-adds", f"{spec.multiply_adds / 1e9:.2f} billion a picture"))
    return [(name, printable(text)) for name, text in rows]


def _provenance_rows(provenance: Mapping[str, Any]) -> list[Row]:
    """The checkpoint's card: what is short in its provenance; of what is long, how many entries."""
    rows: list[Row] = []
    for name, value in provenance.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{key}: {_plain(entry)}" for key, entry in value.items() if not _is_long(entry))
        elif isinstance(value, list) and _is_long(value):
            text = f"{len(value)} entries; s2m-edge info shows them"
        else:
            text = _plain(value)
        rows.append((printable(name.replace("_", " ")), printable(text)))
    return rows


def _is_long(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(x, Mapping | list) for x in value))


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(entry) for entry in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items()) or "none"
    return printable(str(value))


# Files of other commands


def _accuracy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Float against int8, stage by stage, of `s2m-edge gate --out`."""
    stages = {entry["name"]: entry for entry in values["stages"]}
    moved = {entry["name"]: entry for entry in values["differences"]}
    rows: list[Sequence[str]] = []
    for name, stage in stages.items():
        entry, distance = moved.get(name), stage["hd95"]["mean"]
        rows.append(
            (
                stage["title"],
                f"{stage['dice']['mean']:.4f}",
                "-" if distance is None else f"{distance:.1f}",
                "" if entry is None else entry["reference"],
                "" if entry is None else f"{entry['mean_dice']:+.4f} (allowed {entry['gate']['mean_dice']:g})",
                "" if entry is None else f"{entry['worst_dice']:+.4f} ({printable(entry['worst_image'])})",
            )
        )
    data = values["data"]
    return {
        "passed": bool(values["passed"]),
        "breaches": list(values["breaches"]),
        "remark": values["remark"],
        "rows": rows,
        "images": data["images"],
        "data": f"{printable(data['name'])}, {data['split']}",
    }


def _benchmark(values: Mapping[str, Any]) -> dict[str, Any]:
    rows: list[Sequence[str]] = []
    for entry in values["contenders"]:
        latency = entry["latency_milliseconds"]
        rows.append(
            (
                entry["title"],
                entry["status"] if latency is None else f"{latency['median']:.1f}",
                "" if latency is None else f"{latency['percentile_10']:.1f} to {latency['percentile_90']:.1f}",
                f"{entry['ratio_to_eager']:.2f}" if entry["ratio_to_eager"] else "",
                f"{entry['artifact_bytes'] / 1e6:.1f}" if entry["artifact_bytes"] else "",
            )
        )
    return {"machine": values["machine"]["line"], "base": values["base"] or "", "rows": rows}


def read_json_of(path: Path, keys: Sequence[str], command: str) -> dict[str, Any]:
    """The values of another command's file.

    Raises:
        ConfigurationError: it is missing, or was written by something else.
    """
    import json

    from s2m_edge.errors import ConfigurationError
    from s2m_edge.text_files import read_text

    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no JSON ({error})", f"Give a file of {command}.") from None
    if not isinstance(values, dict) or any(key not in values for key in keys):
        raise ConfigurationError(f"{path} is no file of {command}", f"Write one with {command}.")
    return values
