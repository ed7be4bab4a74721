"""The columns of a benchmark's tables, for the terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from s2m_edge.targets.measure.benchmark.measure import HIGH, LOW
from s2m_edge.targets.measure.benchmark.profile.blocks import STAGES
from s2m_edge.targets.measure.benchmark.report import is_peer

NOTHING = "-"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A heading, and the text of a contender's values."""

    heading: str
    text: Callable[[Values], str]


def _number(key: str, digits: int, factor: float = 1.0, suffix: str = "") -> Callable[[Values], str]:
    def text(values: Values) -> str:
        return NOTHING if values[key] is None else f"{values[key] * factor:.{digits}f}{suffix}"

    return text


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _median(values: Values) -> str:
    latency = values["latency_milliseconds"]
    return NOTHING if latency is None else _milliseconds(latency["median"])


def _spread(values: Values) -> str:
    latency = values["latency_milliseconds"]
    if latency is None:
        return NOTHING
    return f"{_milliseconds(latency[f'percentile_{LOW}'])} to {_milliseconds(latency[f'percentile_{HIGH}'])}"


def _dice(values: Values) -> str:
    return NOTHING if values["dice"] is None or values["dice"]["mean"] is None else f"{values['dice']['mean']:.4f}"


def _streams(values: Values) -> str:
    found = values["throughput"]
    return NOTHING if found is None else f"{found['images_per_second']:.1f} ({found['streams']})"


TIME_COLUMNS = (
    Column("ms", _median),
    Column(f"{LOW}-{HIGH} %", _spread),
    Column("x eager", _number("ratio_to_eager", 2)),
    Column("images/s", _number("images_per_second", 1)),
    Column("load s", _number("load_seconds", 2)),
)
STREAMS_COLUMN = Column("images/s (streams)", _streams)
EARLIER_COLUMN = Column("x earlier", _number("ratio_to_earlier", 2))
COST_COLUMNS = (
    Column("peak MiB", _number("peak_memory_mib", 0)),
    Column("MB", _number("artifact_bytes", 1, 1e-6)),
    Column("GFLOP/s", _number("gflop_per_second", 0)),
    Column("of ceiling", _number("ceiling_share", 0, 100, " %")),
    Column("Dice", _dice),
)


def time_columns(values: Values) -> tuple[Column, ...]:
    """What is said of time, as far as it was asked for."""
    return (
        *TIME_COLUMNS,
        *((STREAMS_COLUMN,) if values["settings"]["throughput"] else ()),
        *((EARLIER_COLUMN,) if values.get("comparison") else ()),
    )


def executed(values: Values) -> list[Values]:
    """The contenders that have times."""
    return [entry for entry in values["contenders"] if entry["latency_milliseconds"] is not None]


def own_rows(values: Values) -> list[Values]:
    """Those of S2M-Net."""
    return [entry for entry in executed(values) if not is_peer(entry)]


def peer_rows(values: Values) -> list[Values]:
    """Those of other networks."""
    return [entry for entry in executed(values) if is_peer(entry)]


def left_out(values: Values) -> list[str]:
    """One line for each contender without times, and one for whatever else was not measured."""
    lines = []
    for entry in values["contenders"]:
        if entry["status"] != "executed":
            size = "" if entry["artifact_bytes"] is None else f", {entry['artifact_bytes'] / 1e6:.1f} MB"
            lines.append(f"{entry['title']}: {entry['status']} ({entry['reason']}){size}")
        lines += [f"{entry['title']}: {remark}" for remark in entry["remarks"]]
    return [*lines, *values["remarks"]]


def header_lines(values: Values) -> list[str]:
    """What a reader must know before the figures: machine, noise, and whether this is all of it."""
    lines = [values["machine"]["line"]]
    noise = values["ceiling"]["noise"]
    lines.append(
        f"noise: the same matrix product in every round spread by {100 * noise:.0f} % ({LOW}-{HIGH} % over the median)"
    )
    if values["settings"]["cpu_isa"] is not None:
        lines.append(f"limited to {values['settings']['cpu_isa']}, as an older processor would be (--cpu-isa)")
    if values["quick"] is not None:
        lines.append(f"the quick form, without {'; '.join(values['quick'])}")
    if comparison := values.get("comparison"):
        lines.append(f"x earlier: how many times as fast as in {comparison['file']}")
        lines += [f"warning: not the same as then: {text}" for text in comparison["differences"]]
    return lines


def summary_lines(values: Values) -> list[str]:
    """What the figures refer to: network, base, ceiling, samples."""
    lines = []
    for title, facts in values["networks"].items():
        work, size = facts["multiply_adds"] / 1e9, f"{facts['height']} x {facts['width']}"
        count = f"{facts['parameters'] / 1e6:.1f} M parameters, {work:.1f} G multiply-adds at {size}"
        lines.append(f"{title}: {count}; {facts['weights']}")
    settings, samples = values["settings"], values["settings"]["samples"]
    base = f"x eager: against S2M-Net in {values['base']}" if values["base"] else "no eager row to compare with"
    lines.append(f"{settings['rounds']} interleaved rounds, batch 1; {base}")
    ceiling, side = values["ceiling"]["gflop_per_second"], values["ceiling"]["matrix_side"]
    lines.append(f"ceiling: {ceiling:.0f} GFLOP/s, the best float32 matrix product of {side} x {side} in the same run")
    if settings["throughput"]:
        lines.append("images/s (streams): several pictures under way at once, batch 1 as the artifacts are exported")
    if samples["images"]:
        split = f", {samples['split']}" if samples["split"] else ", which are too few for more than a check"
        lines.append(f"Dice: mean over {samples['images']} images of {samples['name']}{split}")
    return lines


def profile_rows(entry: Values) -> list[list[str]]:
    """Rows of one contender's profile: block, milliseconds, share, and milliseconds of the stages 1 to 5; of an
    operator the first three."""
    profile = entry["profile"]
    total = profile["total_milliseconds"]
    rows = [
        _profile_row(block["block"], block["milliseconds"], total, [block["stages"].get(str(s)) for s in STAGES])
        for block in profile["blocks"]
    ]
    if profile["grouping"] == "operator":
        return [row[:3] for row in (*rows, _profile_row("all", total, total, []))]
    sums = [sum(block["stages"].get(str(stage), 0.0) for block in profile["blocks"]) for stage in STAGES]
    return [*rows, _profile_row("all", total, total, sums)]


def _stage_headings() -> list[str]:
    first, *others = STAGES
    return [f"stage {first}", *(str(stage) for stage in others)]


def profile_headings(entry: Values) -> list[str]:
    """The headings of `profile_rows`."""
    grouping = entry["profile"]["grouping"]
    return [grouping, "ms", "share", *(_stage_headings() if grouping == "block" else ())]


def _profile_row(block: str, time: float, total: float, stages: Sequence[float | None]) -> list[str]:
    texts = [NOTHING if stage is None else f"{stage:.1f}" for stage in stages]
    return [block, f"{time:.1f}", f"{100 * time / total:.0f} %", *texts]


def profiled(values: Values) -> list[Values]:
    """The contenders that have a profile."""
    return [entry for entry in executed(values) if entry["profile"] is not None]
