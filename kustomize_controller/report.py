"""What an attempt did to the cluster, told once: with its success; before, when that takes long; or with a failure."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from shared.api.kustomize import Kustomization
from shared.api.meta import format_duration, parse_duration
from shared.apply import ChangeSet
from shared.loop.attempt import LONG, Attempt
from shared.loop.events import NOTE_LIMIT

CHANGED = "Progressing"
"""The reason of an event that only lists changes."""
UPDATE = {"commit_status": "update"}


class Report:
    """Collects the lines of an attempt's one event."""

    def __init__(self, attempt: Attempt[Kustomization], *, reason: str = CHANGED) -> None:
        """`reason` is that of events that only list changes."""
        self._attempt, self._reason = attempt, reason
        self._lines: list[str] = []
        self.changed = False
        """Whether anything in the cluster was changed."""

    def add(self, changes: ChangeSet) -> None:
        """Take in the changes that were made, one line each."""
        self._lines += [str(change) for change in changes.made]
        self.changed = self.changed or bool(self._lines)

    def log(self, applied: ChangeSet, *, grouped: bool) -> None:
        """Log what became of each object that was to be applied, if anything changed: by object, or `grouped` by what
        was done."""
        if applied.made:
            output = applied.by_action() if grouped else applied.by_object()
            about = {"output": output, "revision": self._attempt.about.get("revision")}
            self._attempt.log.info("server-side apply completed", extra=about)

    def note(self, line: str) -> None:
        """Take in a line that is worth telling but is no change of the cluster."""
        self._lines.append(line)

    @contextlib.contextmanager
    def in_time(self) -> Iterator[None]:
        """Around a wait, or what may fail: changes are told after a second, and before an error."""
        timer = asyncio.get_running_loop().call_later(LONG, self.tell)
        try:
            yield
        except Exception:
            self.tell()
            raise
        finally:
            timer.cancel()

    def tell(self) -> None:
        """Tell the changes now, if there are any that weren't told."""
        if self._lines:
            self._attempt.event(self._reason, "\n".join(self._lines))
            self._lines = []

    def fail(self, message: str) -> None:
        """Tell what could not be done, though all goes on."""
        self._attempt.log.error("%s", message)
        self._attempt.event(self._reason, message, "error")

    def succeed(self, reason: str, *, revision_is_new: bool, was_ready: bool) -> None:
        """Tell that all is done. When nothing happened nobody is told; of a new revision without any change only the
        notification controller is, for the sake of commit statuses.

        The notification controller hears of the changes by themselves, for what updates a commit status is no news for
        a chat. One Kubernetes Event says it all, unless it would be cut.
        """
        if not (self.changed or self._lines or revision_is_new or not was_ready):
            return
        ks = self._attempt.obj
        took = format_duration(round(time.monotonic() - self._attempt.started, 3))
        finished = f"Reconciliation finished in {took}, next run in {format_duration(parse_duration(ks.spec.interval))}"
        together = "\n".join([*self._lines, finished])
        if len(together.encode()) > NOTE_LIMIT:
            self.tell()
            together = finished
        elif self._lines:
            self._attempt.event(self._reason, "\n".join(self._lines), stored=False)
        self._attempt.event(reason, finished, metadata=UPDATE, stored=False)
        if self.changed or not was_ready:
            self._attempt.event(reason, together, metadata=UPDATE, posted=False)
