"""The metadata watches of what is applied: one cache a kind in use, of all objects that carry an owner label.

    kinds in use → caches of Live → seen(kind, change)

Started when a kind is first applied, stopped when nothing of it is left.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from shared.apply.identity import ObjectId
from shared.apply.live import Live, Reader
from shared.kube.client import Client
from shared.kube.watch import Cache, Change

GVK: TypeAlias = tuple[str, str]
"""API version and kind."""

START_TIMEOUT = 20.0
"""Seconds that an apply waits for the watches of its kinds to be current; without them it asks the server more."""


class Following:
    """`seen` is called with each change, `released` when a kind is watched no more."""

    def __init__(
        self,
        client: Client,
        reader: Reader,
        seen: Callable[[GVK, Change[Live]], None],
        released: Callable[[GVK], None],
    ) -> None:
        self._client, self._reader, self._seen, self._released = client, reader, seen, released
        self._caches: dict[GVK, Cache[Live]] = {}
        self._starting: dict[GVK, asyncio.Task[None]] = {}
        self._held: Counter[GVK] = Counter()
        """By passes that are under way."""
        self._used: Counter[GVK] = Counter()
        """By objects that are known."""
        self._closing: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._starting.values():
            task.cancel()
        caches, self._caches = list(self._caches.values()), {}
        await asyncio.gather(*(cache.stop() for cache in caches))
        await asyncio.gather(*self._closing, return_exceptions=True)

    @asynccontextmanager
    async def during(self, kinds: Iterable[GVK]) -> AsyncIterator[None]:
        """While inside, the kinds are watched; entered once the watches are current, or can't be (then `follows`
        says so)."""
        wanted = set(kinds)
        self._held.update(wanted)
        try:
            await self._start(wanted)
            yield
        finally:
            self._held.subtract(wanted)
            self.release()

    def use(self, kind: GVK) -> None:
        """One more object of the kind is known."""
        self._used[kind] += 1

    def leave(self, kind: GVK) -> None:
        """One object less is known; the watch ends with the next `release`, when it was the last."""
        self._used[kind] -= 1

    def release(self) -> None:
        """Stop the watches of kinds that nobody needs any more."""
        for kind in [kind for kind in self._caches if self._held[kind] <= 0 and self._used[kind] <= 0]:
            cache = self._caches.pop(kind)
            self._released(kind)
            starting = self._starting.pop(kind, None)
            if starting is not None:
                starting.cancel()
            task = asyncio.create_task(cache.stop(), name=f"stop watch of {kind[1]}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def follows(self, kind: GVK) -> bool:
        """Is the live state of this kind known without asking?"""
        cache = self._caches.get(kind)
        return cache is not None and cache.synced and cache.problem is None

    def live(self, id: ObjectId, api_version: str) -> Live | None:
        """The live object as the watch knows it; None when it isn't there or doesn't carry an owner label."""
        cache = self._caches.get((api_version, id.kind))
        return None if cache is None else cache.get(*self.key(id, api_version))

    def key(self, id: ObjectId, api_version: str) -> tuple[str, str]:
        """Under which namespace and name caches have the object."""
        resource = self._client.discovery.known(api_version, id.kind)
        return ("" if resource is not None and not resource.namespaced else id.namespace, id.name)

    def unknown(self, kind: GVK) -> int:
        """How many live objects of a kind nobody has looked at yet."""
        return len(self._caches[kind]) - self._used[kind] if self.follows(kind) else 0

    async def _start(self, kinds: Iterable[GVK]) -> None:
        for kind in kinds:
            if kind not in self._caches:
                cache: Cache[Live] = Cache(
                    self._client,
                    *kind,
                    label_selector=f"{self._reader.group}/name",
                    metadata_only=True,
                    keep=self._reader.of_watch,
                    streaming=True,
                )
                cache.on_change(partial(self._seen, kind))
                self._caches[kind] = cache
                self._starting[kind] = asyncio.create_task(cache.start(), name=f"start watch of {kind[1]}")
        waiting = [self._starting[kind] for kind in kinds if kind in self._starting]
        if waiting:
            done, _ = await asyncio.wait(waiting, timeout=START_TIMEOUT)
            for kind in list(self._starting):
                if self._starting[kind] in done:
                    del self._starting[kind]
