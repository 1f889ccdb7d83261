"""Endpoints that take requests from others: events and webhooks. Bounded in size and time, and measured.

    connection → headers in time → body within the limit → handler(Incoming) → Reply

What always holds: a handler gets the whole body, exactly as it was sent (no encoding is undone, for signatures are made
over these bytes); a sender that is slow or sends too much costs a little memory for a while and no more; what a handler
raises is a bug, is logged, and tells the sender nothing. Metrics have upstream's names: `<prefix>_http_…`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from shared.loop import probes
from shared.loop.metrics import Http as HttpMetrics

log = logging.getLogger(__name__)

BODY_LIMIT = 3 << 20
"""Bytes of a body."""
HEADER_LIMIT = 256 << 10
"""Bytes of a header, and of a request's first line."""
HEADER_TIMEOUT = 10.0
"""Seconds that a new connection has until its first request is there."""
READ_TIMEOUT = 30.0
"""Seconds that the whole body may take."""
IDLE_TIMEOUT = 75.0
"""Seconds that a connection is kept between requests."""


@dataclass(frozen=True)
class Incoming:
    """One request."""

    method: str
    target: str
    """The path with the query, as they were sent."""
    headers: Mapping[str, str]
    """Case doesn't count when one looks something up."""
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What the sender gets."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Incoming], Awaitable[Reply]]


class Server:
    """Serves one handler at every path and for every method. `start` binds; `stop` lets requests under way end."""

    def __init__(self, handler: Handler, *, metrics: HttpMetrics, path: str = "/", full_paths: bool = False) -> None:
        """`path` is what metrics call every request; with `full_paths` they say the path that was asked for."""
        self._handler, self._metrics, self._path, self._full_paths = handler, metrics, path, full_paths
        self._server: _Server | None = None
        self._runner: web.ServerRunner | None = None
        self.port = 0
        """Where it listens, once it is started."""

    async def start(self, listen: str) -> None:
        """Bind HOST:PORT; an empty host means all interfaces, port 0 a free one."""
        self._server = _Server(
            self._serve,
            keepalive_timeout=IDLE_TIMEOUT,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
            auto_decompress=False,
            access_log=None,
        )
        self._runner = web.ServerRunner(self._server, shutdown_timeout=5.0)
        await self._runner.setup()
        host, port = probes.address(listen)
        await web.TCPSite(self._runner, host, port, backlog=512).start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Take no more requests; those under way have a few seconds."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        assert self._server is not None
        self._server.heard(request.protocol)
        path = request.path if self._full_paths else self._path
        with self._metrics.request(path, request.method) as done:
            reply = await self._answer(request)
            body = reply.text.encode()
            done(reply.status, len(body))
        headers = {"Server": "fluvial", **reply.headers}  # and not the library with its version
        return web.Response(status=reply.status, body=body, headers=headers, content_type="text/plain")

    async def _answer(self, request: web.BaseRequest) -> Reply:
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                body = await _body(request)
        except (TimeoutError, OSError, web.RequestPayloadError):
            return Reply(400)
        if body is None:
            return Reply(413, headers={"Connection": "close"})
        try:
            return await self._handler(Incoming(request.method, request.raw_path, request.headers, body))
        except Exception as error:
            log.error("answering a request broke: %s", type(error).__name__, exc_info=error)
            return Reply(500)


async def _body(request: web.BaseRequest) -> bytes | None:
    """The body; None when it is too large."""
    if (request.content_length or 0) > BODY_LIMIT:
        return None
    data = bytearray()
    async for block in request.content.iter_any():
        data += block
        if len(data) > BODY_LIMIT:
            return None
    return bytes(data)


class _Server(web.Server):
    """A server that closes connections whose first request doesn't come in time."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], **options: Any) -> None:
        super().__init__(handler, **options)
        self._unheard: dict[Any, asyncio.TimerHandle] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._unheard[handler] = asyncio.get_running_loop().call_later(HEADER_TIMEOUT, transport.close)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self.heard(handler)
        super().connection_lost(handler, exc)

    def heard(self, handler: Any) -> None:
        """A request of this connection is there."""
        if (timer := self._unheard.pop(handler, None)) is not None:
            timer.cancel()
