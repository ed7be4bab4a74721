"""The network's side: pynetdicom as a storage SCP whose every resource has a bound.

pynetdicom 3.0 reads a message of any length into memory, waits for its rest as long as its sender likes, and counts
associations alone, not connections. Here each of the three has an end.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import AssociationServer, AssociationSocket, RequestHandler

from s2m_edge.apps.server.reception import Answer, Reception
from s2m_edge.apps.server.settings import Settings
from s2m_edge.apps.server.studies import Say, Studies
from s2m_edge.errors import OutputError
from s2m_edge.imaging.decoders import COMPRESSIONS, has_decoder
from s2m_edge.texts import printable

_SLACK = 2**20
"""Bytes of a request to associate, or of what surrounds an instance."""

_CHUNK = 2**16
_CONNECTIONS = 4
"""Connections for each association that is allowed: those that have said nothing yet are connections too."""

_LAST_WORDS = 1.0
"""Seconds for telling peers that the server ends."""


def image_classes() -> list[str]:
    """UIDs of the SOP classes that hold images; videos, which the toolkit does not read, are none."""
    return [
        str(context.abstract_syntax)
        for context in AllStoragePresentationContexts
        if "Image Storage" in (name := getattr(context.abstract_syntax, "name", "")) and not name.startswith("Video")
    ]


def transfer_syntaxes() -> list[str]:
    """UIDs of the transfer syntaxes whose pixels can be decoded here.

    Deflated ones are left out: a small data set may grow to any size, and every sender has an uncompressed one, too.
    """
    rows = [row for row in COMPRESSIONS if row.name != "deflated"]
    return [syntax for row in rows for syntax in row.transfer_syntaxes if has_decoder(syntax)]


class Door:
    """Listens from `open` to `close`.

    Args:
        say: prints a line.
    """

    def __init__(self, settings: Settings, reception: Reception, studies: Studies, say: Say) -> None:
        self._settings, self._reception, self._studies, self._say = settings, reception, studies, say
        self._sending: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._entity = AE(settings.ae_title)
        self._server: _Server | None = None

    def open(self) -> int:
        """Begin to listen.

        Returns:
            The port.

        Raises:
            OutputError: the address is not this machine's, or its port is taken.
        """
        _hush()
        given, entity = self._settings, self._entity
        entity.require_called_aet = True
        entity.require_calling_aet = list(given.allow)
        entity.maximum_associations = given.associations
        entity.maximum_pdu_size = given.largest_pdu
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = given.network_timeout
        syntaxes = transfer_syntaxes()
        for sop_class in image_classes():
            entity.add_supported_context(sop_class, syntaxes)
        entity.add_supported_context(Verification)
        handlers = [
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_DATA_RECV, self._heard),
            (evt.EVT_REJECTED, self._rejected),
        ]
        try:
            server = entity.make_server(
                (given.host, given.port),
                evt_handlers=cast(Any, handlers),
                server_class=_Server,
                request_handler=_Handler,
            )
        except OSError as error:
            raise OutputError(
                f"{given.host} port {given.port} cannot be listened on ({error.strerror})",
                "Choose another with --port, or 0 for a free one.",
            ) from None
        self._server = cast(_Server, server)
        self._server.settings, self._server.say = given, self._say
        entity._servers.append(cast(Any, self._server))
        threading.Thread(target=self._server.serve_forever, args=(0.1,), name="door", daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Take no more connections and end those there are."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        open_ones = server.active_associations
        for association in open_ones:
            association.abort(block=False)
        until = time.monotonic() + _LAST_WORDS
        while time.monotonic() < until and any(association.is_alive() for association in open_ones):
            time.sleep(0.02)
        for association in open_ones:
            _cut(association)

    def _echo(self, event: Any) -> int:
        _handled(event.assoc)
        return 0x0000

    def _store(self, event: Any) -> Any:
        from pydicom.dataset import Dataset

        try:
            answer = self._reception.take(event.file_meta, event.request.DataSet)
        except Exception as error:  # a fault of ours must not look like a success
            answer = Answer(0xC000, f"unexpected {type(error).__name__}")
            self._say(f"refused: {answer.reason}. Please report it.")
        _handled(event.assoc)
        if answer.study:
            self._sending[event.assoc] = answer.study
        status = Dataset()
        status.Status = answer.status
        if answer.reason:
            status.ErrorComment = answer.comment
        return status

    def _heard(self, event: Any) -> None:
        """While more comes from where a study came from, it is not quiet."""
        study = self._sending.get(event.assoc)
        if study is not None:
            self._studies.touch(study)

    def _rejected(self, event: Any) -> None:
        asked = event.assoc.requestor.primitive
        calling, called = printable(asked.calling_ae_title), printable(asked.called_ae_title)
        self._say(f"refused: an association of {calling} with {called}")


def _handled(association: Any) -> None:
    association.dul.socket.pending = 0


def _cut(association: Any) -> None:
    held = association.dul.socket
    if held is not None and held.socket is not None:
        with suppress(OSError):
            held.socket.shutdown(socket.SHUT_RDWR)


class _Socket(AssociationSocket):
    """Reads no more than an instance may have, and no longer than the network's timeout for each message.

    Attributes:
        pending: bytes that came since the last request was answered.
        most: that it may become.
        seconds: for one message of the lower layer.
    """

    pending = 0
    most = _SLACK
    seconds = 30.0

    def recv(self, nr_bytes: int) -> bytearray:
        self.pending += nr_bytes
        if self.pending > self.most:
            raise OSError(f"more than {self.most} bytes without a request's end")
        try:
            read = self._read(nr_bytes)
        except OSError:
            self._give_place_up()
            raise
        if len(read) < nr_bytes:
            self._give_place_up()
        return read

    def _read(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer where the peer has gone."""
        read, until = bytearray(nr_bytes), time.monotonic() + self.seconds
        count = 0
        held = cast(socket.socket, self.socket)
        while count < nr_bytes:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("a message did not end")
            held.settimeout(left)
            with memoryview(read) as view, view[count : count + _CHUNK] as rest:
                got = held.recv_into(rest)
            if not got:
                del read[count:]
                break
            count += got
        held.settimeout(self.seconds)
        return read

    def _give_place_up(self) -> None:
        """A peer that went before it asked for anything would keep its thread waiting for the request."""
        if self.assoc.requestor.primitive is None:
            self.assoc.dul.to_user_queue.put(cast(Any, None))


