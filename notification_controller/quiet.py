"""Quiet: what is held back, and what was told, for the Alerts that ask to hear less (see `noise`).

    event → decide → send, hold or drop → (when it is due) → those of one cause together → outbox

What always holds: what is remembered here is in the journal, too, and comes back after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from notification_controller import journal, noise
from notification_controller.alert import Interest
from notification_controller.event import Event
from notification_controller.journal import About, Change, JournalError
from notification_controller.noise import Held, Settings, Told, Verdict

log = logging.getLogger(__name__)

HELD_LIMIT = 10_000
"""Messages that are held at the same time; with more, new ones are told at once."""
TOLD_LIMIT = 100_000
"""Objects of which it is remembered what was told; the oldest are forgotten first."""
PAUSE = 0.05
"""Seconds between looks at what is held."""
LOOK = 30.0
"""Seconds after which it is looked again at what is held, whatever happens."""

Send = Callable[[About, Event, list[Change]], Awaitable[None]]
"""Sends an event for an Alert, unless that wants nothing any more, and makes the changes, together."""
Write = Callable[[list[Change]], Awaitable[None]]


@dataclass
class Decided:
    """What becomes of an event."""

    told: Event | None = None
    """What to send at once."""
    changes: list[Change] = field(default_factory=list)
    """What the journal has to remember."""
    undo: Callable[[], None] = lambda: None
    """Makes this not have been decided."""


class Quiet:
    """The memory of one process."""

    def __init__(self, settings: Callable[[str], Settings], send: Send, write: Write) -> None:
        """`settings` gives what an Alert (namespace/name) asks for now; `write` makes changes in the journal."""
        self._settings, self._send, self._write = settings, send, write
        self._held: dict[About, Held] = {}
        self._told: dict[About, Told] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def remember(self, held: Mapping[About, Held], told: Mapping[About, Told]) -> None:
        """Take up what the journal held."""
        self._held, self._told = dict(held), dict(told)

    def start(self) -> None:
        """Begin to tell what is due."""
        self._task = asyncio.create_task(self._run(), name="tell what was held")

    async def stop(self) -> None:
        """Stop; what is held stays so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def decide(self, interest: Interest, event: Event, *, is_selected: bool, now: float) -> Decided:
        """What becomes of an event for an Alert."""
        meta = interest.alert.metadata
        about = About(f"{meta.namespace}/{meta.name}", noise.object_key(event.involved_object))
        told, held = self._told.get(about, Told()), self._held.get(about)
        decision = noise.decide(interest.quiet, told, held, event, selected=is_selected, now=now)
        verdict = decision.verdict
        if verdict is Verdict.HOLD and about not in self._held and len(self._held) >= HELD_LIMIT:
            verdict = Verdict.SEND
        made = Decided(undo=lambda: self._set(about, held, told))
        after_held, after_told = None if decision.forgets_held else held, told
        if verdict is Verdict.HOLD:
            after_held = Held(event, decision.ready)
        elif verdict is Verdict.SEND:
            made.told, after_told = noise.with_recovery(event, told, now), noise.remembered(told, event, now)
        elif noise.state(event) is noise.State.WELL:
            after_told = noise.remembered(told, event, now)
        if after_held != held:
            made.changes.append(journal.hold(about, after_held))
        if after_told != told:
            made.changes.append(journal.tell(about, after_told))
        self._set(about, after_held, after_told)
        return made

    def _set(self, about: About, held: Held | None, told: Told) -> None:
        if held is None:
            self._held.pop(about, None)
        else:
            self._held[about] = held
            self._news.set()
        self._told.pop(about, None)
        if told != Told():
            self._told[about] = told  # at the end: the order is that of the last change

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._tell_due(time.time())
                await self._forget_old()
            except JournalError as error:
                log.error("%s", error)
                await asyncio.sleep(LOOK)
            due = [noise.due(self._settings(about.alert), held) for about, held in self._held.items()]
            wait = max(min([LOOK, *(moment - time.time() for moment in due)]), PAUSE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()
                    await asyncio.sleep(PAUSE)  # in a storm of events one look does for many

    async def _tell_due(self, now: float) -> None:
        """Tell what is due, with all of the same cause that is ready."""
        ready = [(about, held) for about, held in self._held.items() if held.ready <= now]
        ready.sort(key=lambda pair: (pair[0].alert, noise.cause(pair[1].event)))
        for (alert, _), together in groupby(ready, key=lambda pair: (pair[0].alert, noise.cause(pair[1].event))):
            settings, members = self._settings(alert), sorted(together, key=lambda pair: pair[1].ready)
            if noise.due(settings, members[0][1]) > now:
                continue
            if settings.group > 0:
                await self._tell(members, now)
            else:
                for member in members:
                    await self._tell([member], now)

    async def _tell(self, members: Sequence[tuple[About, Held]], now: float) -> None:
        changes: list[Change] = []
        before = [(about, held, self._told.get(about, Told())) for about, held in members]
        for about, held, told in before:
            after = noise.remembered(told, held.event, now)
            changes += [journal.hold(about, None), journal.tell(about, after)]
            self._set(about, None, after)
        try:
            sent = [noise.with_recovery(held.event, told, now) for _, held, told in before]
            await self._send(members[0][0], noise.gathered(sent), changes)
        except JournalError:
            for about, held, told in before:
                self._set(about, held, told)
            raise
        except Exception as error:  # it stays in the journal, and keeps no other from being told
            log.error(
                "telling what was held of %s broke: %s", members[0][0].object, type(error).__name__, exc_info=error
            )

    async def _forget_old(self) -> None:
        """Forget what Alerts were told that don't ask for less any more, and the oldest of too much."""
        gone = [about for about in self._told if self._settings(about.alert) == noise.OFF]
        gone += list(self._told)[: max(0, len(self._told) - TOLD_LIMIT)]
        if gone:
            for about in gone:
                self._told.pop(about, None)
            await self._write([journal.tell(about, None) for about in gone])
