"""Indexes as the controller holds them: one is read at a time, and some are kept for the charts that ask next.

    index.yaml → parsed → stored → read, or kept from before → Index

A large index takes twice its size in memory while it is read, and reading keeps a core busy; so there is one turn. What
is kept is only what finding a version needs, a fifth of the text.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from shared.api.source import HelmRepository
from shared.loop import metrics
from shared.loop.attempt import Attempt
from source_controller.charts import index
from source_controller.charts.index import Index


@dataclass
class _Kept:
    digest: str
    index: Index
    until: float


class Indexes:
    """Reads indexes of at most `limit` bytes, and keeps `size` of them, each until `ttl` seconds after its last use, or
    for good when that is 0. One whose time is over leaves at the next `purge`."""

    def __init__(self, size: int = 0, ttl: float = 900.0, *, limit: int = 50 << 20) -> None:
        self.limit = limit
        self._size, self._ttl = size, ttl
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def parsed(self, file: Path) -> AsyncIterator[Index]:
        """What a repository served, for the time of the block. IndexFailed when it is no index."""
        async with self._turn:
            yield await asyncio.to_thread(lambda: index.parse(file.read_bytes(), limit=self.limit))

    async def stored(self, repository: HelmRepository, file: Path, attempt: Attempt[Any]) -> Index:
        """The index of a repository's artifact, which is that file; from what is kept, if it is."""
        found = self._find(repository)
        if found is not None:
            return found
        async with self._turn:
            read = await asyncio.to_thread(lambda: index.read(file.read_bytes()))
        return self.keep(repository, read, attempt)

    def keep(self, repository: HelmRepository, read: Index, attempt: Attempt[Any]) -> Index:
        """Keeps the index of a repository's artifact, if indexes are kept; the index to go on with. Where there is no
        room it is told, and does no harm."""
        artifact = repository.status.artifact
        if self._size <= 0 or artifact is None:
            return read
        key = _key(repository)
        if key not in self._kept and len(self._kept) >= self._size:
            attempt.event("CacheOperationFailed", "failed to cache index: the cache is full", "trace")
            return read
        self._kept[key] = _Kept(artifact.digest, read.brief(), self._end())
        return self._kept[key].index

    def extend(self, repository: HelmRepository) -> None:
        """The index that is kept of a repository is still the right one."""
        kept = self._kept.get(_key(repository))
        if kept is not None:
            kept.until = self._end()

    def forget(self, repository: HelmRepository) -> None:
        """The repository is gone."""
        self._kept.pop(_key(repository), None)
        metrics.forget_cache(repository.metadata.name, repository.metadata.namespace or "")

    async def purge(self, every: float) -> None:
        """Removes what is over, every so many seconds, for good."""
        while every > 0:
            await asyncio.sleep(every)
            now = monotonic()
            self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}

    def _find(self, repository: HelmRepository) -> Index | None:
        if self._size <= 0:
            return None
        kept = self._kept.get(_key(repository))
        artifact = repository.status.artifact
        if kept is not None and (artifact is None or kept.digest != artifact.digest or kept.until < monotonic()):
            kept = None
        what = "cache_hit" if kept is not None else "cache_miss"
        metrics.cache_events.labels(what, repository.metadata.name, repository.metadata.namespace or "").inc()
        if kept is None:
            return None
        kept.until = self._end()
        return kept.index

    def _end(self) -> float:
        return monotonic() + self._ttl if self._ttl > 0 else float("inf")


def _key(repository: HelmRepository) -> tuple[str, str]:
    """Nobody gets an index by way of another's repository: which one may be read is decided for each."""
    return repository.metadata.namespace or "", repository.metadata.name
