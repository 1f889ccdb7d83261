"""Mirrors: what was learned and fetched of a repository, shared by all who reach it in the same way.

    key + owner → Mirror: answers of the remote, a bare repository

Those who wait while a remote is asked get its answer too, and what one fetched nobody fetches again: five hundred
sources of one repository cost it one question and one fetch. A key must stand for the address and the credentials, so
that nobody sees objects that only another's credentials can fetch. A mirror is a cache and nothing more: it may be
dropped at any time, and one that is broken is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from shared.answers import Answers
from shared.git.command import in_thread

_FETCHES = 32
"""After so many a mirror is made anew, for its packs hold much that is no longer wanted."""
_ANSWERS = 64
"""Questions of one mirror whose answers are kept."""


class Mirror:
    """One remote as some see it; used through `Mirrors.held`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """The bare repository, once somebody fetched."""
        self.fetching = asyncio.Lock()
        """Held by who changes the repository."""
        self.fetches = 0
        self.owners: set[str] = set()
        self.held = 0
        self._measured = 0
        self.size = 0
        """Bytes, as of the last `measure`."""
        self._answers: Answers[Mapping[str, str]] = Answers(_ANSWERS)

    async def advertised(
        self, patterns: Sequence[str], since: float, ask: Callable[[], Awaitable[Mapping[str, str]]]
    ) -> Mapping[str, str]:
        """What the remote has by these patterns: `ask`s it, unless it was asked `since` that time of the event loop."""
        return await self._answers.find(tuple(patterns), since, ask)

    async def drop(self) -> None:
        """Remove the repository, which is broken or too old; it is made anew by who fetches next."""
        async with self.fetching:
            self.fetches = 0
            await in_thread(shutil.rmtree, self.path, True)

    async def measure(self) -> bool:
        """Look how large it is, if somebody fetched since; whether it may have grown."""
        if self._measured == self.fetches:
            return False
        self._measured = self.fetches
        self.size = await in_thread(_size, self.path)
        return True


class Mirrors:
    """Mirrors below `root`, at most `max_bytes` together; those unused for longest go first."""

    def __init__(self, root: Path, *, max_bytes: int = 2 << 30) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._known: OrderedDict[str, Mirror] = OrderedDict()
        self._owned: dict[str, str] = {}
        self._numbers = itertools.count()
        """Each mirror is a directory of its own, so that removing one takes nothing from its successor."""

    @asynccontextmanager
    async def held(self, key: str, owner: str) -> AsyncIterator[Mirror]:
        """The mirror of `key`, in use by `owner`, who used no other then. Old ones go when all are too large."""
        name = hashlib.sha256(key.encode()).hexdigest()
        if self._owned.get(owner, name) != name:
            await self.forget(owner)
        mirror = self._known.get(name)
        if mirror is None:
            mirror = self._known[name] = Mirror(self._root / str(next(self._numbers)))
        self._known.move_to_end(name)
        self._owned[owner] = name
        mirror.owners.add(owner)
        mirror.held += 1
        try:
            if mirror.held == 1 and mirror.fetches >= _FETCHES:
                await mirror.drop()
            yield mirror
        finally:
            mirror.held -= 1
            await asyncio.shield(self._shrink(mirror))

    async def forget(self, owner: str) -> None:
        """Somebody needs no mirror any more; one that nobody needs is removed."""
        name = self._owned.pop(owner, "")
        mirror = self._known.get(name)
        if mirror is not None:
            mirror.owners.discard(owner)
            if not mirror.owners and not mirror.held:
                del self._known[name]
                await mirror.drop()

    async def close(self) -> None:
        """Removes all."""
        self._known.clear()
        self._owned.clear()
        await in_thread(shutil.rmtree, self._root, True)

    async def _shrink(self, grown: Mirror) -> None:
        """Remove what is unused for longest until the rest is small enough."""
        if not await grown.measure():
            return
        total = sum(each.size for each in self._known.values())
        for name, each in list(self._known.items()):
            if total <= self._max_bytes:
                break
            if not each.held and self._known.get(name) is each:
                del self._known[name]
                total -= each.size
                await each.drop()


def _size(path: Path) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
        for folder, _, names in os.walk(path)
        for name in names
    )
