"""Connections: how registries are reached, by all who reach them.

    URL + Transport → request over a connection that may have been another's → response

What always holds: only who has the same TLS settings and proxy is given the same connection; what lets one in goes with
each request, and no cookie is kept.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from shared import http


@dataclass(frozen=True)
class Transport:
    """How to connect."""

    insecure: bool = False
    """HTTP, without TLS."""
    tls: ssl.SSLContext | None = None
    proxy: str = ""
    """Without one the environment's counts."""
    seconds: float = 60.0
    """For one request; for a blob, since the last byte."""
    max_blob: int = 1 << 30


class Connections:
    """Connections that are kept open for a moment, for who asks the same registry next."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._way = http.way()

    async def request(self, transport: Transport, method: str, url: str | URL, **sent: Any) -> aiohttp.ClientResponse:
        """The answer to one request, not to where it redirects; the caller releases it. The URL is sent as it is."""
        return await self._opened().request(
            method,
            URL(url, encoded=True) if isinstance(url, str) else url,
            allow_redirects=False,
            ssl=transport.tls or True,
            proxy=transport.proxy or self._way(str(url)),
            timeout=aiohttp.ClientTimeout(total=None, connect=transport.seconds, sock_read=transport.seconds),
            **sent,
        )

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit here: those who wait for a connection would be told that the registry is slow. Not trust_env,
            # which looks for a .netrc at each request: nobody's login goes where a Secret doesn't send it.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session

    async def close(self) -> None:
        """Drop the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
