"""Custom resources as they change, delivered by kopf: the only module that knows it.

kopf lists and watches each kind and calls one event handler, which hands the change over and returns None, so that
kopf itself never writes to the cluster: posting and scanning are off, its storages store nothing, selectors act on the
server. It runs on an event loop and a thread of its own, because an operator that stops cancels every task of its loop
that is younger than itself.

What kopf leaves out is made up for here: after a 410 it lists again and says nothing of what vanished meanwhile, so a
relisting is recognised (a listed state of an object already known) and the known objects that it did not repeat are
reported as doubtful. One watch that is refused would end all of them, and that may take half a minute: so a request is
repeated until it is answered, and kopf sees no failure but one that makes it list again. An operator that ends
nevertheless is started again.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import Any

import aiohttp

from shared.api.meta import Manifest, ResourceKind
from shared.kube.config import Connection
from shared.kube.errors import ApiError, ConfigError

log = logging.getLogger(__name__)

RELIST_QUIET = 2.0
"""Seconds without a listed object after which a relisting counts as complete."""
RESTART_DELAY = 2.0
"""Seconds before an operator that ended by an error is started again."""
FIRST_RETRY, LONGEST_RETRY = 0.1, 30.0
"""Seconds before a request that failed is repeated: the first time, and at most; it doubles each time."""

UNAUTHORIZED, GONE, TOO_MANY_REQUESTS = 401, 410, 429

Delivery = Callable[[ResourceKind, str | None, Manifest], None]
"""Called on the main loop with the kind, the type of change (None for a listed object) and the object."""


class Feed:
    """kopf's operator over some kinds. `start` returns once it watches; `stop` ends it."""

    def __init__(
        self,
        kinds: Sequence[ResourceKind],
        *,
        connection: Connection,
        deliver: Delivery,
        label_selectors: Mapping[str, str] | None = None,
        namespace: str | None = None,
    ) -> None:
        """Watch `kinds` in one namespace, or in all; `label_selectors` are by kind."""
        self._kinds, self._connection, self._deliver = list(kinds), connection, deliver
        self._selectors, self._namespace = dict(label_selectors or {}), namespace
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._inbox: deque[tuple[ResourceKind, str | None, Manifest]] = deque()
        self._called = False
        """The main loop will look into the inbox."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Start the operator and wait until its watches are set up."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self._ready.wait)

    async def stop(self) -> None:
        """End the operator; no delivery comes after this returns."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 10)
        self._inbox.clear()
        self._called, self._loop = False, None

    # On kopf's thread

    def _run(self) -> None:
        kopf = _import_kopf()
        while not self._stop.is_set():
            try:
                asyncio.run(self._operate(kopf))
            except Exception as error:
                log.error("watching custom resources ended, starting again: %s", error, exc_info=error)
            self._stop.wait(RESTART_DELAY)
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
        await kopf.operator(
            registry=registry,
            settings=settings,
            standalone=True,
            stop_flag=self._stop,
            ready_flag=self._ready,
            **where,
        )

    def _connect(self, kopf: Any) -> Callable[..., Any]:
        """kopf's login: a session that authenticates each request with the credentials of that moment, and repeats
        those that fail."""
        connection, loop = self._connection, self._loop
        assert loop is not None

        async def on_main_loop(coroutine: Coroutine[Any, Any, Any]) -> Any:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))

        async def persevere(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            delay = FIRST_RETRY
            while True:
                try:
                    request.headers.update(await on_main_loop(connection.credentials.headers()))
                    if request.session.closed:
                        raise aiohttp.ClientConnectionError("the session is closed")
                    if connection.server_hostname:
                        request.server_hostname = connection.server_hostname
                    response = await handler(request)
                    if response.status == GONE:
                        response.status = TOO_MANY_REQUESTS  # the failure after which kopf lists again
                        return response
                    if response.status < 400:
                        if "watch" in request.url.query:
                            response.content = _Events(response.content, request.url.path)  # type: ignore[assignment]
                        return response
                    problem, wait = f"{response.status} {response.reason}", max(delay, _retry_after(response))
                    response.close()
                    if response.status == UNAUTHORIZED:
                        await on_main_loop(connection.credentials.renew())
                except (aiohttp.ClientError, OSError, TimeoutError, ApiError, ConfigError) as error:
                    if request.session.closed:
                        raise
                    problem, wait = str(error) or type(error).__name__, delay
                log.warning("watching %s failed, trying again: %s", request.url.path, problem)
                await asyncio.sleep(wait)
                delay = min(2 * delay, LONGEST_RETRY)

        async def connect(**_: Any) -> Any:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=connection.ssl or True),
                middlewares=(persevere,),
                proxy=connection.proxy,
            )
            return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

        return connect

    def _handler(self, kind: ResourceKind) -> Callable[..., Any]:
        async def changed(event: Mapping[str, Any], **_: Any) -> None:
            self._inbox.append((kind, event["type"], event["object"]))
            loop = self._loop
            # First appended, then looked: whoever hands over lowers the flag before it empties the inbox.
            if not self._called and loop is not None:
                self._called = True
                loop.call_soon_threadsafe(self._hand_over)

        return changed

    # On the main loop

    def _hand_over(self) -> None:
        self._called = False
        while self._inbox:
            kind, type_, manifest = self._inbox.popleft()
            try:
                self._deliver(kind, type_, manifest)
            except Exception as error:  # of one object: the others must be heard of
                log.error("a change of %s can't be taken in: %s", kind.plural, error, exc_info=error)


class _Events:
    """The lines of a watch. An error, whatever it is, becomes the one after which kopf lists again: any other would end
    all watches."""

    ERROR = b'{"type":"ERROR"'
    LIST_AGAIN = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}'

    def __init__(self, content: aiohttp.StreamReader, path: str) -> None:
        self._content, self._path = content, path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """What kopf reads a watch with: here each chunk is a line."""
        rest = b""
        async for data in self._content.iter_chunked(size):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield self._understood(line) + b"\n"
        if rest:
            yield self._understood(rest)

    def _understood(self, line: bytes) -> bytes:
        if not line.startswith(self.ERROR):
            return line
        log.debug("watching %s ended, listing again: %s", self._path, line[:1000].decode(errors="replace"))
        return self.LIST_AGAIN


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the server asks to wait."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_RETRY) if text.isdecimal() else 0.0


class Relisting:
    """Tells which known objects a relisting did not repeat. Fed with every delivery of one kind, on the main loop."""

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
