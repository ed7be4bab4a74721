"""What the server does with a study: each of its series segmented by the bundle, each result under a UID's name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s2m_edge.apps.server.results import Heed, Outcome
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import AnswerError, ImageError, ParityError
from s2m_edge.targets.base import Runner


@dataclass(frozen=True)
class Network:
    """A bundle with its artifact loaded, and what becomes of its masks.

    Attributes:
        bundle, runner: of the network.
        formats: names of `study_formats`.
        codes: of the classes, for DICOM-SEG.
    """

    bundle: Bundle
    runner: Runner
    formats: Sequence[str]
    codes: Any

    @property
    def made_by(self) -> dict[str, Any]:
        """What a record says of it, as JSON values."""
        values = self.bundle.contract.values
        return {
            "network": values["network"]["name"],
            "weights_sha256": values["network"]["weights_sha256"],
            "target": values["target"],
            "precision": values["precision"],
            "exported_by": f"s2m-edge {values['s2m_edge_version']}",
        }

    def segment_received(self, study_folder: Path, out: Path, heed: Heed) -> Outcome:
        """Segment every series below a folder STUDY/SERIES/INSTANCE.dcm into `out`.

        A series that holds no picture, or that the artifact fails on, leaves the others be; it is in the remarks.

        Args:
            heed: called between slices.

        Raises:
            ImageError: of no series there is a result; the reason of the first.
            OutputError: the folder cannot be written.
        """
        from s2m_edge.imaging.study import find_studies
        from s2m_edge.targets.study import segment_study

        files: list[Path] = []
        remarks: list[str] = []
        failures: list[ImageError] = []
        for source in find_studies(study_folder, lambda done, total: heed()):
            # A description of a series may hold anybody's name; UIDs do not.
            stem = source.path.name if source.path.is_dir() else source.path.stem
            try:
                study = replace(source, name=stem).open()
                outputs = segment_study(
                    self.bundle,
                    self.runner,
                    study,
                    self.formats,
                    out,
                    stem,
                    codes=self.codes,
                    progress=lambda done, total: heed(),
                )
            except (ImageError, AnswerError) as error:
                failures.append(ImageError(*(_below(study_folder, text) for text in (error.cause, error.remedy))))
                continue
            for path in outputs.paths:
                files += sorted(path.iterdir()) if path.is_dir() else [path]
            remarks += [f"series {stem}: {remark}" for remark in study.remarks]
            if outputs.prediction.unusual:
                remarks.append(
                    f"series {stem}: {outputs.prediction.unusual} of {study.slices} slices look unlike the pictures "
                    "this network was trained on; their masks may mean nothing"
                )
        if not files:
            raise failures[0]
        return Outcome(tuple(files), (*remarks, *(f"left out: {error}" for error in failures)))


def _below(folder: Path, text: str) -> str:
    """A message without the folder that its files lie in for the moment."""
    return text.replace(f"{folder}{os.sep}", "")


def open_network(folder: Path, formats: str, codes: Path | None, threads: int | None) -> Network:
    """Open a bundle for a server.

    Raises:
        ContractError: no bundle, or one that is not proved or damaged.
        ConfigurationError: a format is not known, or a class has no code for DICOM-SEG.
        CapabilityError, MissingBackendError, LoweringError: its runtime, or a package that a format takes.
        ParityError: its self-test failed here.
    """
    from s2m_edge.deploy.bundle import open_bundle
    from s2m_edge.imaging.results.codes import require_codes
    from s2m_edge.imaging.results.dicom_seg import require_highdicom
    from s2m_edge.targets.opening import open_runner
    from s2m_edge.targets.study.results import codes_of, study_formats

    names = study_formats(formats)
    bundle = open_bundle(folder)
    _ = bundle.guard  # a damaged one is the bundle's fault, not the first study's
    found = codes_of(bundle, codes)
    if "dicom-seg" in names:
        require_highdicom()
        require_codes(bundle.contract.classes, found)
    runner = open_runner(bundle, threads)
    require_self_test(bundle, runner)
    return Network(bundle, runner, names, found)


def require_self_test(bundle: Bundle, runner: Runner) -> None:
    """Run the golden inputs, as every app does before it shows a mask.

    Raises:
        ParityError: what comes out here is not what the reference said.
        ContractError: the golden inputs are missing or damaged.
        AnswerError: the artifact fails on one.
    """
    from s2m_edge.deploy.activation import probabilities
    from s2m_edge.deploy.golden import GOLDEN_FILE, read_golden
    from s2m_edge.targets.answer import shaped_answer
    from s2m_edge.targets.measure.parity.compare import compare
    from s2m_edge.targets.measure.parity.gates import GATES, run_breaches

    contract, images = bundle.contract, []
    for entry in read_golden(bundle.folder / GOLDEN_FILE)[0]:
        reference = probabilities(entry.logits)
        answer = shaped_answer(runner.predict, entry.image, reference.shape)
        images.append(compare(entry.name, reference, answer, contract.threshold, 0.0))
    found = run_breaches(GATES[contract.precision], images)
    if found:
        raise ParityError(f"the self-test failed on this machine: {found[0]}", "Export the bundle again.")
