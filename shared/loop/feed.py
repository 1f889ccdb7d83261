"""Custom resources as they change, delivered by kopf: the only module that knows it.

kopf lists and watches each kind and calls one event handler, which hands the change over and returns None, so that
kopf itself never writes to the cluster: posting and scanning are off, its storages store nothing, selectors act on the
server. It tells of all that a list says, and of what goes. The states of what is there, and most of those are the
echoes of our own writes, are taken from the watch on their way to kopf, which needs ten times as long for one: the
newest state wins, whichever way it came.

kopf runs in the loop that it delivers to. When its operator ends, it would cancel all tasks of the loop that are
younger than itself, and when it begins it takes the signals of the process: both is kept from it.

What kopf leaves out is made up for here: after a 410 it lists again and says nothing of what vanished meanwhile, so a
relisting is recognised (a listed state of an object already known) and the known objects that it did not repeat are
reported as doubtful. An operator that ends by an error is started again; the session sees to it that few do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from shared.api.meta import Manifest, ResourceKind
from shared.kube.config import Connection
from shared.loop import session

log = logging.getLogger(__name__)

RELIST_QUIET = 2.0
"""Seconds without a listed object after which a relisting counts as complete."""
RESTART_DELAY = 2.0
"""Seconds before an operator that ended by an error is started again."""
END = 10.0
"""Seconds that an operator may take to end."""

Delivery = Callable[[ResourceKind, str | None, Manifest], None]
"""Called with the kind, the type of change (None for a listed object) and the object."""


class Feed:
    """kopf's operator over some kinds. `start` returns once it watches; `stop` ends it."""

    def __init__(
        self,
        kinds: Sequence[ResourceKind],
        *,
        connection: Connection,
        deliver: Delivery,
        take: session.Take,
        label_selectors: Mapping[str, str] | None = None,
        namespace: str | None = None,
        heed_signals: Callable[[], None] | None = None,
    ) -> None:
        """Watch `kinds` in one namespace, or in all; `label_selectors` are by kind. `heed_signals` sets the handlers of
        SIGINT and SIGTERM anew."""
        self._kinds, self._connection, self._deliver, self._take = list(kinds), connection, deliver, take
        self._selectors, self._namespace = dict(label_selectors or {}), namespace
        self._heed_signals = heed_signals
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the operator and wait until its watches are set up."""
        self._running = asyncio.create_task(self._run(), name="kopf")
        await self._ready.wait()

    async def stop(self) -> None:
        """End the operator; no delivery comes after this returns."""
        self._stop.set()
        if self._running is not None:
            await asyncio.wait([self._running], timeout=END)
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        kopf = await asyncio.to_thread(_import_kopf)
        while not self._stop.is_set():
            try:
                await self._operate(kopf)
            except Exception as error:
                log.error("watching custom resources ended, starting again: %s", error, exc_info=error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESTART_DELAY):
                    await self._stop.wait()
        self._ready.set()

    async def _operate(self, kopf: Any) -> None:
        registry = kopf.OperatorRegistry()
        settings = kopf.OperatorSettings()
        _quiet(kopf, settings)
        kopf.on.login(registry=registry)(self._connect(kopf))
        for kind in self._kinds:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(self._handler(kind))
            if selector := self._selectors.get(kind.kind):
                settings.watching.label_selectors[kind.group, kind.plural] = selector
        where: dict[str, Any] = {"namespaces": [self._namespace]} if self._namespace else {"clusterwide": True}
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=settings,
            standalone=True,
            memories=_forgetful(),
            stop_flag=self._stop,
            ready_flag=self._ready,
            **where,
        )
        self._take_signals_back()
        await kopf.run_tasks(tasks, ignored=_Others())

    def _take_signals_back(self) -> None:
        """kopf set its own handlers, of a loop in the main thread, a moment ago."""
        if self._heed_signals is not None:
            self._heed_signals()
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)

    def _connect(self, kopf: Any) -> Callable[..., Any]:
        """kopf's login."""

        async def connect(**_: Any) -> Any:
            asking = session.connect(self._connection, self._take_in_passing)
            return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=asking)

        return connect

    def _handler(self, kind: ResourceKind) -> Callable[..., Any]:
        async def changed(event: Mapping[str, Any], **_: Any) -> None:
            if self._stop.is_set():
                return
            try:
                self._deliver(kind, event["type"], event["object"])
            except Exception as error:  # of one object: the others must be heard of
                log.error("a change of %s can't be taken in: %s", kind.plural, error, exc_info=error)

        return changed

    def _take_in_passing(self, data: bytes) -> str:
        if self._stop.is_set():
            return ""
        try:
            return self._take(data)
        except Exception as error:
            log.error("a change can't be taken in: %s", error, exc_info=error)
            return ""


