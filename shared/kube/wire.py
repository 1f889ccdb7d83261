"""Connections that speak HTTP/1.1: one exchange at a time, then kept for the next one.

    request → Wire → status, headers and body of its answer

A connection is used again only after a whole answer to a whole request. Whatever ends otherwise (cut, cancelled, out of
time, not HTTP, more than was asked for) ends the connection, so no answer is ever taken for that of another request. A
write whose caller was cancelled is `left`: its connection ends when the server has answered, and not before, so that
somebody can wait until nothing is under way any more.
Answers are parsed by llhttp. An exchange needs neither a task nor, mostly, a timer: a connection has one,
which is set again when it fires too early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

import httptools

READ = 64 << 10
"""Bytes read from a connection at once."""
PIECE = 64 << 10
"""A request of more bytes is sent piece by piece, as fast as the server reads it."""
MAX_HEAD = 256 << 10
"""Bytes that an answer may have besides its body. Every byte of the body allows for eight more, so that bodies in small
chunks pass."""
HELD = 256 << 10
"""Bytes of a streamed answer that wait for their reader; with more of them the server has to wait too."""


class Cut(Exception):
    """The connection ended before the answer was whole, or what came was no answer."""


class TooMuch(Cut):
    """The body has more bytes than may be."""


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    """Empty when the body is streamed: `Wire.read` has it."""

    def header(self, name: bytes) -> str | None:
        """The first value of a header, by its name in lower case."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return None


