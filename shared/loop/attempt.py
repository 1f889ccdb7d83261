"""One run on one object: what a story is given to work with.

The object is the story's own copy: it sets status fields on it, and the loop writes what changed. `progress` says what
is being done and costs nothing unless the attempt takes long; `save` writes the status now. Whatever the story does
may be cancelled at any await.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from shared.api import codec
from shared.api.meta import Manifest, Named, Resource, format_time
from shared.kube.client import Client
from shared.kube.errors import NotFound
from shared.loop import verdict
from shared.loop.events import Severity
from shared.loop.queue import Key

if TYPE_CHECKING:
    from shared.loop.controller import Controller
    from shared.loop.kinds import Kind

R = TypeVar("R", bound=Resource)
S = TypeVar("S", bound=Named)

LONG = 1.0
"""Seconds after which an attempt's progress is written to the status."""
BUSY = 5.0
"""The same while others wait for a worker, and would wait longer for each such write."""
ROUTINE = 30.0
"""The same for one that is expected to find all as it was. After a restart there are thousands, which wait for each
other, and none of them has anything to tell."""

PER_SECOND, AT_ONCE = 5.0, 50
"""How many such writes a controller makes a second, and at once: when thousands wait at the same time, telling of each
would delay what they wait for. Who finds no room is told of later, should he still wait."""


class Slot:
    """A worker that an attempt may hold; `--concurrent` of them exist for each kind."""

    def __init__(self, workers: asyncio.Semaphore) -> None:
        """The worker is already held."""
        self._workers, self.held = workers, True

    def release(self) -> None:
        """Give the worker to others, if it is held."""
        if self.held:
            self.held = False
            self._workers.release()

    async def acquire(self) -> None:
        """Wait for a worker."""
        await self._workers.acquire()
        self.held = True