class _Handler(RequestHandler):
    """Gives every connection a socket with bounds."""

    def _create_association(self) -> Any:
        association = super()._create_association()
        settings = cast(_Server, self.server).settings
        bounded = _Socket(association, client_socket=self.request)
        association.dul.event_queue.get_nowait()  # the first socket has told of the connection already
        bounded.most = settings.largest_instance + _SLACK
        bounded.seconds = settings.network_timeout
        association.dul.socket = bounded
        association.dul.daemon = True  # or a silent peer would keep the process from ending
        for thread in (association, association.dul):
            thread.run = self._guarded(thread.run, association)
        return association

    def _guarded(self, run: Callable[[], None], association: Any) -> Callable[[], None]:
        """A thread of pynetdicom's that a peer's nonsense ends with one line."""

        def guarded() -> None:
            try:
                run()
            except Exception as error:
                cast(_Server, self.server).say(f"a connection made no sense and was ended ({type(error).__name__})")
                _cut(association)

        return guarded


class _Server(AssociationServer):
    """Turns connections away where there are too many."""

    settings: Settings
    say: Say

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.active_associations) < _CONNECTIONS * self.settings.associations

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that ended before it began is nobody's business."""


def _hush() -> None:
    """No log of pynetdicom's: it would print what strangers send, and tracebacks."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
