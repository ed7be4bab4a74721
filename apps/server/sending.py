"""Results on their way to another node: C-STORE of a result's DICOM files, tried a few times, then kept and said."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from s2m_edge.apps.server.ledger import Entry, Ledger
from s2m_edge.apps.server.results import read_record
from s2m_edge.apps.server.settings import Destination, Settings
from s2m_edge.apps.server.studies import Say
from s2m_edge.errors import OutputError, in_one_line

_SUFFIX = ".dcm"
_TURN = 0.2
_WARNINGS = (0xB000, 0xB006, 0xB007)
"""It was stored, and something was changed or remarked (PS3.4 table B.2-1)."""


def send_files(files: Sequence[Path], destination: Destination, ae_title: str, timeout: float) -> None:
    """Send DICOM files over one association.

    Args:
        ae_title: the caller's own.
        timeout: seconds for every answer.

    Raises:
        OutputError: not all of them were taken.
    """
    import pydicom
    from pynetdicom import AE

    entity = AE(ae_title)
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout
    data = [(path, pydicom.dcmread(path)) for path in files]
    for sop_class, syntax in sorted({(each.SOPClassUID, each.file_meta.TransferSyntaxUID) for _, each in data}):
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(destination.host, destination.port, ae_title=destination.ae_title)
    if not association.is_established:
        refused = association.is_rejected
        reason = "it refused the association" if refused else "nobody answers there"
        raise OutputError(f"{destination} cannot be reached ({reason})")
    leave_answers_alone(association)
    try:
        for path, each in data:
            try:
                status = association.send_c_store(each).get("Status")
            except (ValueError, RuntimeError) as error:  # no context for it was accepted; the peer ended it
                raise OutputError(f"{destination} did not take {path.name} ({in_one_line(error)})") from None
            if status is None:
                raise OutputError(f"{destination} did not answer for {path.name}")
            if status != 0 and status not in _WARNINGS:
                raise OutputError(f"{destination} did not take {path.name} (status 0x{status:04X})")
    finally:
        if association.is_established:
            association.release()


def leave_answers_alone(association: Any) -> None:
    """Keep an association's own thread from taking the answer that `send_c_store` waits for.

    pynetdicom 3.0 pauses that thread by a flag which it may have read just before; on a busy machine the answer is then
    lost, and the sender waits for nothing. A sender serves no requests, so that its thread has nothing to take.
    """
    take = association.dimse.get_msg
    association.dimse.get_msg = lambda block=False: take(block=True) if block else (None, None)


class Sender(threading.Thread):
    """Sends the results that are done, one after the other, until `end` is set; those of the last run first.

    A result that the process was killed over may be sent twice, with the same UIDs.
    """

    def __init__(self, ledger: Ledger, out: Path, settings: Settings, say: Say, end: threading.Event) -> None:
        super().__init__(name="sending", daemon=True)
        assert settings.send_to is not None
        self._ledger, self._out, self._settings, self._say, self._end = ledger, out, settings, say, end
        self._destination = settings.send_to

    def run(self) -> None:
        while not self._end.is_set():
            try:
                waiting = self._ledger.in_state("done")
                if waiting:
                    self._send(waiting[0])
                    continue
            except Exception as error:  # the ledger's disk is full: the result stays done, and is sent again
                self._say(f"error: {in_one_line(error)}")
                self._end.wait(self._settings.send_pause)
            self._end.wait(_TURN)

    def _send(self, entry: Entry) -> None:
        folder = self._out / entry.folder
        named = (read_record(folder) or {}).get("files", ())
        files = [folder / name for name in named if str(name).endswith(_SUFFIX)]
        if not files:
            self._keep(entry, f"{folder} holds no DICOM file any more")
            return
        pause = self._settings.send_pause
        for attempt in range(1, self._settings.send_attempts + 1):
            try:
                send_files(files, self._destination, self._settings.ae_title, self._settings.network_timeout)
            except Exception as error:  # pynetdicom and pydicom raise anything
                reason = str(error) if isinstance(error, OutputError) else in_one_line(error)
            else:
                self._ledger.put(replace(entry, state="sent"))
                self._say(f"study {entry.uid}: {len(files)} DICOM files sent to {self._destination}")
                return
            if attempt < self._settings.send_attempts and self._end.wait(pause):
                return  # it stays done, and the next run sends it
            pause *= 2
        self._keep(entry, reason)

    def _keep(self, entry: Entry, reason: str) -> None:
        self._ledger.put(replace(entry, state="unsent", remark=reason))
        self._say(
            f"study {entry.uid}: NOT SENT, {reason}; it stays in {self._out / entry.folder}, and the next start tries "
            "again"
        )
