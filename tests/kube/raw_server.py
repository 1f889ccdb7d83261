"""A server that says exactly the bytes that a test wants, over TCP or TLS, and notes what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from shared.kube.config import Connection
from shared.kube.credentials import Credentials
from shared.kube.limits import Bucket
from shared.kube.transport import Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Asked:
    """A request, and on which connection it came: the first is 1."""

    connection: int
    head: str
    body: bytes

    def header(self, name: str) -> list[str]:
        pairs = (line.split(": ", 1) for line in self.head.split("\r\n")[1:] if line)
        return [value for key, value in pairs if key.lower() == name.lower()]


class Peer:
    """One connection, seen from the server."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: list[Asked]
    ) -> None:
        self.number, self.reader, self.writer, self.asked = number, reader, writer, asked

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()[:-2]

    async def request(self) -> Asked:
        """The next request, all of it. asyncio.IncompleteReadError when there is none any more."""
        head = await self.head()
        found = Asked(self.number, head, b"")
        if length := found.header("Content-Length"):
            found = Asked(self.number, head, await self.reader.readexactly(int(length[0])))
        self.asked.append(found)
        return found

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        self.writer.transport.abort()


class RawServer:
    """`talk` has each connection for itself; it is closed at its end."""

    def __init__(self, talk: Callable[[Peer], Awaitable[None]]) -> None:
        self._talk = talk
        self.asked: list[Asked] = []
        self.accepted = 0
        self.open = 0
        """Connections that neither side has closed."""
        self.address = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                await self._talk(Peer(self.accepted, reader, writer, self.asked))
        finally:
            self.open -= 1
            writer.close()

    @contextlib.asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[RawServer]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, host, 0, ssl=tls, limit=1 << 20)
        port = server.sockets[0].getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if tls else 'http'}://{shown}:{port}"
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def answering(peer: Peer, *answers: bytes) -> None:
    """Each request with the next of the answers, the last of them again and again."""
    for number in range(1 << 30):
        await peer.request()
        await peer.say(answers[min(number, len(answers) - 1)])


@contextlib.asynccontextmanager
async def connected(
    server: str,
    *,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
    proxy: str | None = None,
    credentials: Credentials | None = None,
    timeout: float = 5.0,
    connections: int = 16,
    bucket: Bucket | None = None,
) -> AsyncIterator[Transport]:
    """A transport to this server."""
    connection = Connection(
        server, credentials=credentials or Credentials(), ssl=tls, server_hostname=name, proxy=proxy
    )
    transport = Transport(
        connection,
        user_agent="test",
        bucket=bucket or Bucket(-1, 1),
        timeout=timeout,
        connections=connections,
    )
    try:
        yield transport
    finally:
        await transport.close()
