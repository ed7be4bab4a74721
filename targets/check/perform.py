"""Making a check: every artifact exported and gated, its page, and the comparison with the base."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2m_edge import interrupts
from s2m_edge.deploy.bundle import Bundle, open_bundle
from s2m_edge.deploy.golden import Reference
from s2m_edge.deploy.precision import DEFAULT_PRECISION, PRECISION_ROWS, Precision
from s2m_edge.deploy.reference_store import STORE, keep_record, record_files
from s2m_edge.errors import ConfigurationError, LoweringError, ParityError, S2MEdgeError
from s2m_edge.files import FolderKind, exactly, publish_folder, staged_folder, write_bytes, write_json
from s2m_edge.samples import images_or_samples
from s2m_edge.targets.check.base import REPORT_FILE, Base, read_base
from s2m_edge.targets.check.config import CheckConfig, Wanted
from s2m_edge.targets.check.junit import junit_xml
from s2m_edge.targets.check.markdown import summary_markdown
from s2m_edge.targets.check.result import Artifact, CheckResult, machine
from s2m_edge.targets.check.sarif import sarif_values
from s2m_edge.targets.export import (
    Notify,
    bundle_name,
    export_bundle,
    failed_folder,
    ignore_progress,
    require_exportable,
)
from s2m_edge.targets.measure.changes import compare_sides, open_side
from s2m_edge.targets.measure.changes.side import accuracy_side
from s2m_edge.targets.measure.page import (
    BundleFacts,
    ExportPages,
    PageContent,
    bundle_facts,
    page_html,
    picture_spectra,
)
from s2m_edge.targets.measure.parity.measure import measure_parity

if TYPE_CHECKING:
    from s2m_edge.deploy.recording import Record
    from s2m_edge.opened_network import OpenedNetwork
    from s2m_edge.train.data.sample import Sample

BUNDLES = "bundles"
PAGE_FILE, SUMMARY_FILE, JUNIT_FILE, SARIF_FILE = "report.html", "summary.md", "junit.xml", "results.sarif"
Opener = Callable[[Precision], "OpenedNetwork"]


def _written(folder: Path) -> list[str]:
    """Of a check's folder: what its report says that it holds."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        values = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
        if values.get("check_report") and isinstance(values.get("files"), list):
            return [REPORT_FILE, *(exactly(str(name)) for name in values["files"])]
    return []


RESULTS = FolderKind("the results of s2m-edge check", _written)


