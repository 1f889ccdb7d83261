"""The way to an API server: its addresses, TLS, and perhaps a proxy in between.

Connection → Route → an open connection; what each request says of the way
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence

from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from shared.kube.config import Connection
from shared.kube.credentials import Credentials
from shared.kube.errors import BadRequest
from shared.kube.wire import Cut, Wire

EYEBALLS = 0.25
"""Seconds after which a server's next address is tried beside one that hasn't answered yet."""
KEEP_ALIVE = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
)
"""So set, a connection notices within about a minute that the other side is gone, also while it only listens."""


class Unreachable(Exception):
    """No connection came about."""


class Route:
    """To one API server at `host`. `prefix` goes before each request's path, `headers` into each of its heads."""

    def __init__(self, connection: Connection) -> None:
        try:
            server = URL(connection.server, encoded=True)
            if not server.raw_host or server.port is None:
                raise ValueError("it names no host")
            self._proxy = URL(connection.proxy) if connection.proxy else None
        except ValueError as error:
            raise Unreachable(f"the URL of the server or of its proxy can't be read: {error}") from error
        self._host, self._port = server.raw_host, server.port
        self._tls = _tls(connection) if server.scheme == "https" else None
        self._name = connection.server_hostname or self._host.rstrip(".")
        self._proxy_tls = _tls(connection) if self._proxy is not None and self._proxy.scheme == "https" else None
        self.prefix = server.raw_path.rstrip("/")
        self.host = server.host_port_subcomponent or ""
        self.headers = [("Host", self.host)]
        if type(connection.credentials) is Credentials:  # there are none but what the URL may hold
            self.headers += _basic("Authorization", server)
        self._authorization = _basic("Proxy-Authorization", self._proxy) if self._proxy is not None else []
        if self._proxy is not None and self._tls is None:  # A proxy is told of plain HTTP what it is to fetch.
            self.prefix = str(server.origin()) + self.prefix
            self.headers += self._authorization

    async def open(self, made: Callable[[], Wire], until: float) -> Wire:
        """A new connection, by the loop's time `until`; `made` makes its protocol. Unreachable, ssl.SSLError when the
        server can't be trusted."""
        try:
            if self._proxy is None:
                return await _connect(made, self._host, self._port, self._tls, self._name)
            host, port = self._proxy.raw_host, self._proxy.port
            if not host or port is None:
                raise Unreachable("the URL of the proxy names no host")
            if self._tls is None:
                return await _connect(made, host, port, self._proxy_tls, host)
            tunnel = await _connect(_outer, host, port, self._proxy_tls, host)
            await self._through(tunnel, until)
            return await _secured(tunnel, made, self._tls, self._name)
        except ssl.SSLError:
            raise
        except OSError as error:
            raise Unreachable(_reason(error)) from error

    async def _through(self, tunnel: Wire, until: float) -> None:
        """Has the proxy lead a connection with it on to the server."""
        assert self._proxy is not None
        proxy = f"the proxy {self._proxy.origin()}"  # without the credentials that its URL may have
        target = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        request = b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (target.encode(), block([("Host", target), *self._authorization]))
        try:
            answer = await tunnel.ask(request, until, 0, streaming=True)
        except Cut as error:
            raise Unreachable(f"{proxy} cut the connection: {error}") from error
        if answer.status != 200:
            tunnel.drop()
            raise Unreachable(f"{proxy} answered {answer.status}")


def _outer() -> Wire:
    """For what is said before TLS begins."""
    return Wire(memoryview(bytearray(4096)))


async def _connect(made: Callable[[], Wire], host: str, port: int, tls: ssl.SSLContext | None, name: str) -> Wire:
    loop = asyncio.get_running_loop()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    opened = await start_connection(
        found, happy_eyeballs_delay=EYEBALLS, interleave=1, loop=loop, socket_factory=_socket
    )
    _, wire = await loop.create_connection(_outer if tls is not None else made, sock=opened)
    return wire if tls is None else await _secured(wire, made, tls, name)


async def _secured(outer: Wire, made: Callable[[], Wire], tls: ssl.SSLContext, name: str) -> Wire:
    """TLS over a connection. Begun apart from it: asyncio leaves one open that is cancelled before TLS has begun."""
    wire, transport = made(), outer.detach()
    loop = asyncio.get_running_loop()
    try:
        inner = await loop.start_tls(transport, wire, tls, server_hostname=name)
    except BaseException:
        transport.abort()
        raise
    assert inner is not None
    wire.connection_made(inner)
    return wire


def _socket(address: AddrInfoType) -> socket.socket:
    opened = socket.socket(*address[:3])
    for level, option, value in KEEP_ALIVE:
        if hasattr(socket, option):
            opened.setsockopt(level, getattr(socket, option), value)
    return opened


def block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Headers as they stand in a request. BadRequest when one could be taken for more than one."""
    for name, value in headers:
        if not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise BadRequest(f"the header {name!r} of a request to the Kubernetes API holds a line break or the like")
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode()


_NAME = re.compile(r"[A-Za-z0-9-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def _tls(connection: Connection) -> ssl.SSLContext:
    return connection.ssl if connection.ssl is not None else ssl.create_default_context()


def _basic(header: str, url: URL) -> list[tuple[str, str]]:
    """The header for the credentials that a URL may hold."""
    if url.user is None and url.password is None:
        return []
    joined = base64.b64encode(f"{url.user or ''}:{url.password or ''}".encode()).decode()
    return [(header, f"Basic {joined}")]


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error) or type(error).__name__
    return os.strerror(error.errno)
