"""A service that takes notifications, for tests: notes each request, and answers as the test says.

    with Hooks() as hooks:
        …
        hooks.requests[0].json

`answers` (or what makes one of the request) are given one after the other, the last one again and again; a `Reply` may
never come, be cut or never end. The server is also an HTTP proxy: what is asked of it by a whole URL it answers itself,
a CONNECT it leads to `behind`.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kit.loopback import Handler, Loopback


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    target: str
    """The path with the query, or the whole URL when we are its proxy."""
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What a request is answered with."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    """Never answered, until the server ends."""
    cut: bool = False
    """The connection ends instead."""
    endless: bool = False
    """The body goes on until nobody reads it."""


class _Handler(Handler):
    owner: Hooks

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.owner.take(Received(self.command, self.path, headers, self.body()))
        if reply.silent:
            self.owner.ended.wait()
        if reply.silent or reply.cut:
            self.close_connection = True
            return
        if reply.endless:
            self.begin(reply.status, 1 << 40, **reply.headers)
            while True:  # ends with the connection
                self.wfile.write(bytes(1 << 16))
        self.reply(reply.status, reply.body, **reply.headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 (http.server's names)

    def do_CONNECT(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.owner.take(Received(self.command, self.path, headers, b""))
        host, _, port = self.owner.behind.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pour, args=(there, self.connection), daemon=True)
            back.start()
            _pour(self.connection, there)
            back.join()
        self.close_connection = True


class Hooks(Loopback):
    """Notes what is sent to it; over HTTPS when `tls` is a server's context."""

    handler = _Handler
    url = Loopback.address

    def __init__(self, tls: ssl.SSLContext | None = None, behind: str = "") -> None:
        super().__init__(tls)
        self.behind = behind
        """The host and port that a CONNECT leads to, whatever it asks for."""
        self.requests: list[Received] = []
        self.answers: list[Reply | Callable[[Received], Reply]] = [Reply()]
        self.ended = threading.Event()

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        super().__exit__(*exc)

    def take(self, received: Received) -> Reply:
        self.requests.append(received)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer if isinstance(answer, Reply) else answer(received)


def _pour(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one of the two ended
