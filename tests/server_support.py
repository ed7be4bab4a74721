"""A study server for tests: in this process or in one of its own, and the peers that talk to it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, generate_uid

from command_line import heed_interrupts
from dicom_files import dicom
from pages import ROOT
from s2m_edge.apps.server.sending import leave_answers_alone

DEADLINE = 180.0


def slices(count: int = 3, study: str = "", **tags: Any) -> list[Dataset]:
    """Instances of one series."""
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    uids = {"StudyInstanceUID": study or generate_uid(), "SeriesInstanceUID": generate_uid()}
    return [dicom(pixels + number, InstanceNumber=number, **uids, **tags) for number in range(count)]


def parts(number: int = 0, implementation: str = "1.2.3") -> tuple[bytes, bytes]:
    """A file in two: what stands before its data set, and bytes in place of a data set."""
    meta = slices(1)[0].file_meta
    meta.ImplementationClassUID = UID(implementation)
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    head = DicomBytesIO()
    head.write(bytes(128) + b"DICM")
    write_file_meta_info(head, meta)
    return head.getvalue(), bytes([number]) * 5000


def write_slices(folder: Path, instances: Sequence[Dataset]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(instances):
        each.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def program(name: str) -> str:
    """One of dcmtk's programs, which is a peer that we did not write."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed here: apt install dcmtk")
    return found


def until(true: Callable[[], Any], what: str = "") -> Any:
    """Wait for something to become true."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not come to pass: {what}")


def associate(
    port: int, instances: Sequence[Dataset], called: str = "S2MEDGE", calling: str = "TEST", timeout: float = 60
) -> Any:
    """An association of pynetdicom's as a peer, established or not; a server that went is noticed after the timeout."""
    from pynetdicom import AE

    entity = AE(calling)
    entity.network_timeout = entity.dimse_timeout = entity.acse_timeout = timeout
    for kind in sorted({(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for each in instances}):
        entity.add_requested_context(*kind)
    return entity.associate("127.0.0.1", port, ae_title=called)


def send(port: int, instances: Sequence[Dataset], **options: Any) -> list[int | None]:
    """The status of each instance, None where there was no answer."""
    association = associate(port, instances, **options)
    assert association.is_established
    leave_answers_alone(association)
    found: list[int | None] = []
    try:
        for each in instances:
            found.append(association.send_c_store(each).get("Status") if association.is_established else None)
    finally:
        if association.is_established:
            association.release()
    return found


SCRIPT = """
    import json, os, sys, time
    from pathlib import Path
    from s2m_edge.cli import main as entry
    from s2m_edge.apps.server.command import serve
    from s2m_edge.apps.server.results import Outcome
    from s2m_edge.apps.server.settings import Settings, parse_destination

    out, seconds, options = Path(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
    if "send_to" in options:
        options["send_to"] = parse_destination(options["send_to"])

    def segment(source, stage, heed):
        with open(out / "begun.txt", "a") as log:
            log.write(source.name + "\\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            heed()
            time.sleep(0.02)
        import pydicom
        from pydicom.uid import UID, generate_uid
        found = sorted(source.rglob("*.dcm"))
        data = pydicom.dcmread(found[0])
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.save_as(stage / "mask-seg.dcm")
        (stage / "count.txt").write_text(str(len(found)))
        return Outcome((stage / "mask-seg.dcm", stage / "count.txt"))

    def command(**_):
        serve(segment, out, Settings(port=0, **options), inbox=None, made_by={"network": "test"})

    entry.app = command
    entry.main([])
"""


@dataclass
class Process:
    """A server in a process of its own; its lines are read as they come."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def port(self) -> int:
        def listening() -> str | None:
            assert self.process.poll() is None, "\n".join(self.lines)
            return next((line for line in self.lines if " port " in line), None)

        return int(until(listening, "listening").split(" port ")[1].split(";")[0])

    def said(self, *words: str) -> str | None:
        return next((line for line in list(self.lines) if all(word in line for word in words)), None)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        until(lambda: self.process.stdout is None or number == signal.SIGKILL or self.said("ended"), "its last words")
        return code


@contextmanager
def server_process(out: Path, seconds: float = 0.0, **options: Any) -> Iterator[Process]:
    """A server whose work on a study takes `seconds`; killed at the end."""
    out.mkdir(parents=True, exist_ok=True)
    with started("-c", textwrap.dedent(SCRIPT), str(out), str(seconds), json.dumps(options)) as server:
        yield server


@contextmanager
def started(*words: str) -> Iterator[Process]:
    """Python with these arguments, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=heed_interrupts,
    )
    try:
        yield Process(process)
    finally:
        process.kill()
        process.wait(DEADLINE)


@contextmanager
def archive(folder: Path, port: int) -> Iterator[None]:
    """dcmtk's storage SCP as a destination with the title ARCHIVE, which puts into a folder what it gets."""
    folder.mkdir(exist_ok=True)
    command = [program("storescp"), "-aet", "ARCHIVE", "-od", str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait(DEADLINE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def results(out: Path) -> dict[str, int]:
    """How many instances each result was made from, by the name of its folder."""
    return {path.parent.name: int(path.read_text()) for path in out.glob("[0-9]*/count.txt")}


def begun(out: Path) -> list[str]:
    """Studies whose work was begun, once for each time."""
    path = out / "begun.txt"
    return path.read_text().split() if path.exists() else []