class Attempt(Generic[R]):
    """One run on one object, from the moment its key is taken to its verdict."""

    def __init__(
        self,
        controller: Controller,
        kind: Kind[R],
        key: Key,
        obj: R,
        slot: Slot,
        log: logging.LoggerAdapter[Any],
        since: float,
    ) -> None:
        self.controller = controller
        self._kind = kind
        self.key = key
        self.obj = _working_copy(obj)
        self.log = log
        self.kube: Client = controller.client
        """The API server under the controller's own identity."""
        self.options: Any = controller.options
        """The parsed flags."""
        self.about: dict[str, str] = {}
        """Metadata that goes with every event of this attempt, such as the revision; keys without the group."""
        self.since = since
        """When this attempt was last asked for, in the event loop's time; where its interval made it due, when it might
        first have been, for intervals vary. What somebody else learned of the world later needs no second look."""
        self.slot = slot
        self.is_resting = False
        self.preempted_by = ""
        """The object whose change ended the wait of this attempt, where it is known, as kind/namespace/name."""
        self.doing: str | None = None
        """The last progress message."""
        self.is_routine = False
        """Whether it is expected that nothing has to be done: then progress is told later."""
        self.failed = False
        """Whether it ended so that people were told of an error."""
        self.started = time.monotonic()
        self._unsettled = False
        self._saved = obj
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._flush: asyncio.Task[None] | None = None
        self._ending = False
        self._closed = False

    @property
    def generation(self) -> int:
        """The generation of the spec that this attempt works on."""
        return self.obj.metadata.generation or 0

    @property
    def _status(self) -> Any:
        """Every kind that is reconciled has a status with conditions; their types differ."""
        return self.obj.status  # type: ignore[attr-defined]

    @property
    def request(self) -> str | None:
        """The token of a reconciliation that was asked for and not yet handled; None when nobody asked."""
        token = requested_at(self.obj)
        return token if token and token != getattr(self._status, "last_handled_reconcile_at", None) else None

    @property
    def requested(self) -> bool:
        """Whether someone asked for this reconciliation by annotation."""
        return self.request is not None

    def event(
        self,
        reason: str,
        message: str,
        severity: Severity = "info",
        metadata: dict[str, str] | None = None,
        *,
        stored: bool = True,
        posted: bool = True,
    ) -> None:
        """Tell people: a Kubernetes Event, unless not `stored`, and the notification controller, unless not `posted` or
        `severity` is trace."""
        about = self.about | (metadata or {})
        self.controller.recorder.record(self.obj, reason, message, severity, about, stored=stored, posted=posted)

    def unchanged(self, reason: str, message: str) -> None:
        """Tell, by a Kubernetes Event, that there was nothing to do: only who asked for this attempt, for a pass in
        which nothing changed makes no call."""
        self.event(reason, message, "trace", stored=self.requested)

    def mark(self, type_: str, status: bool | str | None, reason: str = "", message: str = "") -> None:
        """Set a condition that the story itself answers for, or remove it with None. Written with the next save."""
        text = str(status) if isinstance(status, bool) else status
        now = format_time(time.time())
        self._status.conditions = verdict.marked(
            self._status.conditions, type_, text, reason, message, self.generation, now
        )

    async def progress(self, message: str) -> None:
        """Say what is being done. Written to the status only when the attempt takes longer than a second; than five
        while others wait for a worker, and than 30 where it `is_routine`; and later while too many others are told of.
        """
        self.doing = message
        if not self._wait_to_tell():
            await self._write()

    def _wait_to_tell(self) -> bool:
        """Whether it is too early to say what is being done; then it is said when it is time."""
        patience = BUSY if self.controller.is_busy(self.key.kind) else LONG
        left = (ROUTINE if self.is_routine else patience) - (time.monotonic() - self.started)
        self._stop_timer()
        if left <= 0 and self.controller.courtesies.take_now():
            return False
        self._timer = asyncio.get_running_loop().call_later(min(left, LONG) if left > 0 else LONG, self._write_later)
        return True

    async def save(self, message: str) -> None:
        """Say what is being done and write the whole status now, before the world is changed."""
        self.doing, self._unsettled = message, True
        await self._write()

    def find(self, type_: type[S], namespace: str, name: str) -> S | None:
        """The newest known state of another object, from the controller's watches; None when it isn't known."""
        return self.controller.find(type_, namespace, name)

    async def read(self, type_: type[S], namespace: str, name: str, *, direct: bool = False) -> S | None:
        """Another object: from the watches, or, when they don't know it or `direct`, from the API. None when there is
        none."""
        known = None if direct else self.find(type_, namespace, name)
        if known is not None:
            return known
        try:
            manifest = await self.kube.get(type_.resource.api_version, type_.resource.kind, name, namespace)
        except NotFound:
            return None
        return codec.decode(type_, manifest)

    async def config(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        """A ConfigMap or Secret, of the object's own namespace unless told; not to be changed. NotFound when there is
        none. Whoever changed it and then asked for this reconciliation finds it changed."""
        where = namespace or self.obj.metadata.namespace or ""
        return await self.controller.configs.get(kind, name, where, fresh=self.requested)

    async def secret(self, name: str, namespace: str | None = None) -> dict[str, bytes]:
        """The data of a Secret, of the object's own namespace unless told. NotFound when there is none."""
        manifest = await self.config("Secret", name, namespace)
        try:
            return {key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
        except (binascii.Error, ValueError) as error:
            raise verdict.Failed("AuthenticationFailed", f"secret '{name}' holds data that is not base64") from error

    @contextlib.asynccontextmanager
    async def workdir(self) -> AsyncIterator[Path]:
        """A private directory for this attempt, gone when it ends. Removing thousands of files keeps nobody else
        waiting."""
        path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=f"{self.key.kind.lower()}-"))
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, True))

    @contextlib.asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """Around a wait: gives the worker to others meanwhile, and lets a change preempt this attempt at once."""
        self.slot.release()
        self.is_resting = True
        try:
            self.controller.preempt_if_due(self.key)
            yield
            self.is_resting = False
            await self.slot.acquire()
        finally:
            self.is_resting = False

    # The loop's side

    async def write_final(self) -> R:
        """Write what changed of the status since the last write, if anything; the object as it is now."""
        self._ending = True  # a progress message that was under way must not follow the verdict
        self._stop_timer()
        if self._flush is not None:
            await asyncio.gather(self._flush, return_exceptions=True)
        await self._write(final=True)
        return self._saved

    def close(self) -> None:
        """Nothing is written after this."""
        self._closed = True
        self._stop_timer()
        if self._flush is not None:
            self._flush.cancel()

    def _write_later(self) -> None:
        self._timer = None
        if not self._closed and not self._wait_to_tell():
            self._flush = asyncio.create_task(self._write_quietly())

    async def _write_quietly(self) -> None:
        try:
            await self._write()
        except Exception as error:  # the final write tells; a progress message is a courtesy
            self.log.debug("could not write progress: %s", error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _write(self, *, final: bool = False) -> None:
        async with self._lock:
            if (self._closed or self._ending) and not final:
                return
            if self.doing is not None and not final:
                self._status.conditions = verdict.progressing(
                    self._status.conditions,
                    self.doing,
                    self.generation,
                    format_time(time.time()),
                    unsettled=self._unsettled,
                    ready=self._kind.in_progress,
                )
            written: Any = self._saved
            self._status.conditions = verdict.with_times_of(self._status.conditions, written.status.conditions)
            patch = codec.status_patch(self._saved, self.obj)
            if patch is None:
                return
            saved = await self.controller.write_status(self.obj, patch)
            self._saved = saved
            self.obj.metadata.resource_version = saved.metadata.resource_version


def _working_copy(obj: R) -> R:
    """A copy whose status and metadata are the story's to change: fields and lists, but not their parts, in whose place
    it puts others. Thousands may wait at a time, and share all that they don't change."""
    own: dict[str, Any] = {"metadata": msgspec.structs.replace(obj.metadata)}
    if hasattr(obj, "status"):
        own["status"] = status = msgspec.structs.replace(obj.status)
        for field in status.__struct_fields__:
            if isinstance(value := getattr(status, field), list):
                setattr(status, field, list(value))
    return msgspec.structs.replace(obj, **own)


def requested_at(obj: Resource) -> str | None:
    """The token with which a reconciliation was asked for, if ever."""
    return (obj.metadata.annotations or {}).get("reconcile.fluxcd.io/requestedAt")
