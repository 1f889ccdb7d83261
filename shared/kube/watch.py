"""What a cluster holds of one resource, kept current: list, then watch, for as long as the cache runs.

    list → values → watch → changes → callbacks

A cut watch is resumed at the last resourceVersion; when that is too old, the cache lists again and reports what the
gap did: vanished objects as deleted, others as modified or added. So callbacks see every object's end, though not
every step of it. A resource that isn't served or may not be read is asked for again until it is.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from sys import intern
from typing import Any, Generic, Literal, TypeVar

import msgspec
import orjson

from shared.kube.client import PAGE, Client
from shared.kube.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    Gone,
    Invalid,
    NoMatch,
    NotFound,
    Unauthorized,
    Unavailable,
    of_status,
)
from shared.kube.pages import Identity, identity, pages

logger = logging.getLogger(__name__)
T = TypeVar("T")
Key = tuple[str, str]
"""Namespace (empty for cluster-wide resources) and name."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between two tries to list or watch: doubled each time, with jitter."""
LISTEN = (240, 480)
"""Seconds after which we ask the server to end a watch, drawn between these, so that they don't all end at once."""
HEALTHY_AFTER = 5.0
"""Seconds after which a watch counts as having worked: the next pause is short again."""


INITIAL_EVENTS = 20.0
"""Seconds that a server may take to send the initial state as events before we list instead."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class OwnerReference(msgspec.Struct, rename="camel", frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Metadata(msgspec.Struct, rename="camel", kw_only=True):
    """What a metadata-only cache decodes of an object; the rest isn't even parsed."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: list[str] = []
    owner_references: list[OwnerReference] = []
    managed_fields: msgspec.Raw = msgspec.Raw(b"")
    """As JSON. Only valid until the callback or `keep` returns, unless copied."""


class _Object(msgspec.Struct):
    metadata: Metadata


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_metadata = msgspec.json.Decoder(_Object).decode


