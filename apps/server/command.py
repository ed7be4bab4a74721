"""What `s2m-edge serve` does: open the bundle, recover, listen, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from s2m_edge import console, interrupts
from s2m_edge.apps.server.inbox import Inbox
from s2m_edge.apps.server.ledger import Ledger
from s2m_edge.apps.server.results import Segment
from s2m_edge.apps.server.sending import Sender
from s2m_edge.apps.server.settings import Settings
from s2m_edge.apps.server.studies import Studies
from s2m_edge.apps.server.worker import Worker
from s2m_edge.errors import ConfigurationError, MissingBackendError, OutputError
from s2m_edge.files import output_error, require_writable
from s2m_edge.installation import install_command
from s2m_edge.leftovers import held
from s2m_edge.notice import NOTICE

INBOX, LEDGER = "inbox", "ledger.sqlite"
_LOCK = ".lock"
GRACE = 10.0
"""Seconds for the study at work and what is being sent to notice that the server ends."""


def require_pynetdicom() -> None:
    """Raise MissingBackendError where pynetdicom is not installed."""
    if importlib.util.find_spec("pynetdicom") is None:
        raise MissingBackendError(
            "the server needs pynetdicom, which is not installed", f"Install it with: {install_command('serve')}."
        )


def run_server(
    bundle: Path,
    out: Path,
    settings: Settings,
    *,
    inbox: Path | None,
    formats: str,
    codes: Path | None,
    threads: int | None,
) -> None:
    """Open a bundle and serve with it.

    Args:
        formats: of the results, with commas.
        codes: a file of codes of the classes.
        threads: of the CPU, for the runtime.
        Others as `serve` takes them.

    Raises:
        S2MEdgeError: whatever stands in the way; see the called functions.
    """
    require_pynetdicom()
    from s2m_edge.apps.server.segment import open_network

    with console.status.status("loading the bundle"):
        network = open_network(bundle, formats, codes, threads)
    if settings.send_to is not None and "dicom-seg" not in network.formats:
        raise ConfigurationError("--send-to sends DICOM-SEG, and --format leaves it out", "Add dicom-seg to --format.")
    serve(network.segment_received, out, settings, inbox=inbox, made_by=network.made_by)


def serve(segment: Segment, out: Path, settings: Settings, *, inbox: Path | None, made_by: dict[str, Any]) -> None:
    """Serve until a signal asks for the end; every line of what happens goes to standard output.

    Args:
        segment: what is done with a study.
        out: results, and the ledger.
        inbox: what was received; a folder in `out` by default.
        made_by: what every result's record says of the network.

    Raises:
        MissingBackendError: pynetdicom is not installed.
        OutputError: a folder cannot be written or is another server's, or the port is taken.
        InputError: the ledger cannot be read.
        KeyboardInterrupt: at the end, where studies are left for the next start.
    """
    require_pynetdicom()
    from s2m_edge.apps.server.door import Door
    from s2m_edge.apps.server.reception import Reception

    place = out / INBOX if inbox is None else inbox
    require_writable(out)
    if not place.exists():
        _make_private(place)
    require_writable(place)
    if not settings.is_local:
        console.print_warning(
            f"{settings.host} can be reached from other machines: anybody there can send, AE titles are no proof of "
            "who sends, and nothing is encrypted"
        )
    with _only_here(out), _only_here(place):
        try:
            received = Inbox(place, settings.room, settings.reserve)
        except OSError as error:
            raise output_error(place, error, "choose another place with --inbox") from None
        ledger, end = Ledger(out / LEDGER), threading.Event()
        studies = Studies(received, ledger, out, settings, _say)
        left = studies.recover()
        door = Door(settings, Reception(studies, _say, end.is_set), studies, _say)
        threads: list[threading.Thread] = [Worker(studies, segment, out, made_by, _say, end)]
        if settings.send_to is not None:
            threads.append(Sender(ledger, out, settings, _say, end))
        try:
            port = door.open()
            if left:
                _say(f"{left} studies of an earlier run are to be done")
            _say(f"{settings.ae_title} listens on {settings.host} port {port}; Ctrl-C ends it")
            console.output.print(NOTICE)
            for thread in threads:
                thread.start()
            while not end.wait(1.0):
                interrupts.heed()
        except KeyboardInterrupt:  # the way to end it
            pass
        finally:
            end.set()
            door.close()
            for thread in threads:
                if thread.is_alive():
                    thread.join(GRACE)
        _farewell(studies)
        if not any(thread.is_alive() for thread in threads):
            ledger.close()


def _make_private(folder: Path) -> None:
    """Patients' names are in what is received: the folder is its owner's alone, where we make it."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise output_error(folder, error, "choose another place with --inbox") from None


def _farewell(studies: Studies) -> None:
    """Say what is left, and end as interrupted only where something is."""
    waiting, unsent = studies.waiting(), studies.unsent()
    if waiting or unsent:
        _say(f"ended; left for the next start: {waiting} studies to be done, {unsent} results to be sent")
        raise KeyboardInterrupt
    _say("ended; nothing is left to do")
    interrupts.forget()


@contextmanager
def _only_here(folder: Path) -> Iterator[None]:
    with held(folder / _LOCK) as ours:
        if not ours:
            raise OutputError(f"another server works in {folder}", "End it, or choose another folder.")
        yield


def _say(text: str) -> None:
    console.output.print(f"{datetime.now():%H:%M:%S} {text}")
