"""Who is let in, what is taken, what a sender is told, and that no sender can use up the machine."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
    generate_uid,
)

from s2m_edge.apps.server.inbox import Inbox
from s2m_edge.apps.server.ledger import Ledger
from s2m_edge.apps.server.settings import MISMATCH, NOT_UNDERSTOOD, OUT_OF_RESOURCES, SUCCESS, Settings
from s2m_edge.apps.server.studies import Studies
from server_support import DEADLINE, associate, program, send, slices, until, write_slices

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed; the extra serve has it")
from s2m_edge.apps.server.door import Door, image_classes, transfer_syntaxes
from s2m_edge.apps.server.reception import Reception


class Running:
    """A door on this process's loopback address, with an inbox behind it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.settings = Settings(port=0, **{"reserve": 0, **options})
        (folder / "inbox").mkdir(parents=True, exist_ok=True)
        self.inbox = Inbox(folder / "inbox", self.settings.room, self.settings.reserve)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.said: list[str] = []
        self.ending = threading.Event()
        self.studies = Studies(self.inbox, self.ledger, folder, self.settings, self.said.append)
        self.reception = Reception(self.studies, self.said.append, self.ending.is_set)
        self.door = Door(self.settings, self.reception, self.studies, self.said.append)
        self.port = self.door.open()

    def files(self) -> list[Path]:
        return sorted(self.inbox.folder.rglob("*.dcm"))


Open = Callable[..., Running]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    running: list[Running] = []

    def open_one(folder: Path | None = None, **options: Any) -> Running:
        running.append(Running(folder or tmp_path, **options))
        return running[-1]

    yield open_one
    for each in running:
        each.door.close()


def run_program(name: str, port: int, *words: object, called: str = "S2MEDGE", calling: str = "PEER") -> int:
    command = [program(name), "-aec", called, "-aet", calling, "127.0.0.1", str(port), *map(str, words)]
    return subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False).returncode


def test_dcmtk_is_echoed(opened: Open):
    assert run_program("echoscu", opened().port) == 0


def test_dcmtk_stores_a_study_and_every_file_is_whole(opened: Open, tmp_path: Path):
    server, given = opened(), slices(4)
    write_slices(tmp_path / "given", given)
    assert run_program("storescu", server.port, "+sd", tmp_path / "given") == 0
    assert len(server.files()) == 4
    for path in server.files():
        found = pydicom.dcmread(path)
        sent = next(each for each in given if each.SOPInstanceUID == found.SOPInstanceUID)
        assert path.relative_to(server.inbox.folder).parts == (
            sent.StudyInstanceUID,
            sent.SeriesInstanceUID,
            f"{sent.SOPInstanceUID}.dcm",
        )
        assert (found.pixel_array == sent.pixel_array).all()
    assert server.ledger.latest(given[0].StudyInstanceUID) is not None


def test_what_was_received_twice_is_there_once(opened: Open, tmp_path: Path):
    server = opened()
    write_slices(tmp_path / "given", slices(2))
    for _ in range(2):
        assert run_program("storescu", server.port, "+sd", tmp_path / "given") == 0
    assert len(server.files()) == 2


def test_another_picture_under_a_known_uid_is_refused(opened: Open):
    server, given = opened(), slices(1)
    assert send(server.port, given) == [SUCCESS]
    before = server.files()[0].read_bytes()
    given[0].PixelData = bytes(len(given[0].PixelData))
    assert send(server.port, given) == [NOT_UNDERSTOOD]
    assert [path.read_bytes() for path in server.files()] == [before]


@pytest.mark.parametrize("name", ["echoscu", "storescu"])
def test_a_wrong_called_title_is_rejected(name: str, opened: Open, tmp_path: Path):
    server = opened()
    files = [write_slices(tmp_path / "given", slices(1)) / "0.dcm"] if name == "storescu" else []
    assert run_program(name, server.port, *files, called="SOMEBODY") != 0
    assert server.files() == []
    assert "PEER with SOMEBODY" in until(lambda: server.said)[0]


def test_only_allowed_callers_are_let_in_where_some_are_named(opened: Open):
    server = opened(allow=("CT1", "MR 2"))
    assert run_program("echoscu", server.port, calling="CT1") == 0
    assert run_program("echoscu", server.port, calling="MR 2") == 0
    assert run_program("echoscu", server.port, calling="ct1") != 0
    assert run_program("echoscu", server.port) != 0


