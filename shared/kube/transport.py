"""Requests and answers as bytes: connections, credentials, rate limit, tries, and the one place where failures of the
wire become errors.

A request is tried again only when that can do no harm: the connection was refused, or cut before an answer to an
idempotent verb; 429, and 503 where idempotent. At most `TRIES` times, a few seconds in all.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from shared.kube import errors
from shared.kube.config import Connection
from shared.kube.limits import Bucket

Headers: TypeAlias = Sequence[tuple[str, str]]

CONNECTIONS = 16
"""More of them cost memory and win nothing: throughput is flat from eight on."""
TRIES = 4
LONGEST_PAUSE = 10.0
"""Seconds: a server that asks for a longer pause gets its error handed to the caller instead."""
MAX_BODY = 512 << 20
"""Bytes of one answer that we read at most."""
KEEPALIVE = 60.0
"""Seconds an idle connection is kept; below the 90 after which API servers close theirs."""
IDEMPOTENT = frozenset({"GET", "PUT", "DELETE", "APPLY"})
FLOW_CONTROL_HEADER = "X-Kubernetes-Pf-Flowschema-Uid"


class Answer(NamedTuple):
    """What the server said when it did not refuse."""

    status: int
    body: bytes


class Transport:
    """One pool of connections to one API server, shared by all identities; watches have connections of their own."""

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str,
        bucket: Bucket,
        timeout: float,
        connections: int = CONNECTIONS,
    ) -> None:
        self.connection = connection
        self.bucket = bucket
        self._headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._timeout = timeout
        self._connections = connections
        # Waiting for a free connection must not count as waiting for the server, so we queue here, not in the pool.
        self._slots = asyncio.Semaphore(connections)
        self._session: aiohttp.ClientSession | None = None
        self._watch_session: aiohttp.ClientSession | None = None
        self._closed = False

    async def call(
        self,
        method: str,
        path_and_query: str,
        *,
        body: bytes | None = None,
        headers: Headers | None = None,
        idempotent: bool | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """Sends a request, perhaps more than once, and returns the 2xx answer; raises ApiError."""
        if idempotent is None:
            idempotent = method in IDEMPOTENT
        renewed, attempt = False, 1
        while True:
            await self.bucket.take()
            try:
                async with self._slots:
                    return await self._once(method, path_and_query, body, headers, seconds or self._timeout)
            except errors.Unauthorized:
                if renewed or not await self._renew():
                    raise
                renewed = True
            except _Retryable as failure:
                pause = failure.pause(attempt)
                if attempt == TRIES or pause > LONGEST_PAUSE or not (failure.always or idempotent):
                    raise failure.error from failure.__cause__
                attempt += 1
                await asyncio.sleep(pause)

    @asynccontextmanager
    async def stream(
        self, path_and_query: str, *, headers: Headers | None = None, seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose answer comes in lines, for as long as `seconds`. Not tried again."""
        await self.bucket.take()
        limit = aiohttp.ClientTimeout(total=seconds, connect=self._timeout)
        with _Translated(self.connection.server):
            async with await self._send("GET", path_and_query, None, headers, limit, watch=True) as response:
                if response.status >= 300:
                    error = _refusal(response, await self._body(response))
                    if isinstance(error, errors.Unauthorized):
                        await self._renew()
                    raise error
                yield self._lines(response)

    async def close(self) -> None:
        self._closed = True
        for session in (self._session, self._watch_session):
            if session is not None:
                await session.close()
        self._session = self._watch_session = None

    async def _once(
        self, method: str, path_and_query: str, body: bytes | None, headers: Headers | None, seconds: float
    ) -> Answer:
        limit = aiohttp.ClientTimeout(total=seconds)
        try:
            async with await self._send(method, path_and_query, body, headers, limit) as response:
                content = await self._body(response)
                if response.status < 300:
                    return Answer(response.status, content)
                error = _refusal(response, content)
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            raise _lost(self.connection.server, failure) from failure
        if error.status in (429, 503):
            raise _Retryable(error, always=error.status == 429)
        raise error

    async def _send(
        self,
        method: str,
        path_and_query: str,
        body: bytes | None,
        headers: Headers | None,
        limit: aiohttp.ClientTimeout,
        *,
        watch: bool = False,
    ) -> aiohttp.ClientResponse:
        session = self._watching() if watch else self._calling()
        try:
            credentials = await self.connection.credentials.headers()
        except errors.ConfigError as error:
            raise errors.Unauthorized(f"no credentials for the Kubernetes API: {error}") from error
        response = await session.request(
            "PATCH" if method == "APPLY" else method,
            URL(f"{self.connection.server}{path_and_query}", encoded=True),
            data=body,
            headers=CIMultiDict([*(headers or ()), *credentials.items()]),
            timeout=limit,
            allow_redirects=False,
            proxy=self.connection.proxy,
            server_hostname=self.connection.server_hostname,
        )
        if self.bucket.qps > 0 and FLOW_CONTROL_HEADER in response.headers:
            self.bucket.qps = -1.0  # The server's own fairness is on: a limit on our side would only add delay.
        return response

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if (response.content_length or 0) <= MAX_BODY:
            return await response.read() if response.content_length is not None else await self._chunks(response)
        raise errors.Unavailable(f"the Kubernetes API sent more than {MAX_BODY >> 20} MiB in one answer")

    async def _chunks(self, response: aiohttp.ClientResponse) -> bytes:
        chunks, size = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BODY:
                raise errors.Unavailable(f"the Kubernetes API sent more than {MAX_BODY >> 20} MiB in one answer")
        return b"".join(chunks)

    async def _lines(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        rest: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_any():
            *whole, last = chunk.split(b"\n")
            for line in whole:
                if rest:
                    rest.append(line)
                    line = b"".join(rest)
                    rest, size = [], 0
                if line.strip():
                    yield line
            if last:
                rest.append(last)
                size += len(last)
                if size > MAX_BODY:
                    raise errors.Unavailable("the Kubernetes API sent an endless line in a watch")

    async def _renew(self) -> bool:
        try:
            return await self.connection.credentials.renew()
        except errors.ConfigError:
            return False

    def _calling(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._new_session(self._connections)
        return self._session

    def _watching(self) -> aiohttp.ClientSession:
        if self._watch_session is None:
            self._watch_session = self._new_session(0)
        return self._watch_session

    def _new_session(self, connections: int) -> aiohttp.ClientSession:
        if self._closed:
            raise errors.Unavailable("the client is closed")
        connector = aiohttp.TCPConnector(
            limit=connections,
            ssl=self.connection.ssl if self.connection.ssl is not None else True,
            keepalive_timeout=KEEPALIVE,
            socket_factory=_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            read_bufsize=1 << 18,
        )


class _Retryable(Exception):
    """A failure that may be tried again: always, or where the request is idempotent."""

    def __init__(self, error: errors.ApiError, *, always: bool) -> None:
        super().__init__(error.message)
        self.error = error
        self.always = always

    def pause(self, attempt: int) -> float:
        """Seconds to wait before the next try: what the server said, else 0.1, 0.4, 1.6, with jitter."""
        if self.error.retry_after is not None:
            return self.error.retry_after
        return float(0.1 * 4 ** (attempt - 1) * random.uniform(0.75, 1.25))  # noqa: S311


def _lost(server: str, failure: BaseException) -> Exception:
    """A failure without an answer, as the error to raise."""
    where = f"the Kubernetes API at {server}"
    if isinstance(failure, aiohttp.ClientSSLError | ssl.SSLError):
        return errors.Unavailable(f"no trusted TLS connection to {where}: {failure}")
    if isinstance(failure, aiohttp.ClientConnectorError):
        lost = errors.Unavailable(f"can't reach {where}: {failure.strerror or failure}")
        return _Retryable(lost, always=True)
    if isinstance(failure, TimeoutError):
        return errors.Unavailable(f"{where} did not answer in time", reason="Timeout")
    lost = errors.Unavailable(f"{where} cut the connection: {str(failure) or type(failure).__name__}")
    return _Retryable(lost, always=False)


class _Translated:
    """Turns failures of the wire inside a `with` into errors."""

    def __init__(self, server: str) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, cls: type[BaseException] | None, failure: BaseException | None, trace: Any) -> None:
        if isinstance(failure, aiohttp.ClientError | OSError):
            lost = _lost(self._server, failure)
            raise (lost.error if isinstance(lost, _Retryable) else lost) from failure


def _refusal(response: aiohttp.ClientResponse, content: bytes) -> errors.ApiError:
    try:
        status = orjson.loads(content)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"message": content[:200].decode(errors="replace").strip()}
    return errors.of_status(status, response.status, retry_after=_seconds(response.headers.get("Retry-After")))


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A TCP socket that notices within about a minute that the other side is gone, also while it only listens."""
    made = socket.socket(address[0], address[1], address[2])
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return made