class _Others(Collection[Any]):
    """The tasks that aren't kopf's to cancel when its own have ended: any."""

    def __contains__(self, task: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(asyncio.all_tasks())

    def __len__(self) -> int:
        return len(asyncio.all_tasks())


class Relisting:
    """Tells which known objects a relisting did not repeat. Fed with every delivery of one kind."""

    def __init__(self, doubtful: Callable[[list[tuple[str, str]]], None]) -> None:
        """`doubtful` gets namespace and name of the objects that may be gone, for someone to look."""
        self._doubtful = doubtful
        self._known: set[tuple[str, str]] = set()
        self._seen: set[tuple[str, str]] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def note(self, type_: str | None, namespace: str, name: str) -> None:
        """Take in one delivery."""
        key = (namespace, name)
        if type_ == "DELETED":
            self._known.discard(key)
            return
        if type_ is None and key in self._known and self._seen is None:
            self._seen = set()
        self._known.add(key)
        if self._seen is None:
            return
        self._seen.add(key)
        if type_ is None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(RELIST_QUIET, self._finish)

    def _finish(self) -> None:
        missing = sorted(self._known - (self._seen or set()))
        self._seen, self._timer = None, None
        if missing:
            self._doubtful(missing)


def _forgetful() -> Any:
    """A memory of objects that keeps none: nothing of ours reads it, and each takes more than a kilobyte."""
    from kopf._core.reactor.inventory import ResourceMemories

    class NothingRemembered(ResourceMemories):
        async def recall(self, raw_body: Any, **options: Any) -> Any:
            return await super().recall(raw_body, **{**options, "ephemeral": True})

    return NothingRemembered()


def _import_kopf() -> Any:
    """kopf without the kubernetes package, which it would import only to recognise its models (20 MiB)."""
    hidden = "kubernetes" not in sys.modules
    if hidden:
        sys.modules["kubernetes"] = None  # type: ignore[assignment]
    try:
        import kopf
    finally:
        if hidden:
            del sys.modules["kubernetes"]
    return kopf


def _quiet(kopf: Any, settings: Any) -> None:
    """Turn off all of kopf that writes to the cluster, scans it, or keeps state."""

    class NothingStored(kopf.DiffBaseStorage):  # type: ignore[misc]
        def build(self, **_: Any) -> None:  # nothing to compare, which is cheaper than to compare nothing with {}
            return None

        def fetch(self, **_: Any) -> None:
            return None

        def store(self, **_: Any) -> None:
            return None

    class NoProgress(kopf.ProgressStorage):  # type: ignore[misc]
        def fetch(self, **_: Any) -> None:
            return None

        def store(self, **_: Any) -> None:
            return None

        def purge(self, **_: Any) -> None:
            return None

        def touch(self, **_: Any) -> None:
            return None

        def clear(self, *, essence: Any) -> Any:
            return essence

    settings.process.ultimate_exiting_timeout = None  # after which it would kill the process
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NothingStored()
    settings.persistence.progress_storage = NoProgress()
    settings.queueing.idle_timeout = 0.1
    settings.watching.chunk_size = 500  # objects a page
    settings.networking.error_backoffs = ()  # our session repeats what fails, and tells
    logging.getLogger("kopf").setLevel(logging.WARNING)
    for name in ("kopf.objects", "kopf._core.reactor.running"):  # handler chatter; signals are the process' to handle
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("kopf._cogs.clients.watching").setLevel(logging.CRITICAL)  # repeats, which our session tells of
