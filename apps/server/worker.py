"""The one thread that segments: the studies in their order, each to its end or, where the server ends, not at all."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from s2m_edge.apps.server.ledger import Entry
from s2m_edge.apps.server.results import Segment, publish
from s2m_edge.apps.server.studies import Say, Studies
from s2m_edge.errors import OutputError, S2MEdgeError, in_one_line

_TURN = 0.1
"""Seconds between two looks at what is quiet and what waits."""

PUT_OFF = 30.0
"""Seconds until a study is tried again whose result could not be written."""


class EndedError(Exception):
    """The server is to end; work is given up."""


class Worker(threading.Thread):
    """Looks after the studies until `end` is set.

    A daemon: what it has under way when the process ends lies in a hidden folder, which the next run removes.

    Args:
        made_by: what every record says of the network.
    """

    def __init__(
        self, studies: Studies, segment: Segment, out: Path, made_by: dict[str, Any], say: Say, end: threading.Event
    ) -> None:
        super().__init__(name="segmentation", daemon=True)
        self._studies, self._segment, self._out, self._made_by = studies, segment, out, made_by
        self._say, self._end = say, end
        self._put_off = ""

    def run(self) -> None:
        while not self._end.is_set():
            try:
                self._studies.close_quiet()
                entry = self._studies.begin()
                pause = _TURN if entry is None else self._work(entry)
            except (
                Exception
            ) as error:  # the ledger's disk is full, or a fault: nothing is lost, and the next turn comes
                self._complain(f"error: {in_one_line(error)}")
                pause = PUT_OFF
            self._end.wait(pause)

    def _work(self, entry: Entry) -> float:
        """Seconds to wait before the next one."""
        began = time.monotonic()
        try:
            with self._studies.inbox.snapshot(entry.uid) as (source, contents):
                outcome = publish(self._segment, source, contents, entry, self._out, self._made_by, self._heed)
        except EndedError:
            self._studies.give_up(entry)
            return 0.0
        except (OutputError, OSError) as error:
            self._studies.give_up(entry)
            self._complain(f"study {entry.uid}: {error}; it is tried again every {PUT_OFF:.0f} s")
            return PUT_OFF
        except S2MEdgeError as error:
            self._studies.give_up(entry, str(error))
            return 0.0
        except MemoryError:
            self._studies.give_up(entry, "it needs more memory than there is")
            return 0.0
        except Exception as error:  # strangers' files reach libraries here, which raise anything
            self._studies.give_up(entry, in_one_line(error))
            return 0.0
        self._studies.finish(entry, contents)
        self._put_off = ""
        self._say(
            f"study {entry.uid}: {contents.instances} instances, {len(outcome.files)} files in "
            f"{time.monotonic() - began:.1f} s: {self._out / entry.folder}"
        )
        for remark in outcome.remarks:
            self._say(f"study {entry.uid}: {remark}")
        return 0.0

    def _complain(self, text: str) -> None:
        """Once, however often it comes in a row."""
        if text != self._put_off:
            self._put_off = text
            self._say(text)

    def _heed(self) -> None:
        if self._end.is_set():
            raise EndedError
