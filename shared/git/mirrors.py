"""Mirrors: what was fetched of a repository stays a while, so that the next commit costs only what is new in it.

    key → bare repository that only its owner's session uses

A mirror is a cache and nothing more: it may be dropped at any time, and one that is broken is dropped. Each owner has a
mirror of its own, so that nobody sees objects that only another's credentials can fetch.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.git.command import in_thread

_PACKS = 32
"""After so many fetches a mirror is made anew, for its packs hold much that is no longer wanted."""


@dataclass
class _Mirror:
    size: int = 0
    used: float = field(default_factory=time.monotonic)
    held: int = 0


class Mirrors:
    """Bare repositories below `root`, at most `max_bytes` together; those unused for longest go first.

    One session at a time may use a key, which the loop guarantees for an object's.
    """

    def __init__(self, root: Path, *, max_bytes: int = 2 << 30) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._known: dict[str, _Mirror] = {}

    @asynccontextmanager
    async def held(self, key: str) -> AsyncIterator[Path]:
        """Where the mirror of `key` is or is to be made. Old ones are removed afterwards when all are too large."""
        path = await self._take(key)
        try:
            yield path
        finally:
            await asyncio.shield(self._give(key))

    async def _take(self, key: str) -> Path:
        name = _name(key)
        mirror = self._known.setdefault(name, _Mirror())
        mirror.held += 1
        path = self._root / name
        if await in_thread(_packs, path) >= _PACKS:
            await in_thread(shutil.rmtree, path, True)
        return path

    async def _give(self, key: str) -> None:
        name = _name(key)
        mirror = self._known.get(name)
        if mirror is None:  # dropped meanwhile
            return
        mirror.held -= 1
        mirror.size, mirror.used = await in_thread(_size, self._root / name), time.monotonic()
        total = sum(each.size for each in self._known.values())
        for old, each in sorted(self._known.items(), key=lambda item: item[1].used):
            if total <= self._max_bytes:
                break
            if each.held <= 0:
                total -= each.size
                await self._remove(old)

    async def drop(self, key: str) -> None:
        """Removes the mirror of a key that isn't needed any more."""
        await self._remove(_name(key))

    async def close(self) -> None:
        """Removes all."""
        self._known.clear()
        await in_thread(shutil.rmtree, self._root, True)

    async def _remove(self, name: str) -> None:
        self._known.pop(name, None)
        await in_thread(shutil.rmtree, self._root / name, True)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _packs(path: Path) -> int:
    folder = path / "objects" / "pack"
    return sum(1 for _ in folder.glob("*.pack")) if folder.is_dir() else 0


def _size(path: Path) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118
        for folder, _, names in os.walk(path)
        for name in names
    )
