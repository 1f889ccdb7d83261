"""What people are told: Kubernetes Events, and the same events posted to the notification controller.

Recording never blocks an attempt and never fails one: events wait in two bounded lines, to be stored and to be posted,
and are sent in order. One that can't be sent, for whatever reason, is logged and keeps no other from being told. A
repeat of the same event raises the count of the one that is there instead of making another. The wire is upstream's
(events.json of the contract): severity info and error are posted too, and trace is for Kubernetes only.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

import orjson

from shared.api.meta import Manifest, Resource, format_time
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound
from shared.loop.endpoint import Endpoint, PostFailed
from shared.text.plain import plain

log = logging.getLogger(__name__)

Severity = Literal["trace", "info", "error"]

QUEUE_LIMIT = 10_000
"""Events that may wait to be sent; past it the oldest is dropped and said so in the log."""
REPEAT_WINDOW = 600.0
"""Seconds within which the same event counts as a repeat."""
POST_TIMEOUT = 5.0
POST_RETRIES = 4
EVENT_PREFIX = "event.toolkit.fluxcd.io/"
NOTE_LIMIT = 1024
"""Bytes of a Kubernetes Event's message."""


class _Told(NamedTuple):
    """One event."""

    manifest: Manifest
    """What it is about, its reason and its message, in full."""
    severity: Severity
    stamp: str
    metadata: dict[str, str]


class _Line:
    """Events that wait for their turn."""

    def __init__(self, doing: str) -> None:
        """`doing` is a word for what is done with them."""
        self._doing = doing
        self._queue: asyncio.Queue[_Told] = asyncio.Queue()

    def __len__(self) -> int:
        return self._queue.qsize()

    def put(self, told: _Told) -> None:
        if len(self) >= QUEUE_LIMIT:
            dropped = self._queue.get_nowait()
            self._queue.task_done()
            log.error("too many events wait for %s, dropped one about %s", self._doing, _about(dropped.manifest))
        self._queue.put_nowait(told)

    async def serve(self, send: Callable[[_Told], Awaitable[None]]) -> None:
        """Send one after the other, for good: one that breaks it keeps no other from being sent."""
        while True:
            told = await self._queue.get()
            try:
                await send(told)
            except ApiError as error:
                log.error("%s an event about %s failed: %s", self._doing, _about(told.manifest), error)
            except Exception as error:
                about, kind = _about(told.manifest), type(error).__name__
                log.error("%s an event about %s broke: %s", self._doing, about, kind, exc_info=error)
            finally:
                self._queue.task_done()

    async def until_sent(self) -> None:
        await self._queue.join()


