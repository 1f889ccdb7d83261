"""Requests and answers as bytes: connections, credentials, rate limit, tries, and the one place where failures of the
wire become errors.

A request is tried again only when that can do no harm: the connection was refused, or cut before an answer to an
idempotent verb; 429, and 503 where idempotent. At most `TRIES` times, a few seconds in all.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import orjson

from shared.kube import errors
from shared.kube.config import Connection
from shared.kube.connections import Pool
from shared.kube.limits import Bucket
from shared.kube.routes import Route, Unreachable, block
from shared.kube.wire import Cut, Reply, TooMuch, Wire

CONNECTIONS = 32
"""Eight keep a server busy that nobody else asks; beside Kubernetes' own controllers more of them get more done. Each
costs some 64 KiB."""
TRIES = 4
LONGEST_PAUSE = 10.0
"""Seconds: a server that asks for a longer pause gets its error handed to the caller instead."""
SETTLING = 5.0
"""Seconds that writes whose callers were cancelled have to be answered before somebody else may go on."""
MAX_BODY = 512 << 20
"""Bytes of one answer that we read at most."""
MAX_PIECES = 64
"""Reads that the reason of a refused watch may take."""
IDEMPOTENT = frozenset({"GET", "PUT", "DELETE", "APPLY"})
FLOW_CONTROL_HEADER = b"x-kubernetes-pf-flowschema-uid"
JSON = block([("Accept", "application/json")])
_PATH = re.compile(r"[!-~]+")
_NONE = "<error>"
"""Stands for the status of an answer that didn't come."""
_VERBS = {"APPLY": "PATCH"}
"""What HTTP calls a method, where that differs."""


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
        self._user_agent = user_agent
        self._timeout = timeout
        # Waiting for a free connection must not count as waiting for the server, so we queue here, not in the pool.
        self._slots = asyncio.Semaphore(connections)
        self._pool: Pool | None = None
        self._prefix = self._constant = self._authorization = b""
        self._host = ""
        self._credentials: Mapping[str, str] = {}
        self._closed = False
        self.answers: Counter[tuple[str, str, str]] = Counter()
        """Requests by their answer's status (<error> without one), the server's host, and the method."""

    def apart(self, connections: int) -> Transport:
        """The same server, over so many connections of its own and without a rate limit."""
        bucket = Bucket(-1, 0)
        other = Transport(
            self.connection,
            user_agent=self._user_agent,
            bucket=bucket,
            timeout=self._timeout,
            connections=connections,
        )
        other.answers = self.answers
        return other

    async def call(
        self,
        method: str,
        path_and_query: str,
        *,
        body: bytes | None = None,
        headers: bytes = JSON,
        seconds: float | None = None,
    ) -> Answer:
        """Sends a request, perhaps more than once, and returns the 2xx answer; raises ApiError. `headers` are made by
        `routes.block`."""
        idempotent = method in IDEMPOTENT
        renewed, attempt = False, 1
        while True:
            await self.bucket.take()
            try:
                async with self._slots:
                    return await self._once(method, path_and_query, body, headers, seconds or self._timeout, idempotent)
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
        self, path_and_query: str, *, headers: bytes = JSON, seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose answer comes in lines, for as long as `seconds`. Not tried again."""
        await self.bucket.take()
        now = asyncio.get_running_loop().time()
        answered = False
        try:
            pool, request = await self._request("GET", path_and_query, None, headers)
            async with pool.stream(request, now + seconds, connected=now + self._timeout) as (answer, body):
                answered = True
                self._count(str(answer.status), "GET")
                self._notice(answer)
                if answer.status >= 300:
                    error = _refusal(answer, await self._rest(body))
                    if isinstance(error, errors.Unauthorized):
                        await self._renew()
                    raise error
                yield self._lines(body)
        except (Cut, Unreachable, OSError) as failure:
            if not answered:
                self._count(_NONE, "GET")
            lost = _lost(self.connection.server, failure)
            raise (lost.error if isinstance(lost, _Retryable) else lost) from failure

    async def settle(self, within: float = SETTLING) -> None:
        """Wait, for so many seconds at most, until the server has answered the writes whose callers were cancelled:
        what was sent may still come to be, and be known only then."""
        if self._pool is not None:
            await self._pool.settle(within)

    async def close(self) -> None:
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    async def _once(
        self, method: str, path_and_query: str, body: bytes | None, headers: bytes, seconds: float, idempotent: bool
    ) -> Answer:
        try:
            pool, request = await self._request(method, path_and_query, body, headers)
            until = asyncio.get_running_loop().time() + seconds
            answer = await pool.ask(request, until, MAX_BODY, twice=idempotent, finish=method != "GET")
        except (Cut, Unreachable, OSError) as failure:
            self._count(_NONE, method)
            raise _lost(self.connection.server, failure) from failure
        self._count(str(answer.status), method)
        if self.bucket.qps > 0:
            self._notice(answer)
        if answer.status < 300:
            return Answer(answer.status, answer.body)
        error = _refusal(answer, answer.body)
        if error.status in (429, 503):
            raise _Retryable(error, always=error.status == 429)
        raise error

    async def _request(self, method: str, path: str, body: bytes | None, headers: bytes) -> tuple[Pool, bytes]:
        """Where to send a request, and its bytes."""
        if self._closed:
            raise errors.Unavailable("the client is closed")
        pool = self._pool or self._open()
        try:
            credentials = await self.connection.credentials.headers()
        except errors.ConfigError as error:
            raise errors.Unauthorized(f"no credentials for the Kubernetes API: {error}") from error
        if credentials is not self._credentials:
            self._authorization, self._credentials = block([*credentials.items()]), credentials
        if not _PATH.fullmatch(path):
            raise errors.BadRequest("the path of a request to the Kubernetes API holds a blank or the like")
        return pool, b"%b %b%b HTTP/1.1\r\n%b%b%b%b" % (
            _VERBS.get(method, method).encode(),
            self._prefix,
            path.encode(),
            self._constant,
            self._authorization,
            headers,
            b"\r\n" if body is None else b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        )

    def _open(self) -> Pool:
        route = Route(self.connection)
        self._prefix, self._host = route.prefix.encode(), route.host
        self._constant = block([*route.headers, ("User-Agent", self._user_agent), ("Accept-Encoding", "identity")])
        self._pool = Pool(route)
        return self._pool

    def _count(self, code: str, method: str) -> None:
        if self._host:  # else there is no address, and nobody was asked
            self.answers[code, self._host, _VERBS.get(method, method)] += 1

    def _notice(self, answer: Reply) -> None:
        if self.bucket.qps > 0 and answer.header(FLOW_CONTROL_HEADER) is not None:
            self.bucket.qps = -1.0  # The server's own fairness is on: a limit on our side would only add delay.

    async def _rest(self, body: Wire) -> bytes:
        """All of a streamed answer that should be short."""
        pieces = []
        while piece := await body.read():
            pieces.append(piece)
            if len(pieces) > MAX_PIECES:
                raise Cut("it refused at too great a length")
        return b"".join(pieces)

    async def _lines(self, body: Wire) -> AsyncIterator[bytes]:
        rest: list[bytes] = []
        size = 0
        while chunk := await body.read():
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


def _lost(server: str, failure: Exception) -> errors.Unavailable | _Retryable:
    """A failure without an answer, as what to raise."""
    where = f"the Kubernetes API at {server}"
    if isinstance(failure, ssl.SSLError):
        return errors.Unavailable(f"no trusted TLS connection to {where}: {failure}")
    if isinstance(failure, Unreachable):
        return _Retryable(errors.Unavailable(f"can't reach {where}: {failure}"), always=True)
    if isinstance(failure, TimeoutError):
        return errors.Unavailable(f"{where} did not answer in time", reason="Timeout")
    if isinstance(failure, TooMuch):
        return errors.Unavailable(f"{where} sent too much: {failure}")
    lost = errors.Unavailable(f"{where} cut the connection: {str(failure) or type(failure).__name__}")
    return _Retryable(lost, always=False)


def _refusal(answer: Reply, content: bytes) -> errors.ApiError:
    try:
        status = orjson.loads(content)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"message": content[:200].decode(errors="replace").strip()}
    return errors.of_status(status, answer.status, retry_after=_seconds(answer.header(b"retry-after")))


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdigit() else None
