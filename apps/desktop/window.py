"""The main window: batch and export, and what follows when the worker has done something."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFileDialog

from s2m_edge.apps.desktop.batch import Batch
from s2m_edge.apps.desktop.documents import Document
from s2m_edge.apps.desktop.engine import Segmentation
from s2m_edge.apps.desktop.exporting import Exported, Request, export_results
from s2m_edge.apps.desktop.plain import plain_tip
from s2m_edge.apps.desktop.style import RED
from s2m_edge.apps.desktop.viewing import REMARKS, ViewingWindow
from s2m_edge.apps.desktop.worker import Job
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.results.codes import load_codes
from s2m_edge.texts import printable


class MainWindow(ViewingWindow):
    """The app on one bundle.

    Args:
        bundle: of the target openvino.
        device: that OpenVINO lists, or AUTO.
    """

    def __init__(self, bundle: Bundle, device: str = "CPU") -> None:
        self.batch = Batch()
        self.codes: Path | None = None
        super().__init__(bundle, device)
        self.queue.run.clicked.connect(self.segment_all)
        self.queue.cancel.clicked.connect(self.cancel)
        self.queue.export.clicked.connect(self.choose_export)
        self.tools.add("Segment all", "Ctrl+R", self.segment_all, visible=False)
        self.tools.add("Export", "Ctrl+E", self.choose_export, visible=False)
        self.tools.add("Codes for DICOM-SEG...", "Ctrl+K", self.choose_codes, visible=False)
        self.queue.formats.codes.clicked.connect(self.choose_codes)
        self.tools.add("Cancel", "Esc", self.cancel, visible=False)
        self.worker.done.connect(self._finished)
        self.worker.failed.connect(self._failed)
        self.worker.skipped.connect(self._skipped)
        self.start(device)

    @property
    def busy(self) -> bool:
        return self.batch.running

    # The batch

    def segment_all(self) -> None:
        """Segment every picture and slice that is not segmented yet."""
        if not self.ready or self.busy:
            return
        wanted = [
            (document, index)
            for document in self.queue.documents()
            for index in range(document.slices)
            if index not in self.results.get(document, {})
        ]
        self.batch = Batch(len(wanted))
        for document in dict.fromkeys(document for document, _ in wanted):
            self.queue.set_state(document, "queued")
        for document, index in wanted:
            self.worker.submit(
                Job("segment", partial(self._segmented, document, index), (document, index), urgent=False)
            )
        self._step(0, "" if wanted else "everything is segmented")
        self._enable()

    def _segmented(self, document: Document, index: int) -> Segmentation:
        """In the worker's thread."""
        step = self.worker.steps("segment", (document, index))
        image = self.studies.read(document, index, self.engine.intensity).image
        return self._keeper.keep(self.engine.segment(image, document.title, step))

    def cancel(self) -> None:
        """Stop the batch or the export after the picture in work."""
        self.worker.cancel("segment")
        self.worker.cancel("export")

    def _step(self, count: int, end: str = "") -> None:
        self.batch.done += count
        self.queue.set_progress(self.batch.done, self.batch.total, self.batch.progress)
        if self.batch.complete:
            if self.busy:
                self.message.setText(end or self.batch.summary)
                self.message.setToolTip(plain_tip("\n".join(self.batch.reasons[:REMARKS])))
            self.batch = Batch()
            self.queue.set_progress(0, 0)
            self._enable()

    # Export

    def choose_export(self) -> None:
        if not self.queue.export.isEnabled():
            return
        name = QFileDialog.getExistingDirectory(self, "Export what was segmented to")
        if name:
            self.export_to(Path(name))

    def choose_codes(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Codes of the classes", "", "JSON (*.json);;All files (*)")
        if name:
            self.use_codes(Path(name))

    def use_codes(self, path: Path) -> None:
        """Take the classes' codes for DICOM-SEG from a file, as `s2m-edge predict --codes` does."""
        try:
            load_codes(path)
        except S2MEdgeError as error:
            self._say([str(error)])
            return
        self.codes = path
        self._say([f"classes have the codes of {printable(path.name)}"])

    def export_to(self, folder: Path) -> None:
        """Write what was segmented."""
        assert self.opened is not None
        results = [(document, dict(slices)) for document, slices in self.results.items() if slices]
        self.batch = Batch(sum(len(slices) for _, slices in results))
        self.queue.set_progress(0, self.batch.total, "exporting")
        request = Request(
            folder, self.queue.formats.chosen, self.bundle, self.opened.description, self.controls.chosen_threshold,
            self.codes,
        )  # fmt: skip
        studies, stopped = self.studies, self.worker.cancellation("export")
        self.worker.submit(Job("export", lambda: export_results(request, results, studies, stopped=stopped)))
        self._enable()

    # The worker's answers

    def _finished(self, job: Job, result: Any) -> None:
        if job.kind == "open":
            if job.key == self.controls.device.currentData():
                self._opened(result)
        elif job.kind == "measure":
            self.controls.set_latency(job.key, f"{result.milliseconds:.0f} ms{'' if result.passed else ', FAILED'}")
        elif job.kind == "documents":
            if job.key is self.studies:  # not closed meanwhile
                self._add_documents(*result)
        elif job.kind == "cut":
            studies, document = job.key
            if studies is self.studies:  # not closed meanwhile
                self._cut(document, result)
        elif job.kind == "show":
            self._present(job.key, result)
        elif job.kind == "segment":
            self._note(job.key, result)
            self._step(1)
            if self.current is not None and job.key[0] == self.current[0]:
                self._measure_study()
        elif job.kind == "figures":
            document, threshold, figures = job.key
            if figures is self.figures:  # neither closed nor segmented elsewhere meanwhile
                figures[document] = (threshold, result)
                self._measure_study()
        elif job.kind == "export":
            exported: Exported = result
            self._step(self.batch.total)
            end = f"exported {exported.pictures} to {exported.folder}"
            end = f"export stopped after {exported.pictures}" if exported.stopped else printable(end)
            first, *others = exported.remarks or [""]
            self._say([f"{end}. {first}" if first else end, *others])
        self._enable()

    def _failed(self, job: Job, reason: str) -> None:
        self.message.setText(reason)
        self.message.setToolTip(plain_tip(reason))
        if job.kind == "open" and job.key == self.controls.device.currentData():
            self.tools.set_badge("not loaded: no masks", RED, reason)
            self.controls.latency.setText(reason)
        elif job.kind == "measure":
            self.controls.set_latency(job.key, "not loaded")
        elif job.kind == "cut":
            self._cut_failed()
        elif job.kind in ("show", "segment"):
            self.queue.set_state(job.key[0], "cannot be read", reason)
            if job.kind == "segment":
                self.batch.reasons.append(reason)
                self._step(1)
            elif job.key == self.current:
                self.presenter.close()
        elif job.kind == "export":
            self._step(self.batch.total, reason)
        self._enable()

    def _skipped(self, job: Job) -> None:
        if job.kind == "segment":
            document = job.key[0]
            done = len(self.results.get(document, {}))
            self.queue.set_state(document, f"{done} segmented" if done else "cancelled")
            self._step(1, "cancelled")
        elif job.kind == "export":
            self._step(self.batch.total, "cancelled")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        self.worker.finish()
        super().closeEvent(event)