class Recorder:
    """Records events about objects for one controller."""

    def __init__(self, client: Client, controller: str, address: str = "") -> None:
        """`address` is where the notification controller listens ("" for Kubernetes Events only)."""
        self._client, self._controller = client, controller
        self._address = _url(address)
        self._stored, self._posted = _Line("storing"), _Line("posting")
        self._sent: OrderedDict[str, tuple[str, int, float]] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        self._instance = os.environ.get("HOSTNAME") or socket.gethostname()
        self._number = 0

    def record(
        self,
        obj: Resource,
        reason: str,
        message: str,
        severity: Severity = "info",
        metadata: dict[str, str] | None = None,
        *,
        annotations: dict[str, str] | None = None,
        stored: bool = True,
        posted: bool = True,
    ) -> None:
        """Tell about an object. `metadata` keys are without the object's group, which is put before them;
        `annotations` stay as they are. An event that isn't `stored` is only posted, and the other way round."""
        resource = type(obj).resource
        involved = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "namespace": obj.metadata.namespace,
            "name": obj.metadata.name,
            "uid": obj.metadata.uid,
            "resourceVersion": obj.metadata.resource_version,
        }
        keys = {f"{resource.group}/{key}": value for key, value in (metadata or {}).items()} | (annotations or {})
        keys |= {key: value for key, value in (obj.metadata.annotations or {}).items() if key.startswith(EVENT_PREFIX)}
        keys = {key: plain(value) for key, value in keys.items()}
        event: Manifest = {"involvedObject": involved, "reason": reason, "message": plain(message)}
        told = _Told(event, severity, format_time(time.time()), keys)
        if stored:
            self._stored.put(told)
        if posted and self._address and severity != "trace":
            self._posted.put(told)

    async def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(self._stored.serve(self._store)), asyncio.create_task(self._deliver())]

    async def stop(self, within: float = 5.0) -> None:
        """Send what waits, for at most `within` seconds, and end."""
        try:
            async with asyncio.timeout(within):
                await self.until_sent()
        except TimeoutError:
            log.error("%d events were not sent before the end", len(self._stored) + len(self._posted))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until_sent(self) -> None:
        """Wait until all that was recorded is sent, or given up."""
        await self._stored.until_sent()
        await self._posted.until_sent()

    async def _store(self, told: _Told) -> None:
        """Keep it as a Kubernetes Event. ApiError when that can't be."""
        event, severity, stamp, metadata = told
        involved = event["involvedObject"]
        type_ = "Warning" if severity == "error" else "Normal"
        same = [involved["uid"], type_, event["reason"], event["message"], sorted(metadata.items())]
        digest = hashlib.sha256(orjson.dumps(same)).hexdigest()
        now = time.monotonic()
        name, count, last = self._sent.get(digest, ("", 0, 0.0))
        if name and now - last < REPEAT_WINDOW:
            try:
                patch = {"count": count + 1, "lastTimestamp": stamp}
                await self._client.patch("v1", "Event", name, involved["namespace"], patch, type="merge")
                self._remember(digest, name, count + 1, now)
                return
            except NotFound:
                pass  # it expired: tell it anew
        self._number += 1
        name = f"{involved['name'][:200]}.{time.time_ns():x}{self._number & 0xFFF:03x}"
        await self._client.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": involved["namespace"]}
                | ({"annotations": metadata} if metadata else {}),
                "involvedObject": involved,
                "reason": event["reason"],
                "message": _cut(event["message"], NOTE_LIMIT),
                "type": type_,
                "source": {"component": self._controller},
                "reportingComponent": self._controller,
                "reportingInstance": self._instance,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
            }
        )
        self._remember(digest, name, 1, now)

    def _remember(self, digest: str, name: str, count: int, now: float) -> None:
        self._sent[digest] = (name, count, now)
        self._sent.move_to_end(digest)
        while len(self._sent) > 4096:
            self._sent.popitem(last=False)

    async def _deliver(self) -> None:
        endpoint = Endpoint(self._address, self._controller)
        try:
            await self._posted.serve(lambda told: self._post(endpoint, told))
        finally:
            await endpoint.close()

    async def _post(self, endpoint: Endpoint, told: _Told) -> None:
        """Post it to the notification controller, as often as it takes within reason."""
        said: Manifest = {"severity": told.severity, "timestamp": told.stamp}
        said |= {"reportingController": self._controller, "reportingInstance": self._instance}
        said |= {"metadata": told.metadata} if told.metadata else {}
        body = orjson.dumps(told.manifest | said)
        for attempt in range(POST_RETRIES + 1):
            try:
                status = await endpoint.post(body, POST_TIMEOUT)
            except PostFailed as failure:
                problem = str(failure)
            else:
                if status < 500:
                    if status >= 400 and status != 429:
                        log.error("the notification controller refused an event: %d", status)
                    return
                problem = f"it answered {status}"
            if attempt < POST_RETRIES:
                await asyncio.sleep(2.0**attempt)
        log.error("could not post an event about %s to %s: %s", _about(told.manifest), self._address, problem)


def _about(event: Manifest) -> str:
    involved = event["involvedObject"]
    return f"{involved['kind']} {involved['namespace']}/{involved['name']}"


def _url(address: str) -> str:
    if address and "://" not in address:
        return f"http://{address}"
    return address


def _cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, at a line's end where one is near."""
    raw = text.encode()
    if len(raw) <= limit:
        return text
    return raw[: limit - 3].decode(errors="ignore") + "..."