class Wire(asyncio.BufferedProtocol):
    """One connection."""

    def __init__(self, buffer: memoryview, gone: Callable[[Wire], None] | None = None) -> None:
        """Bytes are read into `buffer`, which wires of one event loop may share; `gone` is called when the connection
        can't be used any more."""
        self._loop = asyncio.get_running_loop()
        self._buffer, self._gone = buffer, gone
        self._transport: asyncio.Transport
        self._made = False
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done once the connection is closed."""
        self._waiter: asyncio.Future[None] | None = None
        """Of who waits for the answer, or for more of it."""
        self._writer: asyncio.Future[None] | None = None
        """Of who waits until more of the request can be sent."""
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._failure: BaseException | None = None
        self.left = False
        """Whether a request that was sent goes on without its caller."""
        self._asked = self._streaming = self._headed = self._answered = self._keep = False
        self._write_paused = self._read_paused = False
        self._limit = self._received = self._size = self._held = self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []

    @property
    def reusable(self) -> bool:
        """Whether it may be asked something (more)."""
        return self._failure is None and not self._asked and not self._transport.is_closing()

    @property
    def silent(self) -> bool:
        """Whether not a byte of the answer came."""
        return self._received == 0

    def detach(self) -> asyncio.Transport:
        """Gives the connection away, to be spoken on in another way; the wire has ended."""
        self._failure, self._parser = Cut("it was given away"), None
        if self._timer is not None:
            self._timer.cancel()
        return self._transport

    async def ask(
        self, request: bytes, until: float, limit: int, *, streaming: bool = False, finish: bool = False
    ) -> Reply:
        """Sends a request and waits, to the loop's time `until`, for its answer: for all of it, or with `streaming`
        for its head. Cut when there is none or its body has more than `limit` bytes, OSError, TimeoutError. With
        `finish` it is left when it is cancelled, once all of it was sent."""
        if not self.reusable:
            raise Cut("it was closed")
        self._asked, self._streaming, self._limit = True, streaming, limit
        self._headed = self._answered = False
        self._received = self._size = self._held = 0
        self._headers, self._pieces = [], []
        waiter = self._waiter = self._loop.create_future()
        self._wake_at(until)
        sent = False
        try:
            if len(request) <= PIECE:
                self._transport.write(request)
            else:
                await self._send(request, waiter)
            sent = True
            await waiter
        except BaseException as end:
            if finish and sent and isinstance(end, asyncio.CancelledError) and not self._answered:
                self.left = True
            else:
                self.drop()
            raise
        if streaming:
            return Reply(self._status, self._headers, b"")
        pieces = self._pieces
        answer = Reply(self._status, self._headers, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._pieces = []
        return answer

    async def read(self) -> bytes:
        """More of a streamed answer, what there is; nothing at its end. Raises as `ask` does."""
        if not self._pieces:
            if self._answered:
                return b""
            waiter = self._waiter = self._loop.create_future()
            if self._failure is not None:
                raise self._failure
            try:
                await waiter
            except BaseException:
                self.drop()
                raise
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def rest(self, seconds: float) -> bool:
        """After an answer: ready for the next request, for so long; False when the connection is of no more use."""
        ended = self._failure is not None or self._transport.is_closing()
        if not (self._answered and self._keep) or self._read_paused or ended:
            return False
        self._asked = False
        self._wake_at(self._loop.time() + seconds)
        return True

    def drop(self) -> None:
        """Closes the connection, whatever is under way."""
        self._fail(Cut("it was closed"))

    # What is sent

    async def _send(self, request: bytes, waiter: asyncio.Future[None]) -> None:
        view = memoryview(request)
        for start in range(0, len(view), PIECE):
            while self._write_paused and not waiter.done():
                self._writer = self._loop.create_future()
                await self._writer
            if waiter.done():  # A server that refuses needn't read the rest, and we needn't send it.
                self._keep = False
                return
            self._transport.write(view[start : start + PIECE])

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        _done(self._writer)

    # What comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._made = cast(asyncio.Transport, transport), True

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._parser is None:
            return
        if not self._asked or self._answered:
            self._fail(Cut("it sent what nobody had asked for"))
            return
        self._received += nbytes
        try:
            self._parser.feed_data(self._buffer[:nbytes])
        except httptools.HttpParserUpgrade:
            self._fail(Cut("it wants to speak another protocol"))
        except httptools.HttpParserError as error:
            self._fail(Cut(f"what it sent is not HTTP: {error}"))
        if self._received - 9 * self._size > MAX_HEAD:
            self._fail(Cut(f"the head of its answer has more than {MAX_HEAD >> 10} KiB"))

    def on_message_begin(self) -> None:
        if self._answered:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if self._answered or parser is None:
            return
        self._status = parser.get_status_code()
        if self._status < 200:
            self._headers = []  # More is to come: the answer proper.
            return
        self._headed = True
        self._keep = parser.should_keep_alive()
        if self._streaming:
            _done(self._waiter)

    def on_body(self, data: bytes) -> None:
        if self._answered:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._streaming:
            self._held += len(data)
            if self._held > HELD and not self._read_paused:
                self._read_paused = True
                self._transport.pause_reading()
            _done(self._waiter)
        elif self._size > self._limit:
            self._fail(TooMuch(f"its answer has more than {self._limit >> 20} MiB"))

    def on_message_complete(self) -> None:
        if self._headed:
            self._whole()

    def _whole(self) -> None:
        self._answered = True
        _done(self._waiter)
        _done(self._writer)
        if self.left:
            self.drop()

    # How it ends

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self._made:  # TLS did not come about, which whoever began it is told.
            return
        if self._headed and not self._answered and exc is None and self._failure is None and not self._framed():
            self._keep = False
            self._whole()
        self._fail(exc or Cut("it was closed before the answer was whole"))
        _done(self.lost)

    def _framed(self) -> bool:
        """Whether the answer's head says where its body ends; else it ends with the connection."""
        return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _fail(self, failure: BaseException) -> None:
        if self._failure is not None:
            return
        self._failure = failure
        self._parser = None  # It holds methods of ours: without this only the garbage collector would free both.
        if self._timer is not None:
            self._timer.cancel()
        if self._gone is not None:
            self._gone(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(failure)
        _done(self._writer)
        self._transport.abort()

    def _wake_at(self, deadline: float) -> None:
        self._deadline = deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            self._wake_at(self._deadline)
        elif self._asked:
            self._fail(TimeoutError())
        else:
            self.drop()


def _done(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
