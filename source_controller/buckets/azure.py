"""Azure: Blob Storage, a container of an account.

    container + login → requests → listing, blobs

A login is an access token of Entra ID, an account's key that signs requests, or a shared access signature that goes
with them. The account's endpoint is whoever's: what it answers is bounded by the one client.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from shared import http
from shared.http import Answer, Http, HttpError
from source_controller.buckets.store import (
    LIST_LIMIT,
    MAX_BYTES,
    BucketError,
    Downloads,
    document,
    reason,
    require_few,
)

_VERSION = "2021-12-02"
_PAGE = "5000"


@dataclass(frozen=True)
class Login:
    """One of the three, or none: anonymously."""

    token: str = field(default="", repr=False)
    account_key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)
    """The query of a shared access signature."""
    problem: str = ""
    """Why there is none, to be told when the store wants one."""


@dataclass(frozen=True)
class Container:
    """Where a container is."""

    name: str
    endpoint: str
    """The account's URL, with https://."""

    @property
    def account(self) -> str:
        """The first part of the host, or of the path where the host is an address. BucketError when there is none."""
        parts = urlsplit(self.endpoint)
        host, path = parts.hostname or "", parts.path.strip("/").split("/")[0]
        labels = host.split(".")
        if (_is_address(host) or host == "localhost") and path:
            return path
        if len(labels) <= 2 or _is_address(host):
            raise BucketError(f"'{host}' doesn't begin with the account's name, as in <account>.blob.core.windows.net")
        return labels[0]

    def path(self, key: str = "") -> str:
        """The path of the container or of a blob in it, encoded."""
        base = urlsplit(self.endpoint).path.rstrip("/")
        return f"{base}/{quote(self.name, safe='$')}" + (f"/{quote(key, safe='/-_.~')}" if key else "")


class Blobs:
    """One container while its connections are open; made by `open_`."""

    def __init__(self, connection: Http, container: Container, login: Login, max_bytes: int) -> None:
        self._http, self._container, self._login = connection, container, login
        self._downloads = Downloads(connection, max_bytes)

    async def objects(self, prefix: str) -> dict[str, str]:
        """Name → ETag of all blobs whose name begins with `prefix`. BucketError when there is no such container."""
        found: dict[str, str] = {}
        marker = ""
        while True:
            query = {"restype": "container", "comp": "list", "maxresults": _PAGE}
            query |= {name: value for name, value in (("prefix", prefix), ("marker", marker)) if value}
            page = document((await self._listed(query)).body)
            for blob in page.iter("Blob"):
                name, properties = blob.findtext("Name") or "", blob.find("Properties")
                if properties is None or properties.findtext("ResourceType") == "directory":
                    continue
                found[name] = _quoted(properties.findtext("Etag") or "")
            require_few(self._container.name, found)
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return found

    async def fetch(self, key: str, out: BinaryIO) -> str:
        """Writes a blob's bytes; its ETag. NoSuchObject when it is gone."""
        url, headers = self._request(self._container.path(key), {})
        answer = await self._downloads.fetch(key, url, headers, out, self._why)
        return _quoted(answer.headers.get("ETag", ""))

    async def _listed(self, query: Mapping[str, str]) -> Answer:
        name = self._container.name
        url, headers = self._request(self._container.path(), query)
        try:
            answer = await self._http.get(url, headers=headers, limit=LIST_LIMIT)
        except HttpError as error:
            raise BucketError(f"failed to list objects from bucket '{name}': {error}") from error
        if answer.is_good:
            return answer
        if answer.headers.get("x-ms-error-code") == "ContainerNotFound":
            raise BucketError(f"bucket '{name}' not found")
        message = f"failed to list objects from bucket '{name}': {self._why(answer)}"
        raise BucketError(message, retry_after=answer.retry_after)

    def _why(self, refused: Answer) -> str:
        hint = f"; asked without a login: {self._login.problem}" if self._login.problem else ""
        return reason(refused) + hint

    def _request(self, path: str, query: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The URL and the headers, by which it is known who asks."""
        parts, login = urlsplit(self._container.endpoint), self._login
        every = dict(parse_qsl(parts.query, keep_blank_values=True)) | dict(query)
        every |= dict(parse_qsl(login.sas.removeprefix("?"), keep_blank_values=True))
        text = urlencode(sorted(every.items()), quote_via=quote, safe="-_.~")
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        if login.token:
            headers["Authorization"] = f"Bearer {login.token}"
        elif login.account_key:
            headers["Authorization"] = sign(self._container.account, login.account_key, path, every, headers)
        return parts._replace(path=path, query=text, fragment="").geturl(), headers


@asynccontextmanager
async def open_(
    container: Container,
    login: Login,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: str = "",
    seconds: float = 60.0,
    max_bytes: int = MAX_BYTES,
) -> AsyncIterator[Blobs]:
    """A container; `max_bytes` bounds all that is fetched from it together."""
    scheme = urlsplit(container.endpoint).scheme
    if scheme not in ("http", "https"):
        raise BucketError(f"the endpoint '{container.endpoint[:200]}' is no http or https address of an account")
    if login.token and scheme != "https":
        raise BucketError("an access token goes only to an https endpoint")
    async with http.open_(tls=tls, proxy=proxy, seconds=seconds) as connection:
        yield Blobs(connection, container, login, max_bytes)


def sign(account: str, key: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The Authorization header of a GET request without a body. `path` as it is sent, `query` decoded."""
    shown = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("x-ms-"))
    asked = "".join(f"\n{name.lower()}:{query[name]}" for name in sorted(query, key=str.lower))
    # Eleven standard headers, none of which is sent, lie between the verb and those of Azure.
    text = "GET" + "\n" * 12 + f"{shown}/{account}{path}{asked}"
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BucketError("the account's key is no base64") from error
    signature = hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"SharedKey {account}:{base64.b64encode(signature).decode()}"


def _quoted(etag: str) -> str:
    """An ETag as it is in headers; listings leave the quotes out."""
    return f'"{unquote(etag).strip(chr(34))}"'


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