def _error(event: _Event) -> ApiError:
    status = orjson.loads(bytes(event.object))
    error = of_status(status, int(status.get("code") or 500))
    if "too large resource version" in error.message.lower():
        return Gone(error.message)  # The server lost its history (restored, restarted in memory): begin anew.
    return error


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What a watch delivers: what was kept of the object, and what was kept of it before. For a deleted object
    `manifest` is its last state, as far as it is known."""

    type: Literal["added", "modified", "deleted"]
    key: Key
    manifest: T
    old: T | None = None


@dataclass(slots=True)
class _Entry(Generic[T]):
    uid: str
    resource_version: str
    value: T


class Cache(Generic[T]):
    """The objects of one resource, in one namespace or all, perhaps selected.

    `keep` turns a decoded object into what is stored and reported: the manifest itself by default, or `Metadata` in
    metadata-only mode. `streaming` asks for the initial state as watch events: one call instead of two, where the
    server can. Callbacks run at once, in order, and must neither block nor raise (what they raise is logged).
    """

    def __init__(
        self,
        client: Client,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        keep: Callable[[Any], T] | None = None,
        streaming: bool = False,
        page: int = PAGE,
    ) -> None:
        self.api_version, self.kind, self.namespace = api_version, kind, namespace
        self.problem: ApiError | None = None
        """Why the cache isn't current; None when it is."""
        self._client = client
        self._label_selector, self._field_selector = label_selector, field_selector
        self._metadata_only = metadata_only
        self._keep = keep
        self._streaming = streaming
        self._page = page
        self._entries: dict[Key, _Entry[T]] = {}
        self._callbacks: list[Callable[[Change[T]], None]] = []
        self._callbacks_of: dict[Key, list[Callable[[Change[T]], None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._synced = asyncio.Event()
        self._answered = asyncio.Event()
        self._version = ""

    def __repr__(self) -> str:
        return f"<Cache {self.api_version} {self.kind} {self.namespace or '*'}: {len(self._entries)}>"

    # Life

    async def start(self) -> None:
        """Runs the cache in the background; returns once it is synced, or once the server has said that there is
        nothing to see (not served, not allowed): then `problem` tells, and the cache goes on asking."""
        if self._task is None:
            self._answered.clear()
            self._task = asyncio.create_task(self._run(), name=f"watch {self.api_version} {self.kind}")
        await self._answered.wait()

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._synced.clear()
        self._answered.set()  # Nobody is left waiting for a start that won't come.

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    # Content

    def get(self, namespace: str | None, name: str) -> T | None:
        entry = self._entries.get((namespace or "", name))
        return None if entry is None else entry.value

    def values(self) -> list[T]:
        return [entry.value for entry in self._entries.values()]

    def items(self) -> list[tuple[Key, T]]:
        return [(key, entry.value) for key, entry in self._entries.items()]

    def __len__(self) -> int:
        return len(self._entries)

    def on_change(
        self, callback: Callable[[Change[T]], None], *, key: Key | None = None, replay: bool = False
    ) -> Callable[[], None]:
        """Calls back for every change from now on, or for those of one object (thousands may each wait for theirs);
        returns what ends that. `replay` begins with what is there."""
        callbacks = self._callbacks if key is None else self._callbacks_of.setdefault(key, [])
        callbacks.append(callback)
        if replay:
            for known, entry in list(self._entries.items()):
                if key is None or key == known:
                    self._call(callback, Change("added", known, entry.value))

        def end() -> None:
            with suppress(ValueError):
                callbacks.remove(callback)
            if key is not None and not callbacks and self._callbacks_of.get(key) is callbacks:
                del self._callbacks_of[key]

        return end

    # Following

    async def _run(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            began = time.monotonic()
            try:
                if not self._version and not self._streaming:
                    await self._list()
                await self._watch()
                self.problem = None
                failure: ApiError | None = None
            except Gone:
                self._version = ""
                failure = None
            except ApiError as error:
                failure = error
            except (msgspec.DecodeError, orjson.JSONDecodeError) as error:
                self._version = ""
                failure = Unavailable(f"the watch of {self.kind} sent something that is not a change: {error}")
            except Exception as error:
                logger.exception("the watch of %s %s failed for a reason we don't know", self.api_version, self.kind)
                self._version = ""
                failure = Unavailable(f"the watch of {self.kind} failed: {error}")
            if time.monotonic() - began > HEALTHY_AFTER:
                pause = SHORTEST_PAUSE
            if failure is not None:
                self._report(failure)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE) if failure is not None else SHORTEST_PAUSE

    def _report(self, failure: ApiError) -> None:
        if self.problem is None or str(self.problem) != str(failure):
            level = logging.INFO if isinstance(failure, Unavailable) else logging.WARNING
            logger.log(level, "the watch of %s %s failed, trying again: %s", self.api_version, self.kind, failure)
        self.problem = failure
        if isinstance(failure, NotFound):  # The resource itself is gone, and its objects with it.
            if not isinstance(failure, NoMatch):
                self._client.discovery.invalidate(self.api_version)
            self._replace({})
            self._version = ""
        if isinstance(failure, NotFound | Forbidden | Unauthorized):
            self._answered.set()

    async def _list(self) -> None:
        entries: dict[Key, _Entry[T]] = {}
        version = ""
        async for page in pages(
            self._client,
            self.api_version,
            self.kind,
            self.namespace,
            limit=self._page,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        ):
            if page.begins:
                entries = {}
            for raw in page.items:
                key, entry = self._entry(raw)
                entries[key] = entry
            version = page.resource_version
            await asyncio.sleep(0)
        self._arrived(entries, version)

    def _arrived(self, entries: dict[Key, _Entry[T]], version: str) -> None:
        self._replace(entries)
        self._version = version
        self.problem = None
        self._synced.set()
        self._answered.set()

    def _replace(self, entries: dict[Key, _Entry[T]]) -> None:
        """Makes `entries` the content and reports the difference."""
        before, self._entries = self._entries, entries
        for key, old in before.items():
            new = entries.get(key)
            if new is None or new.uid != old.uid:
                self._notify(Change("deleted", key, old.value, old.value))
        for key, new in entries.items():
            known = before.get(key)
            if known is None or known.uid != new.uid:
                self._notify(Change("added", key, new.value))
            elif known.resource_version != new.resource_version:
                self._notify(Change("modified", key, new.value, known.value))

    async def _watch(self) -> None:
        initial = not self._version
        try:
            async with self._client.watch(
                self.api_version,
                self.kind,
                self.namespace,
                resource_version=self._version,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                metadata_only=self._metadata_only,
                initial_events=initial,
                seconds=random.randint(*LISTEN),  # noqa: S311
            ) as lines:
                if initial:
                    try:
                        async with asyncio.timeout(INITIAL_EVENTS):
                            await self._take_initial(lines)
                    except TimeoutError as error:
                        raise BadRequest("the server did not send the end of the initial events") from error
                self.problem = None
                async for line in lines:
                    self._take(line)
        except (Invalid, BadRequest):
            if not initial or self._version:
                raise
            self._streaming = False  # This server can't begin a watch with what is there: list, then.

    async def _take_initial(self, lines: AsyncIterator[bytes]) -> None:
        """The initial state as events, up to the bookmark that ends it."""
        entries: dict[Key, _Entry[T]] = {}
        async for line in lines:
            event = _decode_event(line)
            if event.type == "ERROR":
                raise _error(event)
            if event.type == "BOOKMARK":
                bookmark = identity(event.object)
                if (bookmark.annotations or {}).get(INITIAL_EVENTS_END) == "true":
                    self._arrived(entries, bookmark.resource_version)
                    return
                continue
            key, entry = self._entry(event.object)
            if event.type == "DELETED":
                entries.pop(key, None)
            else:
                entries[key] = entry
        raise Unavailable(f"the watch of {self.kind} ended before it had sent what is there")

    def _take(self, line: bytes) -> None:
        """One event of the watch, into the content and to the callbacks."""
        event = _decode_event(line)
        if event.type == "BOOKMARK":
            self._version = identity(event.object).resource_version or self._version
            return
        if event.type == "ERROR":
            raise _error(event)
        key, entry = self._entry(event.object)
        old = self._entries.get(key)
        self._version = entry.resource_version
        if event.type == "DELETED":
            if old is not None:
                del self._entries[key]
                self._notify(Change("deleted", key, entry.value, old.value))
            return
        self._entries[key] = entry
        if old is None:
            self._notify(Change("added", key, entry.value))
        elif old.uid != entry.uid:
            self._notify(Change("deleted", key, old.value, old.value))
            self._notify(Change("added", key, entry.value))
        else:
            self._notify(Change("modified", key, entry.value, old.value))

    def _entry(self, raw: msgspec.Raw) -> tuple[Key, _Entry[T]]:
        value: Any
        if self._metadata_only:
            metadata = _decode_metadata(raw).metadata
            value = metadata if self._keep is None else self._keep(metadata)
            if value is metadata:
                metadata.managed_fields = metadata.managed_fields.copy()
            known: Any = metadata
        else:
            manifest = orjson.loads(bytes(raw))
            manifest["apiVersion"], manifest["kind"] = self.api_version, self.kind
            found = manifest["metadata"]
            known = Identity(
                found["name"], found.get("namespace", ""), found.get("uid", ""), found.get("resourceVersion", "")
            )
            value = manifest if self._keep is None else self._keep(manifest)
        return (intern(known.namespace), intern(known.name)), _Entry(known.uid, known.resource_version, value)

    def _notify(self, change: Change[T]) -> None:
        for callback in (*self._callbacks, *self._callbacks_of.get(change.key, ())):
            self._call(callback, change)

    def _call(self, callback: Callable[[Change[T]], None], change: Change[T]) -> None:
        try:
            callback(change)
        except Exception:
            logger.exception("a callback failed on a change of %s %s/%s", self.kind, *change.key)
