"""One instance on its way in: checked, written to the disk, and only then confirmed to its sender."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from s2m_edge.apps.server.inbox import ConflictError, FullError
from s2m_edge.apps.server.settings import MISMATCH, NOT_UNDERSTOOD, OUT_OF_RESOURCES, SUCCESS, Status
from s2m_edge.apps.server.studies import Say, Studies
from s2m_edge.apps.server.uids import is_uid
from s2m_edge.errors import in_one_line
from s2m_edge.texts import printable

_MOST_REMARKS = 1000
_PIXELS = 0x7FE00001  # the first tag of the group that holds them
_COMMENT = 64  # characters of an ErrorComment (VR LO)


@dataclass(frozen=True)
class Answer:
    """What a sender is told: a status of C-STORE, and why it is not 0; `study` where the instance is in the inbox."""

    status: Status
    reason: str = ""
    study: str = ""

    @property
    def comment(self) -> str:
        """The reason as DICOM takes it."""
        return self.reason.encode("ascii", "replace").decode()[:_COMMENT]


class Reception:
    """Takes instances in. Threads may share it.

    Args:
        say: prints a line; the same reason once.
        ending: whether the server is to end.
    """

    def __init__(self, studies: Studies, say: Say, ending: Callable[[], bool]) -> None:
        self._studies, self._say, self._ending = studies, say, ending
        self._said: set[str] = set()

    def take(self, meta: Any, data: BytesIO) -> Answer:
        """Store one instance.

        Args:
            meta: its file meta information: SOP class and instance as the request names them, and transfer syntax.
            data: the encoded data set.
        """
        if self._ending():
            return Answer(OUT_OF_RESOURCES, "the server is ending")
        try:
            answer = self._take(meta, data)
        except FullError as error:
            answer = Answer(OUT_OF_RESOURCES, str(error))
        except MemoryError:
            answer = Answer(OUT_OF_RESOURCES, "there is not enough memory")
        except (OSError, sqlite3.OperationalError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            answer = Answer(OUT_OF_RESOURCES, f"it cannot be written ({reason})")
        if answer.status != SUCCESS:
            self._remark(answer.reason)
        return answer

    def _take(self, meta: Any, data: BytesIO) -> Answer:
        sop_class, instance = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
        head = _head(meta)
        try:
            found = _read_uids(meta.TransferSyntaxUID, data)
        except MemoryError:
            raise
        except Exception as error:  # pydicom raises anything on what is no DICOM
            return Answer(NOT_UNDERSTOOD, f"the data set cannot be read ({in_one_line(error)})")
        study, series = found["StudyInstanceUID"], found["SeriesInstanceUID"]
        if not (is_uid(study) and is_uid(series) and is_uid(instance)):
            return Answer(NOT_UNDERSTOOD, "its study, series or instance has no valid UID")
        if (found["SOPClassUID"], found["SOPInstanceUID"]) != (sop_class, instance):
            return Answer(MISMATCH, "the data set is not the instance that the request names")
        content = data.getbuffer()
        try:
            self._studies.admit(study, len(head) + len(content))
            new = self._studies.inbox.store(study, series, instance, (head, content))
        except ConflictError:
            return Answer(NOT_UNDERSTOOD, f"study {study}: another instance with this UID was received before", study)
        finally:
            content.release()
        if new:
            self._studies.arrived(study)
        else:
            self._studies.came_again(study)
        return Answer(SUCCESS, study=study)

    def _remark(self, reason: str) -> None:
        if reason not in self._said and len(self._said) < _MOST_REMARKS:
            self._said.add(reason)
            self._say(f"refused: {printable(reason)}")


def _head(meta: Any) -> bytes:
    """What stands before the data set in a file (PS3.10 7.1)."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info

    buffer = DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _read_uids(syntax: Any, data: BytesIO) -> dict[str, str]:
    """The UIDs of a data set, empty where it has none. Its pixels are not read."""
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    names = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    data.seek(0)
    found = read_dataset(
        data,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=lambda tag, vr, length: tag >= _PIXELS,
        specific_tags=[Tag(name) for name in names],
    )
    return {name: str(found.get(name, "")) for name in names}