def test_names_from_the_network_do_not_reach_the_terminal_as_they_are(opened: Open):
    server = opened()
    called = b"\x1b]0;owned\x07".ljust(16)
    request = bytearray(associate_request(b"PEER".ljust(16), called))
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as peer:
        peer.sendall(request)
        assert peer.recv(1) in (b"\x03", b"\x07", b"")  # rejected, or aborted
    assert all(line.isprintable() for line in server.said)


def associate_request(calling: bytes, called: bytes, largest: int = 16384) -> bytes:
    """An A-ASSOCIATE-RQ by hand: Verification in implicit little endian."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    context = bytes([1, 0, 0, 0]) + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", largest)) + item(0x52, b"1.2.3")
    body = struct.pack(">HH", 1, 0) + called + calling + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
    return struct.pack(">BBI", 1, 0, len(body)) + body


def test_segmentations_and_other_kinds_are_not_taken(opened: Open):
    server = opened()
    given = slices(1)
    given[0].SOPClassUID = given[0].file_meta.MediaStorageSOPClassUID = SegmentationStorage
    association = associate(server.port, given)
    assert not association.accepted_contexts
    association.abort()
    assert server.files() == []


def test_images_are_taken_in_every_syntax_that_can_be_decoded_but_the_deflated_one():
    assert {CTImageStorage, "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.3.1"} <= set(image_classes())
    assert SegmentationStorage not in image_classes()
    assert {ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless} <= set(transfer_syntaxes())
    assert DeflatedExplicitVRLittleEndian not in transfer_syntaxes()


def test_a_compressed_picture_stays_compressed(opened: Open):
    server, given = opened(), slices(1)
    expected = given[0].pixel_array
    given[0].compress(RLELossless)
    assert send(server.port, given) == [SUCCESS]
    found = pydicom.dcmread(server.files()[0])
    assert found.file_meta.TransferSyntaxUID == RLELossless
    assert (found.pixel_array == expected).all()


@pytest.mark.parametrize("attribute", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", ["../../../tmp/x", "", "..", "1.2/../../3", "1.2\\3"])
@pytest.mark.filterwarnings("ignore:.*UI")
def test_a_path_is_no_uid(attribute: str, value: str, opened: Open, tmp_path: Path):
    from pydicom import config

    server, given = opened(), slices(1)
    with config.disable_value_validation():
        setattr(given[0], attribute, value)
        assert send(server.port, given) == [NOT_UNDERSTOOD]
    assert server.files() == []
    assert {path.name for path in tmp_path.iterdir()} == {"inbox", "ledger.sqlite"}


def test_a_data_set_that_is_another_instance_is_refused(opened: Open):
    server, given = opened(), slices(2)
    meta, data = given[0].file_meta, encoded(given[1])
    answer = server.reception.take(meta, data)
    assert (answer.status, server.files()) == (MISMATCH, [])


def encoded(data: pydicom.Dataset) -> BytesIO:
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    whole = buffer.getvalue()
    return BytesIO(whole[144 + int.from_bytes(whole[140:144], "little") :])


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
@pytest.mark.parametrize("damage", ["noise", "cut in its header", "nothing", "zeros"])
def test_a_corrupt_instance_is_refused(damage: str, opened: Open):
    server, given = opened(), slices(1)
    whole = encoded(given[0]).getvalue()
    content = {
        "noise": os.urandom(5000),
        "cut in its header": whole[:60],
        "nothing": b"",
        "zeros": bytes(5000),
    }[damage]
    answer = server.reception.take(given[0].file_meta, BytesIO(content))
    assert answer.status in (NOT_UNDERSTOOD, MISMATCH)
    assert (server.files(), len(server.said)) == ([], 1)


def test_a_full_queue_is_said_to_the_sender_and_told_once(opened: Open):
    server = opened(queue=1)
    first = slices(2)
    assert send(server.port, first[:1]) == [SUCCESS]
    assert send(server.port, [*slices(1), *slices(1)]) == [OUT_OF_RESOURCES] * 2
    assert send(server.port, first[1:]) == [SUCCESS]
    assert len(server.said) == 1
    assert "wait already" in server.said[0]


def test_a_full_inbox_is_said_to_the_sender(opened: Open):
    server = opened(room=20_000)
    assert send(server.port, slices(3)) == [SUCCESS, SUCCESS, OUT_OF_RESOURCES]
    assert len(server.files()) == 2


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of its own takes Linux and the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(("reserve", "words"), [(50_000, "MB left"), (-(10**12), "cannot be written")])
def test_a_full_disk_is_said_to_the_sender_and_what_was_confirmed_is_there(
    reserve: int, words: str, tmp_path: Path, opened: Open
):
    """Where some is kept free, and where the system refuses in the middle of a file."""
    with small_disk(tmp_path / "disk", "200k") as disk:
        server, given = opened(disk, reserve=reserve), slices(40)
        told = send(server.port, given)
        stored = [each for each, status in zip(given, told, strict=True) if status == SUCCESS]
        assert told.count(OUT_OF_RESOURCES) + len(stored) == 40
        assert 0 < len(stored) < 40
        names = {path.stem for path in server.files()}
        assert {each.SOPInstanceUID for each in stored} <= names
        for path in server.files():
            assert pydicom.dcmread(path).pixel_array.shape == (64, 64)
        assert words in server.said[0]
        server.door.close()
        server.ledger.close()


def test_a_server_that_is_ending_takes_nothing_more(opened: Open):
    server = opened()
    server.ending.set()
    assert send(server.port, slices(1)) == [OUT_OF_RESOURCES]


def test_an_instance_beyond_the_bound_ends_its_connection(opened: Open):
    server = opened(largest_instance=100_000)
    given = slices(1)
    given[0].add_new(0x00091010, "OB", bytes(3_000_000))
    assert send(server.port, given) == [None]
    assert server.files() == []
    assert send(server.port, slices(1)) == [SUCCESS]


def test_a_message_that_claims_four_gigabytes_ends_its_connection(opened: Open):
    server = opened()
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as peer:
        peer.sendall(struct.pack(">BBI", 1, 0, 2**32 - 1) + bytes(100))
        assert closed(peer)
    assert run_program("echoscu", server.port) == 0


def closed(peer: socket.socket) -> bool:
    """Whether the other side ends a connection; it may say a few words before."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("word", [b"", b"\x01\x00", b"\x01\x00\x00\x00\x01\x00half", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_silent_peer_is_not_waited_for_for_ever(word: bytes, opened: Open):
    server = opened(network_timeout=0.5)
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as peer:
        peer.sendall(word)
        assert closed(peer)


