"""Inbox: events in. A controller posts one; it is told whether it was taken.

    body → event → no repeat of one just taken → kept for the Providers of the Alerts that want it → 202

202 means that whatever has to be told is on disk, also when no Alert wants the event. 400: it is no event. 413: it is
too large. 429: it repeats one that was taken within the interval. 503: it can't be taken now, and should be posted
again: the Alerts aren't known yet, the API can't be asked for labels, or the disk is full.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from notification_controller import event as events
from notification_controller.event import Event
from notification_controller.journal import JournalError
from shared.api.codec import DecodeError
from shared.kube.errors import ApiError
from shared.loop.web import Incoming, Reply

log = logging.getLogger(__name__)

REPEATS = 100_000
"""Events that are remembered to recognise a repeat."""
_LATER = Reply(503, headers={"Retry-After": "1"})


class Inbox:
    """The handler of the event endpoint."""

    def __init__(
        self, interval: float, is_ready: Callable[[], bool], take: Callable[[Event, float], Awaitable[None]]
    ) -> None:
        """`interval`: seconds within which an event isn't taken twice, 0 for no limit; `take` gets each event and when
        it came in, in Unix seconds, and returns once it is kept (JournalError or ApiError when that can't be)."""
        self._repeats = Repeats(interval)
        self._is_ready, self._take = is_ready, take

    async def answer(self, incoming: Incoming) -> Reply:
        """What the sender gets."""
        if not self._is_ready():
            return _LATER
        try:
            event = events.decode(incoming.body)
        except DecodeError as error:
            log.error("refused what is no event: %s", error)
            return Reply(400)
        key = events.rate_key(event)
        if (wait := self._repeats.seen(key, time.monotonic())) > 0:
            log.debug("refused a repeat of an event about %s", event.involved_object)
            return Reply(429, headers={"Retry-After": str(int(wait) + 1)})
        try:
            await self._take(events.without_token(event), time.time())
        except BaseException as error:
            self._repeats.forget(key)  # it was not taken: posting it again is no repeat
            if not isinstance(error, JournalError | ApiError):
                raise
            log.error("could not take an event about %s: %s", event.involved_object, error)
            return _LATER
        return Reply(202)


class Repeats:
    """Which events were taken just now. An interval begins with the first of equal events; no repeat lengthens it."""

    def __init__(self, interval: float, limit: int = REPEATS) -> None:
        self._interval, self._limit = interval, limit
        self._until: OrderedDict[str, float] = OrderedDict()

    def seen(self, key: str, now: float) -> float:
        """Seconds for which this is a repeat; 0 when it is none, which is remembered."""
        if self._interval <= 0:
            return 0.0
        while self._until and (next(iter(self._until.values())) <= now or len(self._until) > self._limit):
            self._until.popitem(last=False)
        until = self._until.get(key, 0.0)
        if until > now:
            return until - now
        self._until[key] = now + self._interval
        return 0.0

    def forget(self, key: str) -> None:
        """The event was not taken after all."""
        self._until.pop(key, None)
