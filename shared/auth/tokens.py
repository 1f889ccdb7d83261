"""Tokens: what was given out for a while, kept until 80 % of that are over.

    key → kept, or made once for all who ask → value

The limits are the flags --token-cache-max-size and --token-cache-max-duration. Two clocks decide what is over, so a
machine that slept, or whose time was set, keeps nothing too long. What became of it is counted for each object that
asked: `asker`, which the loop sets for each attempt, says which that is.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LONGEST = 3600.0
"""Seconds; nothing is kept longer, whatever the flag says."""
_PART = 0.8


@dataclass(frozen=True)
class Asker:
    """For which object a token is, and for what."""

    kind: str
    name: str
    namespace: str
    operation: str = "reconcile"


asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


@contextmanager
def asked_to(operation: str) -> Iterator[None]:
    """While inside, tokens are for this operation on the same object."""
    now = asker.get()
    before = asker.set(now and replace(now, operation=operation))
    try:
        yield
    finally:
        asker.reset(before)


@dataclass
class Counts:
    """What became of all that was asked for."""

    found: Counter[Asker] = field(default_factory=Counter)
    made: Counter[Asker] = field(default_factory=Counter)
    """Or could not be made."""
    succeeded: int = 0
    failed: int = 0
    evicted: int = 0

    def forget(self, kind: str, name: str, namespace: str) -> None:
        """Drop what was counted for an object that is gone."""
        for counted in (self.found, self.made):
            for each in [each for each in counted if (each.kind, each.name, each.namespace) == (kind, name, namespace)]:
                del counted[each]


@dataclass(frozen=True)
class Fresh(Generic[T]):
    """What was given out just now."""

    value: T = field(repr=False)
    expires: float
    """In seconds since 1970."""


@dataclass(frozen=True)
class _Kept:
    value: Any = field(repr=False)
    wall: float
    monotonic: float

    @property
    def is_good(self) -> bool:
        return time.time() < self.wall and time.monotonic() < self.monotonic


def ending(token: str) -> float:
    """When a JSON Web Token ends, as it says itself, in seconds since 1970. ValueError for what is none."""
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        return float(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["exp"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it is no JSON Web Token that says when it ends") from error


class Tokens:
    """At most `size` tokens, each for `longest` seconds; the one that was not used longest goes first."""

    def __init__(self, size: int = 100, longest: float = LONGEST) -> None:
        self._size, self._longest = size, min(longest, LONGEST)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._making: dict[str, tuple[asyncio.Lock, int]] = {}
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._kept)

    async def find(self, about: tuple[object, ...], make: Callable[[], Awaitable[Fresh[T]]]) -> T:
        """The token for what `about` says, which must be all that it depends on. Who asks meanwhile waits for it."""
        key = hashlib.sha256(repr(about).encode()).hexdigest()
        async with _Turn(self._making, key):
            kept = self._kept.get(key)
            if kept is not None and kept.is_good:
                self._kept.move_to_end(key)
                self._count(self.counts.found, succeeded=True)
                value: T = kept.value
                return value
            succeeded = False
            try:
                fresh = await make()
                succeeded = True
            finally:
                self._count(self.counts.made, succeeded=succeeded)
            self._keep(key, fresh)
            return fresh.value

    def _count(self, counted: Counter[Asker], *, succeeded: bool) -> None:
        if who := asker.get():
            counted[who] += 1
        if succeeded:
            self.counts.succeeded += 1
        else:
            self.counts.failed += 1

    def _keep(self, key: str, fresh: Fresh[Any]) -> None:
        life = min(_PART * (fresh.expires - time.time()), self._longest)
        self._kept.pop(key, None)
        if life > 0:
            self._kept[key] = _Kept(fresh.value, time.time() + life, time.monotonic() + life)
        while len(self._kept) > max(self._size, 0):
            self._kept.popitem(last=False)
            self.counts.evicted += 1


class _Turn:
    """A lock a key, which is there as long as someone holds it or waits."""

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], key: str) -> None:
        self._locks, self._key = locks, key

    async def __aenter__(self) -> None:
        lock, waiting = self._locks.get(self._key) or (asyncio.Lock(), 0)
        self._locks[self._key] = lock, waiting + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._locks[self._key][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, waiting = self._locks[self._key]
        if waiting > 1:
            self._locks[self._key] = lock, waiting - 1
        else:
            del self._locks[self._key]
