"""Where events are posted: one URL, over a connection that is kept from one event to the next.

    body → a connection, kept or new, perhaps through a proxy → the status of the answer

The connections are those to an API server: an event over them costs a quarter of what an HTTP library's session takes,
and everything that happens to an object is told.
"""

from __future__ import annotations

import asyncio

from yarl import URL

from shared.http.proxy import of_environment
from shared.kube.config import Connection
from shared.kube.connections import Pool
from shared.kube.errors import BadRequest
from shared.kube.routes import Route, Unreachable, block
from shared.kube.wire import Cut

ANSWER = 64 << 10
"""Bytes of an answer that are read at most; of what it says only the status counts."""


class PostFailed(Exception):
    """There was no answer; the message says why."""


class Endpoint:
    """Takes JSON by POST; `close` at the end. The environment's proxy is found once, for the first post."""

    def __init__(self, address: str, user_agent: str) -> None:
        self._address, self._user_agent = address, user_agent
        self._pool: Pool | None = None
        self._head = b""

    async def post(self, body: bytes, within: float) -> int:
        """The status of the answer. PostFailed when there is none `within` so many seconds. A body may arrive twice:
        it is sent again when the connection turns out to have been closed."""
        pool = self._pool or self._open()
        request = b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)
        until = asyncio.get_running_loop().time() + within
        try:
            return (await pool.ask(request, until, ANSWER, twice=True, finish=False)).status
        except (Cut, Unreachable, OSError) as failure:
            raise PostFailed(str(failure) or type(failure).__name__) from failure

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    def _open(self) -> Pool:
        try:
            url = URL(self._address)
            route = Route(Connection(str(url.with_path("/")), proxy=of_environment(self._address)))
            headers = [*route.headers, ("User-Agent", self._user_agent), ("Content-Type", "application/json")]
            target = f"{route.prefix}{url.raw_path_qs}".encode("ascii")
            self._head = b"POST %b HTTP/1.1\r\n%b" % (target, block(headers))
        except (Unreachable, ValueError, BadRequest) as error:
            raise PostFailed(str(error)) from error
        self._pool = Pool(route)
        return self._pool