def test_connections_have_a_bound(opened: Open):
    server = opened(associations=1, network_timeout=60.0)
    peers = [socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) for _ in range(12)]
    try:
        assert any(closed(peer) for peer in peers[-1:])
        assert len(server.door._server.active_associations) <= 4  # type: ignore[union-attr]
    finally:
        for peer in peers:
            peer.close()
    until(lambda: run_program("echoscu", server.port) == 0, "a place is free again")


def test_associations_have_a_bound(opened: Open):
    server = opened(associations=1)
    first = associate(server.port, slices(1))
    assert first.is_established
    assert associate(server.port, slices(1)).is_rejected
    first.release()
    until(lambda: associate(server.port, slices(1)).is_established, "a place is free again")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_messages_that_make_no_sense_end_their_connection_alone(opened: Open):
    server = opened()
    accepted = associate_request(b"PEER".ljust(16), b"S2MEDGE".ljust(16))
    nonsense = [
        struct.pack(">BBI", 4, 0, 10) + bytes(10),
        struct.pack(">BBII", 4, 0, 12, 8) + bytes([1, 3]) + os.urandom(6),
        struct.pack(">BBI", 9, 0, 4) + bytes(4),
        os.urandom(64),
    ]
    for message in nonsense:
        with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as peer:
            peer.sendall(accepted)
            assert peer.recv(1) == b"\x02"  # accepted
            peer.sendall(message)
            peer.shutdown(socket.SHUT_WR)
            assert closed(peer)
    assert send(server.port, slices(1)) == [SUCCESS]
    assert any("made no sense" in line for line in server.said)


def test_while_more_of_a_study_is_on_its_way_it_is_not_complete(opened: Open):
    server, given = opened(quiet_seconds=0.5), slices(2)
    uid = given[0].StudyInstanceUID
    association = associate(server.port, given)
    association.send_c_store(given[0])
    for _ in range(10):
        server.door._heard(type("Event", (), {"assoc": server.door._server.active_associations[0]}))  # type: ignore[union-attr]
        server.studies.close_quiet()
        entry = server.ledger.latest(uid)
        assert entry is not None
        assert entry.state == "received"
        threading.Event().wait(0.1)
    association.release()
    until(lambda: server.studies.close_quiet() or server.ledger.in_state("complete"), "it is complete in the end")


def test_a_taken_port_is_one_line(opened: Open, tmp_path: Path):
    from s2m_edge.errors import OutputError

    server = opened()
    second = Door(Settings(port=server.port), server.reception, server.studies, print)
    with pytest.raises(OutputError, match="cannot be listened on"):
        second.open()


def test_uids_that_pydicom_makes_are_uids():
    from s2m_edge.apps.server.uids import is_uid

    assert all(is_uid(generate_uid()) for _ in range(20))
