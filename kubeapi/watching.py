"""Watches on the wire: one stream of JSON lines per watcher, fed by the store, ended by time, client, fault or stop."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import present, reads
from kubeapi.errors import StatusError
from kubeapi.handlers import Watch
from kubeapi.store import Change, Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

BOOKMARK_INTERVAL = 60.0
"""Seconds between bookmarks of a watch that wants them."""
MINIMUM_TIMEOUT = 1800.0
"""Seconds that a watch without timeoutSeconds lasts at least."""
BACKLOG = 20_000
"""Changes that may wait for a watcher that reads too slowly; then its watch ends."""


class Stream:
    """One running watch."""

    def __init__(self, cluster: Cluster, watch: Watch):
        self.cluster = cluster
        self.watch = watch
        self.resource = watch.wanted.resource
        self._pending: deque[Change] = deque()
        self._wake = asyncio.Event()
        self._headed = False
        self._rv = watch.start.rv
        self.dropped = False
        self.stalled = False
        """While true nothing is sent, as when a connection hangs."""
        self._end_line = b""

    def drop(self) -> None:
        """End the watch at once."""
        self.dropped = True
        self._wake.set()

    def fail(self, error: StatusError) -> None:
        """End the watch with an ERROR event."""
        self._end_line = b'{"type":"ERROR","object":' + orjson.dumps(error.status()) + b"}\n"
        self.drop()

    def stall(self, stalled: bool) -> None:
        self.stalled = stalled
        self._wake.set()

    def _changed(self, change: Change) -> None:
        self._pending.append(change)
        if len(self._pending) > BACKLOG:
            self.dropped = True
        self._wake.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Send the watch's events until it ends. Cancelled when the client goes."""
        store = self.cluster.store
        storage = self.resource.storage
        # From here to the first await nothing else runs: no change is missed and none seen twice.
        self._pending.extend(store.changes_since(storage, self.watch.start.rv) if not self._at_present else ())
        stop = store.listen(self._changed, storage)
        try:
            while self.stalled and not self.dropped:
                self._wake.clear()
                await self._wake.wait()
            await self._initial(send)
            await self._follow(send)
        finally:
            stop()

    @property
    def _at_present(self) -> bool:
        return self.watch.start.rv == self.cluster.store.rv

    async def _initial(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        lines: list[bytes] = []
        size = 0
        for entry in self.watch.start.initial:
            line = self._line("ADDED", entry)
            lines.append(line)
            size += len(line)
            if size > 256 * 1024:
                await send(b"".join(lines))
                lines, size = [], 0
        if self.watch.start.mark:
            lines.append(self._bookmark(initial=True))
        # The first write also sends the headers: a client learns that its watch stands.
        await send(b"".join(lines))
        self.watch.start.initial = []

    async def _follow(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        timeout = self.watch.timeout or MINIMUM_TIMEOUT * (1 + random.random())  # noqa: S311 - spreads load
        end = time.monotonic() + timeout
        bookmark = time.monotonic() + BOOKMARK_INTERVAL
        while True:
            if self.dropped:
                if self._end_line:
                    await send(self._end_line)
                return
            lines: list[bytes] = []
            while self._pending and not self.stalled:
                change = self._pending.popleft()
                self._rv = change.rv
                seen = reads.seen_as(self.watch.wanted, change)
                if seen is not None:
                    lines.append(self._line(*seen))
            if lines:
                await send(b"".join(lines))
                continue
            now = time.monotonic()
            if now >= end:
                if self.watch.bookmarks:
                    await send(self._bookmark())
                return
            if self.watch.bookmarks and now >= bookmark and not self.stalled:
                await send(self._bookmark())
                bookmark = now + BOOKMARK_INTERVAL
            self._wake.clear()
            if self._pending and not self.stalled:
                continue
            limit = min(end, bookmark) if self.watch.bookmarks else end
            handle = asyncio.get_running_loop().call_later(max(0.0, limit - now), self._wake.set)
            try:
                await self._wake.wait()
            finally:
                handle.cancel()

    def _line(self, type_: str, entry: Entry) -> bytes:
        form = self.watch.form
        if form.kind == present.TABLE:
            manifest = self.cluster.manifest(self.resource, entry)
            metadata = {"resourceVersion": str(entry.rv)}
            table = present.table(self.cluster, self.resource, [manifest], form, metadata, headed=not self._headed)
            self._headed = True
            body = orjson.dumps(table)
        else:
            body = present.entry_bytes(self.cluster, self.resource, entry, form)
        return b'{"type":"' + type_.encode() + b'","object":' + body + b"}\n"

    def _bookmark(self, *, initial: bool = False) -> bytes:
        rv = self.cluster.store.rv if not self._pending else self._rv
        metadata: Manifest = {"resourceVersion": str(rv), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {reads.INITIAL_EVENTS_END: "true"}
            metadata["resourceVersion"] = str(self.watch.start.rv)
        if self.watch.form.kind == present.PARTIAL:
            body: Manifest = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
        elif self.watch.form.kind == present.TABLE:
            body = {
                "kind": "Table",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "columnDefinitions": None,
                "rows": [
                    {
                        "cells": [],
                        "object": {
                            "kind": "PartialObjectMetadata",
                            "apiVersion": "meta.k8s.io/v1",
                            "metadata": metadata,
                        },
                    }
                ],
            }
        else:
            body = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        return b'{"type":"BOOKMARK","object":' + orjson.dumps(body) + b"}\n"
