"""Keys that wait for an attempt: unique, due at a time, running once at a time.

`add` makes a key due; the earliest time wins. A key that is added while it runs is due again when it is done.
Backoff is per key, exponential with jitter, and forgotten on success. No clock but the event loop's.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from typing import NamedTuple

from shared.loop.spread import Spread

SECONDS = tuple(10.0**power for power in range(-8, 4))
"""Bounds of how long keys wait and are worked on, as upstream's queues have them."""


class Key(NamedTuple):
    """What an attempt is made on."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Delay(NamedTuple):
    """How long to wait, drawn at random so that keys spread out."""

    seconds: float
    early: float = 0.0
    """By how much sooner it might have been drawn."""


class Queue:
    """The keys of one kind. `take` and `done` frame each attempt."""

    def __init__(self, *, min_delay: float, max_delay: float) -> None:
        """Delays in seconds: the first retry after a failure, and the longest."""
        self._min_delay, self._max_delay = min_delay, max_delay
        self._ready: deque[Key] = deque()
        self._queued: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        """Since when."""
        self._again: set[Key] = set()
        self._due: dict[Key, tuple[float, float]] = {}
        """When a key is due, and since when it might have been."""
        self._heap: list[tuple[float, Key]] = []
        self._failures: dict[Key, int] = {}
        self._asked: dict[Key, float] = {}
        self._wake = asyncio.Event()
        self.adds = self.retries = 0
        self.waited, self.worked = Spread(SECONDS), Spread(SECONDS)
        """How long keys that were due waited to be taken, and how long it took until they were done."""

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Make a key due in `delay` seconds, or sooner if it already is."""
        if delay <= 0:
            self._due.pop(key, None)
            self._asked[key] = now = asyncio.get_running_loop().time()
            if key in self._running:
                self._again.add(key)
            elif key not in self._queued:
                self._queued[key] = now
                self._ready.append(key)
                self.adds += 1
                self._wake.set()
            return
        if key in self._queued or key in self._again:
            return
        self._plan(key, Delay(delay))

    def _plan(self, key: Key, delay: Delay) -> None:
        when = asyncio.get_running_loop().time() + delay.seconds
        if key not in self._due or when < self._due[key][0]:
            self._due[key] = when, when - delay.early
            heapq.heappush(self._heap, (when, key))
            if self._heap[0][1] == key:
                self._wake.set()

    def replan(self, key: Key, delay: Delay) -> None:
        """Set the next time of a key, whether sooner or later than it was; an immediate one stays immediate."""
        self._due.pop(key, None)
        if key not in self._queued and key not in self._again:
            self._plan(key, delay._replace(seconds=max(delay.seconds, 0.001)))

    async def take(self) -> Key:
        """The next key that is due; it is running from now on, until `done`."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._running[key] = now = asyncio.get_running_loop().time()
                self.waited.observe(now - self._queued.pop(key))
                return key
            self._wake.clear()
            timeout = self._heap[0][0] - asyncio.get_running_loop().time() if self._heap else None
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def begin(self, key: Key) -> float:
        """An attempt reads its object only now: what was added since `take` is covered by it. The event loop's time at
        which the key was last made due, or, where only the time made it so, might first have been."""
        self._again.discard(key)
        return self._asked.pop(key, asyncio.get_running_loop().time())

    def done(self, key: Key) -> None:
        """An attempt ended; what was added meanwhile is due now."""
        self.worked.observe(asyncio.get_running_loop().time() - self._running.pop(key))
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def backoff(self, key: Key) -> float:
        """The delay after one more failure of this key, in seconds, with up to 10 % of jitter."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.retries += 1
        delay = min(self._min_delay * 2.0 ** min(count, 30), self._max_delay)
        return delay * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, guards nothing

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drop all that is known of a key whose object is gone."""
        self._failures.pop(key, None)
        self._due.pop(key, None)
        self._asked.pop(key, None)
        self._again.discard(key)

    def is_running(self, key: Key) -> bool:
        """Whether an attempt on this key is under way."""
        return key in self._running

    def pending(self, key: Key) -> bool:
        """Whether this key is due now, or again as soon as its attempt ends."""
        return key in self._queued or key in self._again

    @property
    def depth(self) -> int:
        """How many keys are due and not yet taken."""
        return len(self._ready)

    def under_way(self) -> list[float]:
        """How long each running key has been, in seconds."""
        now = asyncio.get_running_loop().time()
        return [now - since for since in self._running.values()]

    def _promote(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            due, since = self._due.get(key, (None, 0.0))
            if due == when:
                asked = self._asked.get(key, since)
                self.add(key)
                self._asked[key] = max(asked, since)
