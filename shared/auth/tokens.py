"""Tokens: what was given out for a while, kept until 80 % of that are over.

    key → kept, or made once for all who ask → value

The limits are the flags --token-cache-max-size and --token-cache-max-duration. Two clocks decide what is over, so a
machine that slept, or whose time was set, keeps nothing too long.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
LONGEST = 3600.0
"""Seconds; nothing is kept longer, whatever the flag says."""
_PART = 0.8


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


class Tokens:
    """At most `size` tokens, each for `longest` seconds; the one that was not used longest goes first."""

    def __init__(self, size: int = 100, longest: float = LONGEST) -> None:
        self._size, self._longest = size, min(longest, LONGEST)
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._making: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def find(self, about: tuple[object, ...], make: Callable[[], Awaitable[Fresh[T]]]) -> T:
        """The token for what `about` says, which must be all that it depends on. Who asks meanwhile waits for it."""
        key = hashlib.sha256(repr(about).encode()).hexdigest()
        async with _Turn(self._making, key):
            kept = self._kept.get(key)
            if kept is not None and kept.is_good:
                self._kept.move_to_end(key)
                value: T = kept.value
                return value
            fresh = await make()
            self._keep(key, fresh)
            return fresh.value

    def _keep(self, key: str, fresh: Fresh[Any]) -> None:
        life = min(_PART * (fresh.expires - time.time()), self._longest)
        self._kept.pop(key, None)
        if life > 0:
            self._kept[key] = _Kept(fresh.value, time.time() + life, time.monotonic() + life)
        while len(self._kept) > max(self._size, 0):
            self._kept.popitem(last=False)


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
