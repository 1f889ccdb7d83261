"""Outbox: deliveries out, one line a Provider: each in the order in which its events came in, none behind another's.

    journal → the first of a line → its Provider as it is now → post → over, or again after a while

A delivery is over when it was delivered, when the service refuses it, when it is older than the longest time to try, or
when its Provider is suspended or gone. While a service can't be reached its line waits, and begins again as soon as the
Provider is edited. One delivery that a service never takes doesn't keep the others: after a few tries those behind it
are tried, and when they get through it is given up. What always holds: a delivery leaves the journal only when it is
over; one that was under way when the process ended, or over for so short a time that the disk didn't know, is posted
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from notification_controller import journal
from notification_controller.journal import Delivery, Journal, JournalError, Line
from notification_controller.provider import Secrets
from notification_controller.providers import DeliveryFailed, InvalidProvider, Notification
from notification_controller.session import Session
from shared.api.meta import format_duration
from shared.api.notification import Provider
from shared.auth import Clouds
from shared.auth.tokens import Asker, asker
from shared.kube.errors import ApiError
from shared.loop import metrics

log = logging.getLogger(__name__)

BATCH = 64
"""Deliveries that are read from the journal at once."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0
"""Seconds between tries: doubled each time."""
TRIES_ALONE = 5
"""Tries of a delivery after which those behind it have a turn."""
LINGER = 30.0
"""Seconds for which the connections of an empty line are kept."""


class World(Protocol):
    """What the outbox needs of what is around it."""

    clouds: Clouds | None
    """Where identities log in; None where there are none."""

    def provider(self, line: Line) -> Provider | None:
        """A line's Provider as it is now; None when it is gone."""
        ...

    async def secrets(self, provider: Provider) -> Secrets:
        """Its Secrets as they are now. InvalidProvider names what is missing."""
        ...

    def notification(self, provider: Provider, delivery: Delivery) -> Notification:
        """What to post. InvalidProvider when the Provider says how to make it, and that can't be done."""
        ...

    def failed(self, delivery: Delivery, message: str) -> None:
        """Tell people on the Alert that a notification fails."""
        ...


class Outbox:
    """All lines. Deliveries are put in by `add`, and leave when they are over."""

    def __init__(self, kept: Journal, world: World, *, longest: float, limit: int) -> None:
        """`longest`: seconds after which a delivery is given up; `limit`: deliveries that may wait in one line."""
        self.journal, self.world, self.longest, self._limit = kept, world, longest, limit
        self._waiting: Counter[Line] = Counter()
        self._lines: dict[Line, _Worker] = {}

    def start(self, waiting: Mapping[Line, int]) -> None:
        """Go on with what the journal held at the start."""
        self._waiting = Counter(waiting)
        for line in waiting:
            self._serve(line)
        self._count()

    async def stop(self) -> None:
        """End; what waits stays in the journal."""
        workers = [worker.task for worker in self._lines.values()]
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def add(self, deliveries: Sequence[Delivery], changes: Sequence[journal.Change] = ()) -> None:
        """Keep deliveries and begin to send them. JournalError when they can't be kept: nothing is sent then."""
        for line, count in Counter(one.line for one in deliveries).items():
            if (over := self._waiting[line] + count - self._limit) > 0:
                await self._crowd_out(line, min(over, self._waiting[line]))
        await self.journal.add(deliveries, changes)
        for one in deliveries:
            self._waiting[one.line] += 1
            self._serve(one.line)
        self._count()

    def wake(self, line: Line) -> None:
        """A line's Provider changed: what waits for it may work now."""
        if (worker := self._lines.get(line)) is not None:
            worker.news.set()

    def _serve(self, line: Line) -> None:
        worker = self._lines.get(line)
        if worker is None or worker.task.done():
            self._lines[line] = worker = _Worker(self, line)
        worker.more.set()

    async def _crowd_out(self, line: Line, count: int) -> None:
        """Forget the oldest of a line that is too long, in favour of what is new."""
        await self.journal.crowd_out(line, count)
        self._waiting[line] -= count
        metrics.notifications.labels("crowded_out").inc(count)
        log.error("%d notifications for Provider %s were given up: more than %d wait for it", count, line, self._limit)
        if (worker := self._lines.get(line)) is not None:
            worker.crowded.set()

    def over(self, delivery: Delivery, result: str) -> None:
        """A delivery is over: it leaves the journal in a moment."""
        metrics.notifications.labels(result).inc()
        self.journal.write_soon(journal.drop([delivery.id]))
        self._waiting[delivery.line] -= 1
        self._count()

    def _count(self) -> None:
        metrics.waiting_notifications.set(self._waiting.total())

    def ended(self, line: Line) -> bool:
        """Whether a worker may end: nothing is left for it."""
        if self._waiting[line] > 0:
            return False
        del self._lines[line]
        self._waiting.pop(line, None)
        return True


