"""The main window: what the user sees, and what follows from what they do. Work is done by the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMainWindow, QVBoxLayout, QWidget

from s2m_edge.apps.desktop.batch import Batch
from s2m_edge.apps.desktop.canvas import Canvas, overlay_pixels
from s2m_edge.apps.desktop.documents import Document, open_documents
from s2m_edge.apps.desktop.engine import Engine, Opened, Segmentation, import_readers, labels_of, list_devices
from s2m_edge.apps.desktop.exporting import Exported, export_results
from s2m_edge.apps.desktop.panels import ControlPanel, QueuePanel, label, scrolled
from s2m_edge.apps.desktop.plain import plain_label, plain_tip
from s2m_edge.apps.desktop.slices import SliceRow
from s2m_edge.apps.desktop.style import AMBER, GREEN, RED
from s2m_edge.apps.desktop.tools import ToolRow
from s2m_edge.apps.desktop.worker import Job, Worker
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.imaging.folders import IMAGE_SUFFIXES
from s2m_edge.notice import NOTICE
from s2m_edge.texts import printable
from s2m_edge.train.data.presets import dataset_title

HINT = "Drop images or a folder here\n\nCtrl+O opens images,  Ctrl+Shift+O a folder"
Shown = tuple[NDArray[np.uint8], Segmentation | None, NDArray[np.float32] | None]


class MainWindow(QMainWindow):
    """The app on one bundle.

    Args:
        bundle: of the target openvino.
        device: that OpenVINO lists, or AUTO.
    """

    def __init__(self, bundle: Bundle, device: str = "CPU") -> None:
        super().__init__()
        self.bundle, self.contract = bundle, bundle.contract
        self.engine, self.worker = Engine(bundle), Worker()
        self.opened: Opened | None = None
        self.current: tuple[Document, int] | None = None
        self.results: dict[Document, dict[int, Segmentation]] = {}
        self._image: NDArray[np.uint8] | None = None
        self._segmentation: Segmentation | None = None
        self._scaled: NDArray[np.float32] | None = None
        self._labels: NDArray[np.uint8] | None = None
        self.batch = Batch()
        self._build()
        self.worker.done.connect(self._finished)
        self.worker.failed.connect(self._failed)
        self.worker.skipped.connect(self._skipped)
        self.worker.stepped.connect(self._stepped)
        self.worker.start()
        self.controls.set_devices(list_devices(), device)
        self.open_device(device)
        self.worker.submit(Job("warm", import_readers, urgent=False))

    # Layout

    def _build(self) -> None:
        self.setWindowTitle(f"Segmentation - {printable(self.bundle.folder.name)}")
        self.resize(1280, 800)
        self.setAcceptDrops(True)
        outputs = self.contract.values["output"]["shape"][1]
        self.canvas, self.queue = Canvas(), QueuePanel()
        self.controls = ControlPanel(self.contract.threshold, outputs == 1)
        self.canvas.hint = HINT
        self.slices = SliceRow()
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.slices)
        centre = QWidget()
        across = QHBoxLayout(centre)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(0)
        across.addWidget(self.queue)
        across.addWidget(middle, 1)
        across.addWidget(scrolled(self.controls))
        self.setCentralWidget(centre)
        self._build_tools()
        self.message, self.zoom_text = label(name="quiet"), plain_label()
        notice = label(NOTICE, "notice")
        notice.setWordWrap(False)
        self.statusBar().addWidget(notice)
        self.statusBar().addWidget(self.message, 1)
        self.statusBar().addPermanentWidget(self.zoom_text)
        self.controls.model.setText(self._model_text())
        self.queue.chosen.connect(lambda document: self.show_slice(document, document.first_shown))
        self.queue.run.clicked.connect(self.segment_all)
        self.queue.cancel.clicked.connect(self.cancel)
        self.queue.export.clicked.connect(self.choose_export)
        self.queue.clear.clicked.connect(self.clear)
        self.slices.chosen.connect(self._slice_moved)
        self.controls.overlay_changed.connect(self._draw_overlay)
        self.controls.threshold_changed.connect(self._decide)
        self.controls.device.currentIndexChanged.connect(lambda: self.open_device(self.controls.device.currentData()))
        self.controls.compare.clicked.connect(self.measure_devices)
        self.canvas.zoomed.connect(lambda zoom: self.zoom_text.setText(f"{zoom:.0%}  "))
        self._enable()

    def _build_tools(self) -> None:
        self.tools = ToolRow(self)
        self.tools.add("Open images...", "Ctrl+O", self.choose_images)
        self.tools.add("Open folder...", "Ctrl+Shift+O", self.choose_folder)
        self.tools.add("Samples", "Ctrl+Shift+S", self.open_samples)
        self.tools.add("Fit", "Ctrl+0", self.canvas.fit)
        self.tools.add("Segment all", "Ctrl+R", self.segment_all, visible=False)
        self.tools.add("Export", "Ctrl+E", self.choose_export, visible=False)
        self.tools.add("Cancel", "Esc", self.cancel, visible=False)
        self.tools.add("Show overlay", "O", self.controls.shown.toggle, visible=False)
        self.tools.add("Next slice", "PgDown", self.slices.next, visible=False)
        self.tools.add("Previous slice", "PgUp", self.slices.previous, visible=False)

    def _model_text(self) -> str:
        values, network = self.contract.values, self.contract.values["network"]
        dataset = values["checkpoint"]["provenance"].get("dataset")
        spectral = "" if self.contract.spectral == "none" else f", spectral filter as {self.contract.spectral}"
        lines = (
            f"{network['name']}, {self.contract.preprocessing.title}",
            network["architecture"],
            f"{self.contract.precision}{spectral}",
            f"trained on {dataset_title(str(dataset))}" if dataset else "",
            f"OpenVINO {values['tools'].get('openvino', '')}, s2m-edge {values['s2m_edge_version']}",
        )
        return "\n".join(printable(line) for line in lines if line)

    @property
    def ready(self) -> bool:
        """Whether masks may be shown: a device is open and its self-test passed."""
        return self.opened is not None and self.opened.passed

    @property
    def busy(self) -> bool:
        return self.batch.running

    def _enable(self) -> None:
        some = self.queue.list.count() > 0
        self.queue.run.setEnabled(self.ready and some and not self.busy)
        self.queue.cancel.setEnabled(self.busy)
        self.queue.export.setEnabled(self.ready and not self.busy and any(self.results.values()))
        self.queue.clear.setEnabled(some and not self.busy)
        self.controls.device.setEnabled(not self.busy)
        self.controls.compare.setEnabled(not self.busy)

    # Devices

    def open_device(self, device: str) -> None:
        """Load the network there and run the self-test; what was segmented elsewhere is dropped."""
        self.opened = None
        self.results.clear()
        for document in self.queue.documents():
            self.queue.set_state(document, "waiting")
        self.tools.set_badge("testing...", AMBER)
        self.controls.latency.setText(f"loading on {device}")
        self._show_nothing_segmented()
        self._enable()
        self.worker.cancel("show")
        self.worker.submit(Job("open", lambda: self.engine.open(device), device))

    def measure_devices(self) -> None:
        """Measure every device in turn."""
        for row in range(self.controls.device.count()):
            device = self.controls.device.itemData(row)
            self.controls.set_latency(device, "measuring...")
            self.worker.submit(Job("measure", lambda device=device: self.engine.measure(device), device))

    def _opened(self, opened: Opened) -> None:
        self.opened = opened
        figures = f"largest probability error {opened.error:.1e}, mask agreement {opened.agreement:.5f}"
        tip = f"{len(opened.images)} golden inputs against the reference: {figures}"
        if opened.passed:
            self.tools.set_badge("Self-test passed", GREEN, tip)
            self.message.setText(tip)
        else:
            self.tools.set_badge("Self-test FAILED: no masks", RED, "\n".join((tip, *opened.breaches)))
            self.message.setText(f"No masks on this device. {(opened.breaches or ('no golden inputs',))[0]}")
        self.controls.latency.setText(f"{opened.description}\nmedian {opened.milliseconds:.0f} ms per image")
        self.controls.set_latency(opened.device, f"{opened.milliseconds:.0f} ms")
        if self.current is not None:
            self.show_slice(*self.current)

    # Documents

    def choose_images(self) -> None:
        suffixes = " ".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES)
        names, _ = QFileDialog.getOpenFileNames(self, "Open images", "", f"Images ({suffixes});;All files (*)")
        self.open_paths([Path(name) for name in names])

    def choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder of images")
        self.open_paths([Path(name)] if name else [])

    def open_samples(self) -> None:
        """The bundled pictures of the kind that the checkpoint was trained on."""
        from s2m_edge.samples import sample_images

        domain = self.contract.values["checkpoint"]["provenance"].get("domain")
        self.open_paths(sample_images(domain) or sample_images(None))

    def open_paths(self, paths: list[Path]) -> None:
        """Open files and folders; what is open already stays once."""
        if paths:
            self.worker.submit(Job("documents", lambda: open_documents(paths)))

    def _add_documents(self, documents: list[Document], failures: list[Exception]) -> None:
        known = set(self.queue.documents())
        new = [document for document in dict.fromkeys(documents) if document not in known]
        for document in new:
            self.queue.add_document(document)
        if failures:
            more = f" ({len(failures) - 1} more)" if len(failures) > 1 else ""
            self.message.setText(f"{failures[0]}{more}")
        if self.current is None and self.queue.list.count():
            self.queue.list.setCurrentRow(0)
        self._enable()

    def clear(self) -> None:
        """Close everything."""
        self.worker.cancel("show")
        self.queue.list.clear()
        self.results.clear()
        self.current = None
        self._image = None
        self.canvas.show_picture(None)
        self.slices.hide()
        self._show_nothing_segmented()
        self._enable()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        self.open_paths([Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()])

    # One picture

    def show_slice(self, document: Document, index: int) -> None:
        """Show a slice, segmented; the network runs where that was not done yet."""
        self.current = (document, index)
        self.slices.set_slice(index, document.slices)
        self._show_nothing_segmented()
        self.canvas.wait_for(printable(document.path.name))
        self.worker.cancel("show")
        known, segments = self.results.get(document, {}).get(index), self.ready
        step = self.worker.steps("show", (document, index))

        def work() -> Shown:
            image = self.engine.read(document.path, index)
            found = known or (self.engine.segment(image, document.path.name, step) if segments else None)
            return image, found, None if found is None else found.in_picture_size()

        self.worker.submit(Job("show", work, (document, index)))

    def _stepped(self, key: tuple[Document, int], done: int, total: int) -> None:
        """A network that slides tells how far it is."""
        self.message.setText(f"{printable(key[0].path.name)}: window {done} of {total}" if done < total else "")

    def _slice_moved(self, index: int) -> None:
        if self.current is not None:
            self.show_slice(self.current[0], index)

    def _show_nothing_segmented(self) -> None:
        self._segmentation = self._scaled = self._labels = None
        self.canvas.show_overlay(None)
        self.controls.areas.setText("-")
        self.controls.details.setText("")
        self.controls.set_warning("")

    def _present(self, key: tuple[Document, int], shown: Shown) -> None:
        image, found, scaled = shown
        if found is not None and self.ready:
            self._note(key, found)
        if key != self.current:
            return
        self._image = image
        self.canvas.show_picture(image)
        self._show_nothing_segmented()
        if found is not None and self.ready:
            self._segmentation, self._scaled = found, scaled
            self._decide()

    def _note(self, key: tuple[Document, int], found: Segmentation) -> None:
        document, index = key
        done = self.results.setdefault(document, {})
        done[index] = found
        time = f", {found.network_milliseconds:.0f} ms"
        state = f"segmented{time}" if len(done) == document.slices else f"{len(done)} segmented"
        unusual = sum(entry.guard is not None and entry.guard.unusual for entry in done.values())
        of_many = f"{unusual} " if document.slices > 1 else ""
        self.queue.set_state(document, f"{state}, {of_many}unusual" if unusual else state)
        self._enable()

    def _decide(self) -> None:
        """Labels and areas at the threshold."""
        if self._scaled is None or self._segmentation is None:
            return
        self._labels = labels_of(self._scaled, self.controls.chosen_threshold)
        pixels = self._labels.size
        lines = []
        for number, entry in enumerate(self.contract.classes, start=1):
            area = int((self._labels == number).sum())
            lines.append(f"{printable(entry.name)} {area / pixels:.1%}")
        self.controls.areas.setText("\n".join(lines))
        found = self._segmentation
        areas = ", ".join(
            f"{int((self._labels == number).sum()):,}" for number in range(1, len(self.contract.classes) + 1)
        )
        self.controls.details.setText(
            f"{areas} of {pixels:,} pixels ({found.width} x {found.height})\n"
            f"network {found.network_milliseconds:.0f} ms, in all {found.milliseconds:.0f} ms"
        )
        self.controls.set_warning("" if found.guard is None else found.guard.warning)
        self._draw_overlay()

    def _draw_overlay(self) -> None:
        controls = self.controls
        if self._labels is None or not controls.shown.isChecked():
            self.canvas.show_overlay(None)
            return
        opacity = controls.opacity.value() / 100
        self.canvas.show_overlay(
            overlay_pixels(self._labels, self.contract.classes, opacity, controls.fills, controls.outlines)
        )

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
        for document, index in wanted:
            if index == 0:
                self.queue.set_state(document, "queued")
            step = self.worker.steps("segment", (document, index))
            self.worker.submit(
                Job(
                    "segment",
                    lambda document=document, index=index, step=step: self.engine.segment(
                        self.engine.read(document.path, index), document.path.name, step
                    ),
                    (document, index),
                    urgent=False,
                )
            )
        self._step(0, "" if wanted else "everything is segmented")
        self._enable()

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
            self.batch = Batch()
            self.queue.set_progress(0, 0)
            self._enable()

    # Export

    def choose_export(self) -> None:
        if not self.queue.export.isEnabled():
            return
        name = QFileDialog.getExistingDirectory(self, "Export masks, overlays and results.csv to")
        if name:
            self.export_to(Path(name))

    def export_to(self, folder: Path) -> None:
        """Write what was segmented."""
        assert self.opened is not None
        results = [(document, dict(slices)) for document, slices in self.results.items() if slices]
        self.batch = Batch(sum(len(slices) for _, slices in results))
        self.queue.set_progress(0, self.batch.total, "exporting")
        contract, device, threshold = self.contract, self.opened.description, self.controls.chosen_threshold
        stopped = self.worker.cancellation("export")
        job = Job(
            "export",
            lambda: export_results(folder, results, contract, device, threshold, stopped=stopped),
        )
        self.worker.submit(job)
        self._enable()

    # The worker's answers

    def _finished(self, job: Job, result: Any) -> None:
        if job.kind == "open":
            if job.key == self.controls.device.currentData():
                self._opened(result)
        elif job.kind == "measure":
            self.controls.set_latency(job.key, f"{result.milliseconds:.0f} ms{'' if result.passed else ', FAILED'}")
        elif job.kind == "documents":
            self._add_documents(*result)
        elif job.kind == "show":
            self._present(job.key, result)
        elif job.kind == "segment":
            self._note(job.key, result)
            self._step(1)
        elif job.kind == "export":
            exported: Exported = result
            self._step(self.batch.total, printable(f"exported {exported.pictures} to {exported.folder}"))
            if exported.stopped:
                self.message.setText(f"export stopped after {exported.pictures}")
        self._enable()

    def _failed(self, job: Job, reason: str) -> None:
        self.message.setText(reason)
        self.message.setToolTip(plain_tip(reason))
        if job.kind == "open" and job.key == self.controls.device.currentData():
            self.tools.set_badge("not loaded: no masks", RED, reason)
            self.controls.latency.setText(reason)
        elif job.kind == "measure":
            self.controls.set_latency(job.key, "not loaded")
        elif job.kind in ("show", "segment"):
            self.queue.set_state(job.key[0], "cannot be read", reason)
            if job.kind == "segment":
                self.batch.failed += 1
                self._step(1)
            elif job.key == self.current:
                self.canvas.show_picture(None)
                self._show_nothing_segmented()
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
