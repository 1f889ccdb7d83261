"""HTTP with as little between the benchmark and the server as possible: requests are bytes made beforehand, answers are
read to their end and only their status is looked at. The client's CPU would else be most of what is measured."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

_TOKEN = b"@token@"
_LIMIT = 8 * 1024 * 1024


def request(method: str, path: str, body: Any = None, content_type: str = "application/json") -> bytes:
    """A request, all but its token."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nAccept: application/json\r\n"
    if data:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(data)}\r\n"
    return head.encode() + b"Authorization: Bearer " + _TOKEN + b"\r\n\r\n" + data


class Connection:
    """One connection that asks one thing at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader, self._writer, self._token = reader, writer, token.encode()
        self.standing = asyncio.Event()
        """Set once a watch has been accepted."""

    async def send(self, data: bytes) -> None:
        """One request; OSError when it isn't answered with success."""
        self._writer.write(data.replace(_TOKEN, self._token, 1))
        head = await self._reader.readuntil(b"\r\n\r\n")
        body = await self._body(head.lower())
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise OSError(f"{data[:100]!r}: {head[:40]!r} {body[:300]!r}")

    async def _body(self, head: bytes) -> bytes:
        start = head.find(b"content-length: ")
        if start >= 0:
            return await self._reader.readexactly(int(head[start + 16 : head.index(b"\r\n", start)]))
        found = []
        while size := int(await self._reader.readline(), 16):
            found.append(await self._reader.readexactly(size + 2))
        await self._reader.readline()
        return b"".join(found)

    async def count_lines(self, path: str, count: int) -> None:
        """Start a watch and read so many events."""
        self._writer.write(request("GET", path).replace(_TOKEN, self._token, 1))
        await self._reader.readuntil(b"\r\n\r\n")
        self.standing.set()
        while count > 0:
            count -= (await self._reader.read(65536)).count(b'{"type":"')

    def close(self) -> None:
        self._writer.transport.abort()


class Pool:
    """Several connections to one server."""

    def __init__(self, url: str, token: str, ca: Path, size: int) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._token, self._size = parts.hostname, parts.port, token, size
        self._ssl = ssl.create_default_context(cafile=str(ca))
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Pool:
        for _ in range(self._size):
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._ssl, limit=_LIMIT)
            self.connections.append(Connection(reader, writer, self._token))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in self.connections:
            one.close()

    async def send_all(self, requests: Sequence[bytes]) -> None:
        """Send them all, each connection the next one that is due."""
        due: Iterator[bytes] = iter(requests)

        async def work(connection: Connection) -> None:
            for data in due:
                await connection.send(data)

        await asyncio.gather(*(work(one) for one in self.connections))