def run_check(
    config: CheckConfig,
    opener: Opener,
    out: Path,
    *,
    targets: Sequence[str] = (),
    base: Path | None = None,
    device: str | None = None,
    label: str = "",
    notify: Notify = ignore_progress,
) -> CheckResult:
    """Export what a configuration wants, judge it, compare it with the base, and write the results as the folder `out`.

    The folder appears in one step, whatever was found: bundles (those that breach as NAME.failed), `check.json`,
    `report.html`, `summary.md`, `junit.xml` and `results.sarif`. A target that has no packages for this machine is
    skipped; one whose packages are missing ends the check before any work.

    Args:
        opener: opens the configuration's network for a precision; the quantized form for one that takes it.
        targets: only these of the configuration's; all of them where there are none.
        base: the results of the base branch's check, or their `check.json`; see `read_base`.
        label: what tells this check from those of other machines; the kind of machine if left out.
        device: "cpu" or "cuda": the network is recorded there too, and every artifact compared with the record.

    Raises:
        ConfigurationError: no target of the configuration is for this machine, or its data cannot be judged.
        OutputError: the place cannot be written, or holds something else.
        S2MEdgeError: whatever else makes a check impossible: a missing backend, a network that does not open.
    """
    wanted = config.only(targets)
    here = [entry for entry in wanted if entry.target.exists_here()]
    if not here:
        raise ConfigurationError(
            f"{config.path} names no target that has packages for this machine",
            "Name one in it, or run the check on another machine.",
        )
    for entry in here:
        require_exportable([entry.target], entry.precision, None)
    samples = _samples(config)
    with staged_folder(out, RESULTS) as stage:
        work = _Work(config, opener, stage, device, notify)
        made = [work.made(entry) for entry in wanted]
        result = _result(work, made, read_base(base), samples, label or machine(), filtered=bool(targets))
        for name, content in _reports(work, made, result).items():
            write_bytes(stage / name, content)
        files = sorted(path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
        write_json(stage / REPORT_FILE, {**result.to_dict(), "files": files})
        publish_folder(stage, out, RESULTS)
    return result


@dataclass(frozen=True)
class _Made:
    """An artifact with its bundle and what running that gave; None and None where there is none."""

    artifact: Artifact
    bundle: Bundle | None = None
    facts: BundleFacts | None = None


@dataclass
class _Work:
    """What the artifacts of one check share: networks, answers and records, each made once."""

    config: CheckConfig
    opener: Opener
    stage: Path
    device: str | None
    notify: Notify
    opened: dict[bool, OpenedNetwork] = field(default_factory=dict)
    answers: dict[bool, Reference] = field(default_factory=dict)
    pages: dict[bool, ExportPages] = field(default_factory=dict)
    records: dict[bool, Record] = field(default_factory=dict)

    def network(self, precision: Precision) -> OpenedNetwork:
        quantized = PRECISION_ROWS[precision].quantized
        if quantized not in self.opened:
            found = self.opener(precision)
            self.opened[quantized] = replace(found, spec=found.spec.of(found.network))
        return self.opened[quantized]

    def pictures(self) -> list[Path]:
        domain = next(iter(self.opened.values())).domain
        return images_or_samples(self.config.images, domain)

    def made(self, entry: Wanted) -> _Made:
        """Export one artifact; what breaches its gate is kept and told."""
        opened = self.network(entry.precision)
        name = bundle_name(opened.spec, entry.target, entry.precision, "none")
        artifact = Artifact(name, entry.target.name, entry.precision, entry.line)
        try:
            entry.target.require_backend()
        except S2MEdgeError as error:  # of what is for this machine, `run_check` has asked
            return _Made(replace(artifact, absent=error.cause))
        quantized = PRECISION_ROWS[entry.precision].quantized
        answers = self.answers.setdefault(quantized, Reference(opened.network, opened.spec.preprocessing))
        pages = self.pages.setdefault(quantized, ExportPages(opened.network, opened.spec))
        folder = self.stage / BUNDLES / name
        try:
            export_bundle(
                entry.target,
                opened.network,
                opened.spec,
                precision=entry.precision,
                images=self.pictures(),
                out=folder,
                limit=self.config.limit,
                guard=_guard(opened),
                notify=lambda step, done, total: self.notify(f"{name}, {step}", done, total),
                reference=answers,
                pages=pages,
            )
        except ParityError as error:
            interrupts.heed(error)
            folder = failed_folder(folder)
            if not folder.is_dir():
                return _Made(replace(artifact, refused=error.cause))
        except LoweringError as error:
            interrupts.heed(error)
            return _Made(replace(artifact, refused=str(error).replace(f"{self.stage}/", "")))
        return self._judged(artifact, open_bundle(folder, proved=False))

    def _judged(self, artifact: Artifact, bundle: Bundle) -> _Made:
        self.notify(f"{artifact.name}, page", 0, 0)
        facts = bundle_facts(bundle)
        artifact = replace(
            artifact,
            report=facts.report,
            size=bundle.contract.values["artifact"]["bytes"],
            facts=open_side(bundle.folder).facts,
            here=tuple(breach for breach in facts.breaches if breach not in facts.report.breaches),
            recorded=self._against_record(bundle, facts),
        )
        return _Made(artifact, bundle, facts)

    def _against_record(self, bundle: Bundle, facts: BundleFacts) -> Any:
        if self.device is None or facts.failure:
            return None
        opened = self.network(bundle.contract.precision)
        record = self._record(bundle.contract.precision)
        return measure_parity(bundle, opened.network, opened.spec, [], record=record, limit=self.config.limit)

    def _record(self, precision: Precision) -> Record:
        from s2m_edge.deploy.recording import record_reference

        assert self.device is not None
        quantized = PRECISION_ROWS[precision].quantized
        if quantized not in self.records:
            opened = self.network(precision)
            self.notify("recording the reference", 0, 0)
            made = record_reference(opened.network, opened.spec, self.pictures()[: self.config.limit], self.device)
            keep_record(self.stage / STORE, made)
            self.records[quantized] = made
        return self.records[quantized]


def _guard(opened: OpenedNetwork) -> Path | None:
    from s2m_edge.checkpoint import guard_beside

    return None if opened.header is None else guard_beside(opened.header)


def _samples(config: CheckConfig) -> list[Sample]:
    """The labelled images, found before any work; none where no accuracy is asked for."""
    if config.data is None:
        return []
    from s2m_edge.targets.measure.evaluation.evaluate import split_samples

    return split_samples(config.data, config.split, None, None)


def _result(
    work: _Work, made: Sequence[_Made], base: Base, samples: Sequence[Sample], label: str, *, filtered: bool
) -> CheckResult:
    opened = next(iter(work.opened.values()))
    tolerance = work.config.tolerance
    artifacts: list[Artifact] = []
    for entry in made:
        artifact, before = entry.artifact, base.sides.get(entry.artifact.name)
        if entry.bundle is not None and before is not None:
            artifact = replace(artifact, changes=compare_sides(before, open_side(entry.bundle.folder), tolerance))
        artifacts.append(artifact)
    accuracy = _accuracy(work, made, samples) if samples else None
    compared = None
    if accuracy is not None and base.accuracy is not None:
        compared = compare_sides(base.accuracy, accuracy_side(work.config.path, accuracy), tolerance)
    names = {artifact.name for artifact in artifacts}
    files = [path.relative_to(work.stage).as_posix() for path in record_files(work.stage / STORE)]
    device = next((record.device for record in work.records.values()), "")
    return CheckResult(
        label,
        work.config.path.as_posix(),
        opened.spec.name,
        tuple(entry.name for entry in opened.spec.classes),
        opened.spec.weights_sha256,
        tuple(artifacts),
        base.remark,
        () if filtered else tuple(sorted(set(base.sides) - names)),
        accuracy,
        compared,
        (", ".join(files), device),
    )


def _accuracy(work: _Work, made: Sequence[_Made], samples: Sequence[Sample]) -> dict[str, Any]:
    """What every artifact that answers loses on labelled images against the float network."""
    from s2m_edge.targets.measure.parity.stages import FLOAT, StagesReport, measure_stages

    opened = work.network(DEFAULT_PRECISION)
    bundles = [entry.bundle for entry in made if entry.bundle is not None and entry.facts and not entry.facts.failure]
    stages = measure_stages({FLOAT: opened.network}, opened.spec, bundles, samples, progress=work.notify)
    weights = opened.spec.weights_sha256
    report = StagesReport(tuple(stages), {"weights": weights, "float": weights})
    assert work.config.data is not None
    about = {"name": work.config.data.resolve().name, "split": work.config.split, "images": len(samples)}
    return {"data": about, **report.to_dict()}


def _reports(work: _Work, made: Sequence[_Made], result: CheckResult) -> dict[str, bytes]:
    """Everything for people and machines, by file name."""
    opened = next(iter(work.opened.values()))
    stages, count = picture_spectra(opened.network, opened.spec.preprocessing, work.pictures())
    content = PageContent(
        tuple(entry.facts for entry in made if entry.facts is not None),
        opened.spec,
        opened.spec.provenance,
        tuple(stages),
        count,
        result.accuracy,
        None,
        "s2m-edge check",
    )
    return {
        PAGE_FILE: page_html(content).encode(),
        SUMMARY_FILE: summary_markdown(result).encode(),
        JUNIT_FILE: junit_xml(result),
        SARIF_FILE: (json.dumps(sarif_values(result), indent=2) + "\n").encode(),
    }
