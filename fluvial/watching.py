"""Waiting for an object to become what is hoped for, by watching it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from shared.api.meta import Manifest
from shared.kube.client import Client
from shared.kube.watch import Cache, Change


class Watched:
    """Objects of one kind, as they are now; `until` waits for one of them."""

    def __init__(self, cache: Cache[Manifest]) -> None:
        self._cache = cache
        self._changed = asyncio.Event()
        cache.on_change(self._note)

    def on_change(self, callback: Callable[[Change[Manifest]], None]) -> None:
        """Call back for every object there is, and with every change from now on."""
        self._cache.on_change(callback, replay=True)

    def get(self, namespace: str, name: str) -> Manifest | None:
        """An object as it is known now."""
        return self._cache.get(namespace, name)

    def values(self) -> list[Manifest]:
        """All objects as they are known now, by namespace and name."""
        return [manifest for _, manifest in sorted(self._cache.items(), key=lambda item: item[0])]

    async def until(self, namespace: str, name: str, holds: Callable[[Manifest | None], Any], seconds: float) -> Any:
        """Wait until `holds` says something truthy of the object (None while it isn't there); that. TimeoutError."""
        async with asyncio.timeout(seconds):
            while not (answer := holds(self._cache.get(namespace, name))):
                self._changed.clear()
                await self._changed.wait()
        return answer

    def _note(self, _: Change[Manifest]) -> None:
        self._changed.set()


@contextlib.asynccontextmanager
async def watched(client: Client, api_version: str, kind: str, namespace: str | None = None) -> AsyncIterator[Watched]:
    """Objects of a kind, watched for as long as the block runs."""
    cache: Cache[Manifest] = Cache(client, api_version, kind, namespace)
    found = Watched(cache)
    await cache.start()
    try:
        yield found
    finally:
        await cache.stop()


def ready(manifest: Manifest | None) -> tuple[str, str, str]:
    """Status, reason and message of the condition Ready; ("Unknown", "", "") before there is one."""
    status = (manifest or {}).get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "Ready":
            return condition["status"], condition["reason"], condition["message"]
    return "Unknown", "", ""


def waits(manifest: Manifest | None) -> bool:
    """Whether an object isn't ready for now, and something else will end that: nothing for a user to do."""
    status, reason, message = ready(manifest)
    if reason == "ArtifactFailed":  # a source that isn't there yet, or a path that never will be
        return "path not found" not in message
    return status == "Unknown" or (status == "False" and reason == "DependencyNotReady")
