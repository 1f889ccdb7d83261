"""The HTTP session through which kopf asks the API: it authenticates, perseveres, and lets others read along.

    request → credentials of that moment → answer, however long it takes → lines of a watch → kopf

One request that is refused would end all watches of kopf's, and that may take half a minute: so a request is repeated
until it is answered, and kopf sees no failure but one that makes it list again. Of a watch, kopf needn't hear of each
change: the state of an object that is there is offered to `take`, and of those that are taken kopf learns only how far
its watch has come, now and then. What it missed of that it hears again after a reconnection, and `take` knows it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from shared.kube.config import Connection
from shared.kube.errors import ApiError, ConfigError

log = logging.getLogger(__name__)

FIRST_RETRY, LONGEST_RETRY = 0.1, 30.0
"""Seconds before a request that failed is repeated: the first time, and at most; it doubles each time."""
TELLING = 1.0
"""Seconds between two words to kopf of how far a watch has come."""

UNAUTHORIZED, GONE, TOO_MANY_REQUESTS = 401, 410, 429

Take = Callable[[bytes], str]
"""Given the JSON of an object that was added or modified: its resourceVersion if that is all that kopf need hear of, or
""."""


def connect(connection: Connection, take: Take) -> aiohttp.ClientSession:
    """A session that repeats what fails, until it is closed."""

    async def persevere(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        delay = FIRST_RETRY
        while True:
            try:
                request.headers.update(await connection.credentials.headers())
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
                        response.content = Events(response.content, request.url.path, take)  # type: ignore[assignment]
                    return response
                problem, wait = f"{response.status} {response.reason}", max(delay, _retry_after(response))
                response.close()
                if response.status == UNAUTHORIZED:
                    await connection.credentials.renew()
            except (aiohttp.ClientError, OSError, TimeoutError, ApiError, ConfigError) as error:
                if request.session.closed:
                    raise
                problem, wait = str(error) or type(error).__name__, delay
            log.warning("watching %s failed, trying again: %s", request.url.path, problem)
            await asyncio.sleep(wait)
            delay = min(2 * delay, LONGEST_RETRY)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=connection.ssl or True),
        middlewares=(persevere,),
        proxy=connection.proxy,
    )


class Events:
    """The lines of a watch, without those that are taken. An error, whatever it is, becomes the one after which kopf
    lists again: any other would end all watches."""

    ERROR = b'{"type":"ERROR"'
    LIST_AGAIN = b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410}}'
    STATES = (b'{"type":"ADDED","object":', b'{"type":"MODIFIED","object":')
    """How Kubernetes writes the states of what is there; kopf hears of all that is written in another way."""
    PLACE = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%s"}}}\n'

    def __init__(self, content: aiohttp.StreamReader, path: str, take: Take) -> None:
        self._content, self._path, self._take = content, path, take

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """What kopf reads a watch with: here each chunk is a line."""
        rest, told = b"", 0.0
        async for data in self._content.iter_chunked(size):
            *lines, rest = (rest + data).split(b"\n")
            place = ""
            for line in lines:
                if taken := self._taken(line):
                    place = taken
                else:
                    yield self._understood(line) + b"\n"
                    place = ""
            if place and time.monotonic() - told >= TELLING:
                told = time.monotonic()
                yield self.PLACE % place.encode()
        if rest:
            yield self._understood(rest)

    def _taken(self, line: bytes) -> str:
        for state in self.STATES:
            if line.startswith(state):
                return self._take(line[len(state) : -1])
        return ""

    def _understood(self, line: bytes) -> bytes:
        if not line.startswith(self.ERROR):
            return line
        log.debug("watching %s ended, listing again: %s", self._path, line[:1000].decode(errors="replace"))
        return self.LIST_AGAIN


def _retry_after(response: aiohttp.ClientResponse) -> float:
    """Seconds that the server asks to wait."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), LONGEST_RETRY) if text.isdecimal() else 0.0
