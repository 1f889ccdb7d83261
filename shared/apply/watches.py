"""Full-object watches for those who wait, shared: one for a kind and namespace while anybody waits there.

They run under the identity of who waits, so that a tenant sees nothing that it may not. Objects are kept as JSON, a
fifth of what they are as dictionaries, for a namespace may hold thousands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from shared.api.meta import Manifest
from shared.kube.client import Client
from shared.kube.watch import Cache

LINGER = 5.0
"""Seconds a watch outlives its last user: the next one often comes at once."""
MOST = 64
"""Watches at a time; every one is a connection. Above that, objects are asked for one by one."""

WIDEN = 4
"""From so many namespaces on, one watch of all of them is cheaper."""

_Key: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class _Shared:
    cache: Cache[bytes]
    started: asyncio.Task[None]
    users: int = 0
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Watches:
    """`group` is that of the owner labels: a watch of a whole namespace sees only what has an owner."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._shared: dict[_Key, _Shared] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._shared)

    @property
    def exhausted(self) -> bool:
        return len(self._shared) >= MOST

    def _count(self, who: _Key) -> int:
        return sum(1 for key in self._shared if key[:-1] == who)

    @asynccontextmanager
    async def watching(
        self, client: Client, api_version: str, kind: str, namespace: str, *, name: str = "", owned: bool = False
    ) -> AsyncIterator[Cache[bytes]]:
        """A started cache of one object (`name`), of the owned objects of a namespace, or of all of them: as JSON,
        without managedFields. It may hold more than was asked for: under our own identity, several namespaces
        of a kind are watched as one."""
        who = (id(client.transport), client.user, client.groups, api_version, kind, name, owned)
        if owned and not name and client.user is None and self._count(who) >= WIDEN:
            namespace = ""
        key = (*who, namespace)
        shared = self._shared.get(key)
        if shared is None:
            cache: Cache[bytes] = Cache(
                client,
                api_version,
                kind,
                namespace or None,
                field_selector=f"metadata.name={name}" if name else "",
                label_selector=f"{self._group}/name" if owned and not name else "",
                keep=_packed,
                streaming=True,
            )
            shared = self._shared[key] = _Shared(cache, asyncio.create_task(cache.start()))
        if shared.timer is not None:
            shared.timer.cancel()
            shared.timer = None
        shared.users += 1
        try:
            await asyncio.shield(shared.started)
            yield shared.cache
        finally:
            shared.users -= 1
            if shared.users == 0 and self._shared.get(key) is shared:
                shared.timer = asyncio.get_running_loop().call_later(LINGER, self._end, key)

    async def close(self) -> None:
        for key in list(self._shared):
            self._end(key)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _end(self, key: _Key) -> None:
        shared = self._shared.pop(key)
        if shared.timer is not None:
            shared.timer.cancel()
        shared.started.cancel()
        task = asyncio.create_task(shared.cache.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _packed(manifest: Manifest) -> bytes:
    manifest["metadata"].pop("managedFields", None)
    # Not by orjson: what it returns holds on to a buffer of several times its size.
    return msgspec.json.encode(manifest)
