"""HTTP: ask a server that others own, bounded in size and time.

    URL + headers → Answer, or bytes into a file

What always holds: headers that let one in stay with the host they are for, also along redirects; https never becomes
http; an HttpError's message names the host and carries no secret.
"""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError
from yarl import URL

from shared.http.errors import HttpError
from shared.http.proxy import of_environment

_BLOCK = 1 << 18
_REDIRECTS = 5
_ERROR_BODY = 1 << 16
_HARMLESS = {"accept", "accept-encoding", "content-type", "if-modified-since", "if-none-match", "range", "user-agent"}
_SOCKS = "socks5://"
_BY_PROXY = (ProxyConnectionError, ProxyError, ProxyTimeoutError)
_PROBLEMS = (aiohttp.ClientError, OSError, TimeoutError, ValueError, *_BY_PROXY)
"""What sending a request may raise."""
_NEVER = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    ssl.SSLCertVerificationError,
    ValueError,
)
"""Those of them that come again each time."""
_UNKNOWN_AUTHORITY = {7, 18, 19, 20, 21}
"""OpenSSL's verify codes that mean: nobody who is trusted signed this."""


class Sink(Protocol):
    """Where a download goes, such as a file."""

    def write(self, data: bytes, /) -> Any: ...


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    """Of a download only what an error says."""

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to be left alone for."""
        return pause(self.headers)


class Http:
    """Connections with the same TLS settings and proxy; made by `open_`."""

    def __init__(self, session: aiohttp.ClientSession, way: Callable[[str], str | None]) -> None:
        self._session, self._way = session, way

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = 1 << 26) -> Answer:
        """The answer, whatever its status. HttpError when its body is larger than `limit` bytes."""
        response = await self._sent("GET", url, headers or {})
        try:
            return _answer(response, await _body(response, limit))
        finally:
            response.release()

    async def send(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 1 << 16,
    ) -> Answer:
        """The answer to a request that tells the server something; of a long one only the first `limit` bytes, for the
        server has heard us. A redirect is followed as browsers do it: by a GET, unless it is a 307 or 308."""
        response = await self._sent(method, url, headers or {}, body)
        try:
            return _answer(response, await _beginning(response, limit))
        finally:
            response.release()

    async def post(
        self, url: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, limit: int = 1 << 20
    ) -> Answer:
        """The answer to a request with this body. A redirect is an answer like others."""
        try:
            response = await self._session.post(
                URL(url, encoded=True),
                data=body or None,
                headers=dict(headers or {}),
                allow_redirects=False,
                proxy=self._way(url),
            )
        except _PROBLEMS as error:
            raise _failed(error, url) from error
        try:
            return _answer(response, await _body(response, limit))
        finally:
            response.release()

    async def download(
        self, url: str, out: Sink, *, headers: Mapping[str, str] | None = None, limit: int = 1 << 30
    ) -> Answer:
        """Writes the body of a good answer to `out`."""
        response = await self._sent("GET", url, headers or {})
        try:
            if response.status >= 300:
                return _answer(response, await _body(response, _ERROR_BODY))
            size = 0
            async for block in blocks(response):
                size += len(block)
                if size > limit:
                    raise HttpError(f"what {_host(url)} sends is larger than {limit} bytes")
                await asyncio.to_thread(out.write, block)
            return _answer(response, b"")
        finally:
            response.release()

    async def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> aiohttp.ClientResponse:
        sent = dict(headers)
        for _ in range(_REDIRECTS):
            try:
                response = await self._session.request(
                    method,
                    URL(url, encoded=True),
                    data=body or None,
                    headers=sent,
                    allow_redirects=False,
                    proxy=self._way(url),
                )
            except _PROBLEMS as error:
                raise _failed(error, url) from error
            if response.status not in (301, 302, 303, 307, 308):
                return response
            response.release()
            url = redirected(url, response.headers.get("Location", ""), sent)
            if response.status <= 303 and method != "GET":
                method, body = "GET", b""
                sent.pop("Content-Type", None)
        raise HttpError(f"{_host(url)} redirects too often", is_final=True)


@asynccontextmanager
async def open_(*, tls: ssl.SSLContext | None = None, proxy: str = "", seconds: float = 60.0) -> AsyncIterator[Http]:
    """Connections for the time of the block; `proxy` is a URL of http, https or socks5, without which the environment's
    counts. A silence of `seconds` ends a request; bound the whole by a timeout."""
    timeout = aiohttp.ClientTimeout(total=None, connect=seconds, sock_read=seconds)
    socks = proxy.startswith(_SOCKS)
    made: dict[str, Any] = {"ssl": tls or True, "limit": 16}
    # The proxy looks names up, for it may be the only one that knows them.
    connector = ProxyConnector.from_url(proxy, rdns=True, **made) if socks else aiohttp.TCPConnector(**made)
    # Not trust_env, which looks for a .netrc at each request, too: nobody's login goes where a Secret doesn't send it.
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Http(session, way(proxy))


def way(proxy: str = "") -> Callable[[str], str | None]:
    """The proxy that a request is sent to: this one, or the environment's. SOCKS is the connector's."""
    if proxy:
        return lambda url: None if proxy.startswith(_SOCKS) else proxy
    return functools.lru_cache(64)(of_environment)


def redirected(url: str, location: str, headers: dict[str, str]) -> str:
    """Where a redirect leads; leaves of `headers` only the harmless when that is another host: any other may let one
    in, not only Authorization."""
    after = urljoin(url, location)
    scheme = urlsplit(after).scheme
    if scheme not in ("http", "https") or (url.startswith("https:") and scheme != "https"):
        raise HttpError(f"the redirect from {origin(url)} to {origin(after)} is refused", is_final=True)
    if origin(after) != origin(url):
        for name in [name for name in headers if name.lower() not in _HARMLESS]:
            del headers[name]
    return after


def pause(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header Retry-After asks to wait, as a number or a date; None without one that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def origin(url: str) -> str:
    """Scheme, host and port."""
    return f"{urlsplit(url).scheme}://{_host(url)}"


async def blocks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes in."""
    try:
        async for block in response.content.iter_chunked(_BLOCK):
            yield block
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise _failed(error, str(response.url)) from error


