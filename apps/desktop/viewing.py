"""A window that opens studies and pictures and shows them, slice by slice, with masks. Work is done by the worker."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QMainWindow

from s2m_edge.apps.desktop import texts
from s2m_edge.apps.desktop.documents import Document, Studies, cut_document, open_documents
from s2m_edge.apps.desktop.engine import Engine, Opened, Segmentation, import_readers, list_devices
from s2m_edge.apps.desktop.kept import Keeper
from s2m_edge.apps.desktop.layout import Centre, StatusLine
from s2m_edge.apps.desktop.plain import plain_tip
from s2m_edge.apps.desktop.presenter import Presenter, Shown
from s2m_edge.apps.desktop.style import AMBER, GREEN, RED
from s2m_edge.apps.desktop.tools import ToolRow
from s2m_edge.apps.desktop.whole import study_figures
from s2m_edge.apps.desktop.windowing import window_of
from s2m_edge.apps.desktop.worker import Job, Worker
from s2m_edge.deploy.bundle import Bundle
from s2m_edge.errors import S2MEdgeError
from s2m_edge.imaging.folders import IMAGE_SUFFIXES
from s2m_edge.imaging.planes import Plane
from s2m_edge.imaging.results.figures import ClassFigures
from s2m_edge.texts import printable

Key = tuple[Document, int]
LOOKING = "looking for studies"
LISTED = 50
"""Files between two reports of how far a folder is looked through."""
REMARKS = 20
"""Lines of a tooltip, at most."""


class ViewingWindow(QMainWindow):
    """All of the app but batch and export, which `MainWindow` adds.

    Args:
        bundle: of the target openvino.
        device: that OpenVINO lists, or AUTO.
    """

    def __init__(self, bundle: Bundle, device: str = "CPU") -> None:
        super().__init__()
        self.bundle, self.contract = bundle, bundle.contract
        self.engine, self.worker = Engine(bundle), Worker()
        self.opened: Opened | None = None
        self.current: Key | None = None
        self.results: dict[Document, dict[int, Segmentation]] = {}
        self.figures: dict[Document, tuple[float, tuple[ClassFigures, ...]]] = {}
        self.studies, self._keeper = Studies(), Keeper()
        self._build()
        self.worker.stepped.connect(self._stepped)

    def start(self, device: str) -> None:
        """Begin, once whoever wants to hear of the worker's answers is connected."""
        self.worker.start()
        self.controls.set_devices(list_devices(), device)
        self.open_device(device)
        self.worker.submit(Job("warm", import_readers, urgent=False))

    def _build(self) -> None:
        self.setWindowTitle(f"Segmentation - {printable(self.bundle.folder.name)}")
        self.resize(1280, 800)
        self.setAcceptDrops(True)
        centre, status = Centre(self.contract), StatusLine(self.statusBar())
        self.setCentralWidget(centre)
        self.canvas, self.queue, self.slices, self.controls = (
            centre.canvas, centre.queue, centre.slices, centre.controls
        )  # fmt: skip
        self.message, self.window_text, self.zoom_text = status.message, status.window_text, status.zoom_text
        self.presenter = Presenter(self.canvas, self.controls, self.contract.classes)
        self._build_tools()
        self.controls.model.setText(texts.model_text(self.contract))
        self.queue.chosen.connect(lambda document: self.show_slice(document, document.first_shown))
        self.queue.clear.clicked.connect(self.clear)
        self.slices.chosen.connect(self._slice_moved)
        self.slices.cut.connect(self.cut_current)
        self.canvas.turned.connect(self.slices.move)
        self.canvas.zoomed.connect(lambda zoom: self.zoom_text.setText(f"{zoom:.0%}  "))
        self.presenter.windowed.connect(self.window_text.setText)
        self.controls.overlay_changed.connect(self.presenter.draw_overlay)
        self.controls.threshold_changed.connect(self._threshold_moved)
        self.controls.device.currentIndexChanged.connect(lambda: self.open_device(self.controls.device.currentData()))
        self.controls.compare.clicked.connect(self.measure_devices)
        self._enable()

    def _build_tools(self) -> None:
        self.tools = ToolRow(self)
        self.tools.add("Open images...", "Ctrl+O", self.choose_images)
        self.tools.add("Open folder...", "Ctrl+Shift+O", self.choose_folder)
        self.tools.add("Samples", "Ctrl+Shift+S", self.open_samples)
        self.tools.add("Fit", "Ctrl+0", self.canvas.fit)
        self.tools.add("Show overlay", "O", self.controls.shown.toggle, visible=False)
        self.tools.add("Reset the window", "W", self.presenter.reset_window, visible=False)
        self.tools.add("Next slice", "PgDown", self.slices.next, visible=False)
        self.tools.add("Previous slice", "PgUp", self.slices.previous, visible=False)

    @property
    def ready(self) -> bool:
        """Whether masks may be shown: a device is open and its self-test passed."""
        return self.opened is not None and self.opened.passed

    @property
    def busy(self) -> bool:
        """Whether a batch or an export is in work."""
        return False

    def _enable(self) -> None:
        some = self.queue.list.count() > 0
        self.queue.run.setEnabled(self.ready and some and not self.busy)
        self.queue.cancel.setEnabled(self.busy)
        self.queue.export.setEnabled(self.ready and not self.busy and any(self.results.values()))
        self.queue.clear.setEnabled(some and not self.busy)
        self.controls.device.setEnabled(not self.busy)
        self.controls.compare.setEnabled(not self.busy)
        for choice in (self.slices.plane, self.slices.volume):
            choice.setEnabled(not self.busy)

    # Devices

    def open_device(self, device: str) -> None:
        """Load the network there and run the self-test; what was segmented elsewhere is dropped."""
        self.opened = None
        self._forget_results()
        for document in self.queue.documents():
            self.queue.set_state(document, "waiting")
        self.tools.set_badge("testing...", AMBER)
        self.controls.latency.setText(f"loading on {device}")
        self.presenter.show_nothing_segmented()
        self._enable()
        for kind in ("show", "figures"):
            self.worker.cancel(kind)
        self.worker.submit(Job("open", lambda: self.engine.open(device), device))

    def _forget_results(self) -> None:
        self.results, self.figures, self._keeper = {}, {}, Keeper()

    def measure_devices(self) -> None:
        """Measure every device in turn."""
        for row in range(self.controls.device.count()):
            device = self.controls.device.itemData(row)
            self.controls.set_latency(device, "measuring...")
            self.worker.submit(Job("measure", lambda device=device: self.engine.measure(device), device))

    def _opened(self, opened: Opened) -> None:
        self.opened = opened
        tip = texts.self_test_text(opened)
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
        name = QFileDialog.getExistingDirectory(self, "Open a folder of studies or images")
        self.open_paths([Path(name)] if name else [])

    def open_samples(self) -> None:
        """The bundled pictures of the kind that the checkpoint was trained on."""
        from s2m_edge.samples import sample_images

        domain = self.contract.values["checkpoint"]["provenance"].get("domain")
        self.open_paths(sample_images(domain) or sample_images(None))

    def open_paths(self, paths: list[Path]) -> None:
        """Open files and folders, with the studies and pictures in them; what is open already stays once."""
        step = self.worker.steps("documents", self.studies)

        def listed(done: int, total: int) -> None:
            if done and done % LISTED == 0:
                step(done, total)

        if paths:
            self.worker.submit(Job("documents", lambda: open_documents(paths, listed), self.studies))

    def _add_documents(self, documents: list[Document], failures: list[S2MEdgeError]) -> None:
        known = set(self.queue.documents())
        new = [document for document in dict.fromkeys(documents) if document not in known]
        for document in new:
            self.queue.add_document(document)
        if failures:
            self._say([str(error) for error in failures])
        else:
            self._looked()
        if self.current is None and self.queue.list.count():
            self.queue.list.setCurrentRow(0)
        self._enable()

    def _looked(self) -> None:
        if self.message.text().startswith(LOOKING):
            self.message.setText("")

    def _say(self, lines: list[str]) -> None:
        """The first of some lines, and how many more there are, which the tooltip shows."""
        more = f" ({len(lines) - 1} more)" if len(lines) > 1 else ""
        self.message.setText(f"{lines[0]}{more}")
        self.message.setToolTip(plain_tip("\n".join(lines[:REMARKS])))

    def clear(self) -> None:
        """Close everything, and what is still being looked for."""
        for kind in ("show", "figures", "documents"):
            self.worker.cancel(kind)
        self.queue.clear_documents()
        self.current = None
        self._forget_results()
        self.studies = Studies()
        self._looked()
        self.slices.hide()
        self.presenter.close()
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
        self.slices.set_document(document)
        self.slices.set_slice(index, document.slices)
        self.presenter.show_nothing_segmented()
        self.canvas.wait_for(printable(document.title))
        for kind in ("show", "figures"):
            self.worker.cancel(kind)
        known, segments = self.results.get(document, {}).get(index), self.ready
        step = self.worker.steps("show", (document, index))
        engine, studies, keeper = self.engine, self.studies, self._keeper

        def work() -> Shown:
            read = studies.read(document, index, engine.intensity)
            values = studies.values(document, index, read.image)
            found = known
            if found is None and segments:
                found = keeper.keep(engine.segment(read.image, document.title, step))
            scaled = None if found is None else found.in_picture_size()
            return Shown(read, values, window_of(values, read.image), found, scaled)

        self.worker.submit(Job("show", work, (document, index)))

    def cut_current(self, plane: Plane | None, volume: int | None) -> None:
        """Show the study in another plane, or another volume of its file; what was segmented in this one is dropped."""
        if self.current is None or self.busy:
            return
        document = self.current[0]
        if (plane, volume) != (document.plane, document.volume):
            self.worker.cancel("cut")
            self.worker.submit(Job("cut", lambda: cut_document(document, plane, volume), (self.studies, document)))

    def _cut(self, document: Document, other: Document) -> None:
        """A study was cut anew."""
        if self.busy or not self.queue.holds(document):  # a batch has begun, or it was closed meanwhile
            self._cut_failed()
            return
        self.results.pop(document, None)
        self.figures.pop(document, None)
        self.queue.replace_document(document, other)
        if self.current is not None and self.current[0] == document:
            self.show_slice(other, other.first_shown)

    def _cut_failed(self) -> None:
        if self.current is not None:
            self.slices.set_document(self.current[0])

    def _stepped(self, key: Key | Studies, done: int, total: int) -> None:
        """A long listing, or a network that slides, tells how far it is."""
        if isinstance(key, Studies) and key is not self.studies:  # closed meanwhile
            return
        what = f"{LOOKING}: file" if isinstance(key, Studies) else f"{printable(key[0].title)}: window"
        self.message.setText(f"{what} {done} of {total}" if done < total else "")

    def _slice_moved(self, index: int) -> None:
        if self.current is not None:
            self.show_slice(self.current[0], index)

    def _threshold_moved(self) -> None:
        self.presenter.decide()
        self._measure_study()

    def _present(self, key: Key, shown: Shown) -> None:
        if not self.queue.holds(key[0]):  # closed meanwhile
            return
        if shown.segmentation is not None and self.ready:
            self._note(key, shown.segmentation)
        if key == self.current:
            self.presenter.present(key[0], shown, self.ready)
            self._measure_study()

    def _note(self, key: Key, found: Segmentation) -> None:
        document, index = key
        done = self.results.setdefault(document, {})
        done[index] = found
        self.queue.set_state(document, texts.state_text(document, done, found))
        self._enable()

    def _measure_study(self) -> None:
        """Volume and diameter of the study that is shown, at the threshold; measured once all slices are segmented."""
        if self.current is None:
            return
        document, threshold = self.current[0], self.controls.chosen_threshold
        done = self.results.get(document, {})
        known = self.figures.get(document)
        figures = known[1] if known is not None and known[0] == threshold else None
        self.presenter.show_volume(len(done), figures)
        if figures is not None or document.is_picture or not 1 < document.slices == len(done):
            return
        self.worker.cancel("figures")
        step, studies, classes, segmented = (
            self.worker.stopping("figures"), self.studies, self.contract.classes, dict(done)
        )  # fmt: skip
        self.worker.submit(
            Job(
                "figures",
                lambda: study_figures(studies.of(document).grid, segmented, threshold, classes, step),
                (document, threshold, self.figures),
            )
        )
