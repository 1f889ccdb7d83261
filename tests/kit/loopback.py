"""What servers of tests have in common: HTTP or HTTPS on the loopback interface, from a thread of their own.

    class Charts(Loopback): …
    with Charts() as charts:
        charts.address, charts.host

A handler reads the whole request (`body`) and answers it (`reply`); `owner` is its server. A server that fails on
purpose keeps silent about it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self


class Handler(BaseHTTPRequestHandler):
    """One connection of a `Loopback`."""

    protocol_version = "HTTP/1.1"
    owner: Any

    def log_message(self, format: str, *args: object) -> None:
        pass

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def reply(self, status: int, body: bytes = b"", /, **headers: str) -> None:
        self.begin(status, len(body), **headers)
        if self.command == "HEAD":
            return
        sent = self.owner.spoil(self.path, body)
        self.wfile.write(sent)
        if len(sent) < len(body):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def begin(self, status: int, length: int, /, **headers: str) -> None:
        """The head of an answer, for one whose body isn't as it should be."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


class Loopback:
    """Serves from `with` to the end of its block."""

    handler: ClassVar[type[Handler]]
    addresses: ClassVar[int] = 1
    """How many ports it listens on; the first is the one that `host` and `address` name."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.context = tls
        self.spoil: Callable[[str, bytes], bytes] = lambda path, body: body
        """What is sent in place of a body, by the path: as many other bytes, or fewer, and the connection is cut."""

    def __enter__(self) -> Self:
        handler = type("Handler", (self.handler,), {"owner": self})
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), handler) for _ in range(self.addresses)]
        for server in self._servers:
            server.daemon_threads = True
            server.handle_error = lambda *_: None  # type: ignore[method-assign]
            if self.context:
                server.socket = self.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def hosts(self) -> list[str]:
        return [f"127.0.0.1:{server.server_port}" for server in self._servers]

    @property
    def host(self) -> str:
        return self.hosts[0]

    @property
    def scheme(self) -> str:
        return "https" if self.context else "http"

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.host}"