class _Again(Exception):
    """That a delivery didn't work this time."""

    def __init__(self, message: str, *, retry_after: float = 0.0, is_setup: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the service asks to wait."""
        self.is_setup = is_setup
        """Whether the Provider or its Secrets are wrong, which is told at once: only an edit helps."""


class _Worker:
    """One line at work: exists while something waits in it, and a little longer."""

    def __init__(self, outbox: Outbox, line: Line) -> None:
        self._outbox, self._line = outbox, line
        self.more, self.news, self.crowded = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._session = Session(outbox.world.secrets, outbox.world.clouds)
        self._over: list[int] = []
        """Ids of what is over and may still be in the journal: the disk is slower than many a service."""
        self.task = asyncio.create_task(self._run(), name=f"deliver {line}")

    async def _run(self) -> None:
        asker.set(Asker(Provider.resource.kind, self._line.provider, self._line.namespace, "post"))  # of this task
        try:
            while True:
                try:
                    if not await self._goes_on():
                        return
                except JournalError as error:
                    log.error("%s", error)
                    await asyncio.sleep(LONGEST_WAIT)
                except Exception as error:  # what waits goes on waiting, it isn't forgotten
                    log.error("delivering to Provider %s broke: %s", self._line, type(error).__name__, exc_info=error)
                    await asyncio.sleep(LONGEST_WAIT)
        finally:
            await self._session.close()

    async def _goes_on(self) -> bool:
        """Deliver what waits, or wait for more; False when nothing came. JournalError when it is unreadable."""
        self.more.clear()
        self.crowded.clear()
        await self._leave()
        if first := await self._outbox.journal.first(self._line, BATCH):
            await self._work(first)
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self.more.wait()
        return self.more.is_set() or not self._outbox.ended(self._line)

    async def _leave(self) -> None:
        """Make sure that what is over has left the journal. JournalError when it can't: nothing of it is posted."""
        if self._over:
            await self._outbox.journal.write(journal.drop(self._over))
            self._over = []

    def _end(self, delivery: Delivery, result: str) -> None:
        self._over.append(delivery.id)
        self._outbox.over(delivery, result)

    async def _work(self, first: list[Delivery]) -> None:
        """Deliver these, in order, unless they are crowded out meanwhile."""
        trouble = _Trouble()
        while first and not self.crowded.is_set():
            head = first[0]
            self.news.clear()
            try:
                self._end(head, await self._try(head))
            except _Again as problem:
                trouble.tries += 1
                if trouble.tries > TRIES_ALONE and await self._gets_through(first[1:2]):
                    self._outbox.world.failed(head, f"{problem}, given up because others get through")
                    self._end(head, "given_up")
                    first, trouble = first[2:], _Trouble()
                else:
                    await self._rest(head, problem, trouble)
            else:
                first, trouble = first[1:], _Trouble()

    async def _gets_through(self, following: list[Delivery]) -> bool:
        """Whether the service takes the delivery behind, which is over then."""
        for delivery in following:
            try:
                self._end(delivery, result := await self._try(delivery))
            except _Again:
                return False
            return result == "delivered"
        return False

    async def _rest(self, head: Delivery, problem: _Again, trouble: _Trouble) -> None:
        """Wait until the next try, or until the Provider is edited. People are told once of each delivery: at once when
        the Provider is wrong, else when it would not get through in the time that a post may take."""
        doubled = FIRST_WAIT * 2.0 ** min(trouble.tries - 1, 10)
        wait = max(min(doubled, LONGEST_WAIT) * random.uniform(0.9, 1.1), problem.retry_after)  # noqa: S311
        log.warning("Provider %s does not work, trying again in %.0f s: %s", self._line, wait, problem)
        lasts = time.monotonic() - trouble.began + wait
        if not trouble.told and (problem.is_setup or lasts >= self._session.timeout):
            trouble.told = True
            self._outbox.world.failed(head, str(problem))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self.news.wait()

    async def _try(self, delivery: Delivery) -> str:
        """Try a delivery once: how it ended. _Again when it didn't."""
        target = self._outbox.world.provider(self._line)
        if target is None or target.spec.suspend:
            log.info("a notification for Provider %s is dropped: it is suspended or gone", self._line)
            return "dropped"
        about = delivery.about
        if (age := time.time() - delivery.arrived) > self._outbox.longest:
            message = f"failed to send notification for {about}: given up after {format_duration(round(age))}"
            self._outbox.world.failed(delivery, message)
            return "given_up"
        try:
            poster = await self._session.poster(target)
            await poster.post(self._outbox.world.notification(target, delivery))
        except (InvalidProvider, ApiError) as error:
            message = f"failed to dispatch notification for {about}: {error}"
            raise _Again(message, is_setup=isinstance(error, InvalidProvider)) from error
        except DeliveryFailed as error:
            message = f"failed to send notification for {about}: {error}"
            if not error.is_final:
                raise _Again(message, retry_after=error.retry_after or 0.0) from error
            self._outbox.world.failed(delivery, message)
            return "refused"
        except Exception as error:
            log.error("posting to Provider %s broke: %s", self._line, type(error).__name__, exc_info=error)
            message = f"failed to send notification for {about}: {type(error).__name__}"
            self._outbox.world.failed(delivery, message)
            return "refused"
        return "delivered"


@dataclass
class _Trouble:
    """What is known of a delivery that doesn't get through."""

    tries: int = 0
    began: float = field(default_factory=time.monotonic)
    told: bool = False