def _failed(error: Exception, url: str) -> HttpError:
    return HttpError(explained(error, url), is_final=isinstance(error, _NEVER))


def explained(error: Exception, url: str) -> str:
    """What went wrong with a connection, in words that users of Flux know."""
    host = _host(url)
    match error:
        case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
            problem = getattr(error, "certificate_error", error)
            code = getattr(problem, "verify_code", 0)
            if code in _UNKNOWN_AUTHORITY:
                reason = "certificate signed by unknown authority"
            else:
                reason = str(getattr(problem, "verify_message", "") or problem)
            return f"{host}: tls: failed to verify certificate: x509: {reason}"
        case aiohttp.ClientConnectorDNSError():
            return f"lookup {host}: no such host"
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return f"the proxy can't be used for {host}"
        case ProxyConnectionError() | ProxyError() | ProxyTimeoutError():
            return f"the proxy can't be used for {host}"
        case aiohttp.ClientConnectorError():
            reason = os.strerror(error.os_error.errno).lower() if error.os_error.errno else "failed"
            return f"dial tcp {host}: connect: {reason}"
        case TimeoutError():
            return f"{host} did not answer in time"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | ValueError():
            return f"'{origin(url)}' is no address"
        case _:
            return f"{host} cut the connection or answered what is no HTTP: {type(error).__name__}"


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _answer(response: aiohttp.ClientResponse, body: bytes) -> Answer:
    return Answer(response.status, response.reason or "", response.headers, body)


async def _body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for block in blocks(response):
        data += block
        if len(data) > limit:
            raise HttpError(f"what {response.url.host} sends is larger than {limit} bytes")
    return bytes(data)


async def _beginning(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for block in blocks(response):
        data += block[: limit - len(data)]
        if len(data) == limit:
            response.close()  # or the rest would be read before the connection is used again
            break
    return bytes(data)
