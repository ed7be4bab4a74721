"""Which studies there are, when each is complete, and which comes next: ledger and inbox, kept together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from s2m_edge.apps.server.inbox import Contents, FullError, Inbox
from s2m_edge.apps.server.ledger import Entry, Ledger
from s2m_edge.apps.server.results import contents_of_result
from s2m_edge.apps.server.settings import Settings

Say = Callable[[str], None]
_OPEN = ("received", "complete")


class Studies:
    """All studies of a server. Threads may share it.

    Args:
        out: the folder of results.
        say: prints a line.
        clock: seconds, for how long it has been quiet.
    """

    def __init__(
        self,
        inbox: Inbox,
        ledger: Ledger,
        out: Path,
        settings: Settings,
        say: Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inbox, self.ledger, self.out, self.settings = inbox, ledger, out, settings
        self._say, self._clock = say, clock
        self._lock = threading.RLock()
        self._last: dict[str, float] = {}
        self._at_work: str | None = None

    def recover(self) -> int:
        """Make the ledger say what the inbox and the results show, after whatever ended the last run.

        Returns:
            How many studies are to be done.
        """
        self._settle_published()
        for uid in self.inbox.studies():
            entry, now = self.ledger.latest(uid), self.inbox.contents(uid)
            if entry is None or entry.state in _OPEN:
                if entry is None or entry.state == "received" or entry.digest != now.digest:
                    self._receive(uid, entry)
            elif entry.digest != now.digest:  # an instance was stored, and the ledger did not hear of it
                self._receive(uid, entry)
        for entry in self.ledger.in_state(*_OPEN):
            if not self.inbox.contents(entry.uid).instances:
                self.fail(entry, "its instances are not in the inbox any more")
        for entry in self.ledger.in_state("unsent"):  # the destination may be back
            self.ledger.put(replace(entry, state="done", remark=""))
        return len(self.ledger.in_state(*_OPEN))

    def admit(self, uid: str, size: int) -> None:
        """Raise FullError where no instance of so many bytes can be taken for a study; make room where that helps."""
        with self._lock:
            entry = self.ledger.latest(uid)
            if entry is None or entry.state not in _OPEN:
                waiting = len(self.ledger.in_state(*_OPEN))
                if waiting >= self.settings.queue:
                    raise FullError(f"{waiting} studies wait already")
            for old in self.ledger.settled("done", "sent", "unsent") if self.inbox.lacks(size) else ():
                if old.uid != uid and self.inbox.contents(old.uid).instances:
                    self.inbox.remove(old.uid)
                    self._say(f"study {old.uid}: its instances were removed from the inbox to make room")
                if not self.inbox.lacks(size):
                    break

    def arrived(self, uid: str) -> None:
        """Note a new instance, which is in the inbox."""
        with self._lock:
            self._receive(uid, self.ledger.latest(uid))

    def came_again(self, uid: str) -> None:
        """Note an instance that was in the inbox before: a study that failed is begun again, others stay."""
        with self._lock:
            entry = self.ledger.latest(uid)
            begins = entry is None or entry.state == "failed"
            if entry is not None and entry.state in ("done", "sent", "unsent"):
                begins = self.inbox.contents(uid).digest != entry.digest  # stored, and then the disk was full
            if begins:
                self._receive(uid, entry)
            self.touch(uid)

    def touch(self, uid: str) -> None:
        """Note that more of a study is on its way."""
        with self._lock:
            if uid in self._last:
                self._last[uid] = self._clock()

    def _receive(self, uid: str, entry: Entry | None) -> None:
        self._last[uid] = self._clock()
        if entry is None:
            self.ledger.put(Entry(uid))
        elif entry.state == "failed" or (entry.state == "complete" and self._at_work != uid):
            self.ledger.put(Entry(uid, entry.version))
        elif entry.state != "received":
            self.ledger.put(Entry(uid, entry.version + 1))

    def close_quiet(self) -> None:
        """Call those studies complete of which nothing came for a while."""
        with self._lock:
            now = self._clock()
            for uid in [uid for uid, last in self._last.items() if now - last >= self.settings.quiet_seconds]:
                entry, contents = self.ledger.latest(uid), self.inbox.contents(uid)
                assert entry is not None
                if entry.state == "received" and self._is_old(entry, contents):
                    self.ledger.drop(entry)
                    self._say(f"study {uid}: received again, with nothing new")
                elif entry.state == "received":
                    self.ledger.put(
                        replace(entry, state="complete", instances=contents.instances, digest=contents.digest)
                    )
                del self._last[uid]

    def _is_old(self, entry: Entry, contents: Contents) -> bool:
        """Whether a new version of a study is what an earlier one was made from."""
        return any(
            known.digest == contents.digest
            for known in self.ledger.in_state("done", "sent", "unsent")
            if known.uid == entry.uid
        )

    def begin(self) -> Entry | None:
        """The study that waits for longest, its attempt noted; None where none waits."""
        with self._lock:
            self._settle_published()
            for entry in self.ledger.in_state("complete"):
                if entry.attempts >= self.settings.attempts:
                    self.fail(entry, f"the program ended {entry.attempts} times while it was at work on it")
                    continue
                self._at_work = entry.uid
                return self.ledger.put(replace(entry, attempts=entry.attempts + 1))
            return None

    def _settle_published(self) -> None:
        """Note what is in place already: the process ended, or the ledger's disk was full, between the two."""
        for entry in self.ledger.in_state("complete"):
            found = contents_of_result(self.out / entry.folder, entry)
            if found is not None:
                done, now = self.finish(entry, found), self.inbox.contents(entry.uid)
                if now.instances and now.digest != found.digest and self.ledger.latest(entry.uid) == done:
                    self._receive(entry.uid, done)

    def finish(self, entry: Entry, contents: Contents) -> Entry:
        """Note that a study's result is in place."""
        with self._lock:
            self._at_work = None
            return self.ledger.put(replace(entry, state="done", instances=contents.instances, digest=contents.digest))

    def give_up(self, entry: Entry, reason: str = "") -> None:
        """Note that a study's work ended without a result: for good, or, without a reason, for the next run."""
        with self._lock:
            self._at_work = None
            if reason:
                self.fail(entry, reason)
            else:
                self.ledger.put(replace(entry, attempts=entry.attempts - 1))

    def fail(self, entry: Entry, reason: str) -> None:
        self.ledger.put(replace(entry, state="failed", remark=reason))
        self._say(f"study {entry.uid}: FAILED, {reason}; what was received of it stays in the inbox")

    def waiting(self) -> int:
        """How many studies are to be done."""
        return len(self.ledger.in_state(*_OPEN))

    def unsent(self) -> int:
        """How many results the destination has not got."""
        return 0 if self.settings.send_to is None else len(self.ledger.in_state("done", "unsent"))
