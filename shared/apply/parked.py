"""Owners whose objects are of kinds that nobody has defined yet: a definition that appears wakes them.

    missing API versions → one watch of the definitions' metadata, while somebody waits → wake

A definition is named `<plural>.<group>`; its metadata says no more, so whatever happens to one of the group wakes. The
server takes a moment to serve what was defined: those who still wait then are woken again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping

from shared.apply.identity import Owner
from shared.kube.client import Client
from shared.kube.discovery import group_of
from shared.kube.watch import Cache, Change, Metadata

logger = logging.getLogger(__name__)
AGAIN = (0.1, 1.0, 5.0)
"""Seconds after a change at which those who wait are woken."""
_KIND = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")


class Parked:
    """`wake` is called, at once and perhaps more than once, when trying again makes sense."""

    def __init__(self, client: Client, wake: Callable[[Owner], None]) -> None:
        self._client, self._wake = client, wake
        self._missing: dict[Owner, frozenset[str]] = {}
        self._cache: Cache[str] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._missing)

    def park(self, owner: Owner, api_versions: Iterable[str]) -> None:
        """The owner waits for definitions of kinds in these, in place of those it waited for before."""
        missing = frozenset(api_version for api_version in api_versions if group_of(api_version))
        if missing:
            new = missing - self._missing.get(owner, frozenset())
            self._missing[owner] = missing
            self._begin()
            if new and self._cache is not None and self._cache.synced:
                self._catch_up({owner: new})
        elif self._missing.pop(owner, None) and not self._missing:
            self._end()

    async def close(self) -> None:
        self._missing.clear()
        self._end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self) -> None:
        if self._cache is None:
            self._cache = Cache(self._client, *_KIND, metadata_only=True, keep=_name, streaming=True)
            self._background(self._follow(self._cache))

    async def _follow(self, cache: Cache[str]) -> None:
        await cache.start()
        if cache is self._cache:
            cache.on_change(self._seen)
            self._catch_up(self._missing)

    def _catch_up(self, waiting: Mapping[Owner, frozenset[str]]) -> None:
        """A definition may have come between the apply that missed it and our watch of it."""
        for name in self._cache.values() if self._cache is not None else ():
            self._defined(name, waiting)

    def _end(self) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:
            self._background(cache.stop())

    def _background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _seen(self, change: Change[str]) -> None:
        if change.type != "deleted":
            self._defined(change.manifest, self._missing)

    def _defined(self, definition: str, waiting: Mapping[Owner, frozenset[str]]) -> None:
        group = definition.partition(".")[2]
        loop = asyncio.get_running_loop()
        for owner, missing in waiting.items():
            if any(group_of(api_version) == group for api_version in missing):
                for seconds in AGAIN:
                    loop.call_later(seconds, self._try, owner, definition)

    def _try(self, owner: Owner, definition: str) -> None:
        missing = self._missing.get(owner)
        if missing is not None:
            logger.info("%s is tried again: %s was defined or changed", owner, definition)
            for api_version in missing:
                self._client.discovery.invalidate(api_version)
            self._wake(owner)


def _name(metadata: Metadata) -> str:
    return metadata.name
