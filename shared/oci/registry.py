"""A registry: one repository in it, over HTTP.

    Repository + Credentials → tags | digest | manifest | blob

What always holds: manifests and blobs match the digest they are asked or announced by; answers are bounded in size and
time; the Authorization header goes to the registry's own host and the token service it names, never along a redirect.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
from yarl import URL

from shared import http
from shared.http import HttpError
from shared.oci.connections import Connections, Transport
from shared.oci.credentials import ANONYMOUS, Credentials
from shared.oci.errors import AuthenticationFailed, InvalidReference, NotFound, OCIError, TooLarge
from shared.oci.reference import DIGEST, Repository, require_digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_ACCEPT = ", ".join((MANIFEST, INDEX, _DOCKER_MANIFEST, _DOCKER_LIST))
_MANIFEST_LIMIT = 4 << 20
_TAGS_LIMIT = 1_000_000
_PAGES_LIMIT = 10_000
_REDIRECTS = 5
_BATCH = 1 << 20
"""Bytes of a blob that are written at once."""


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob or of another manifest."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""


@dataclass(frozen=True)
class Manifest:
    """An image's manifest."""

    digest: str
    media_type: str
    raw: bytes
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: str = ""


class _Fetched(NamedTuple):
    """A manifest as it came."""

    digest: str
    media_type: str
    raw: bytes


class Registry:
    """One repository, for one who has these credentials."""

    def __init__(
        self,
        connections: Connections,
        at: Repository,
        credentials: Credentials = ANONYMOUS,
        transport: Transport | None = None,
    ) -> None:
        self.at = at
        self._connections, self._credentials, self._transport = connections, credentials, transport or Transport()
        self._base = f"{'http' if self._transport.insecure else 'https'}://{at.endpoint}"
        self._authorization = ""
        self._fetched_before: dict[str, _Fetched] = {}
        """By digest: bytes that match a digest need no second look."""

    async def tags(self) -> list[str]:
        """All tags of the repository, as the registry orders them. NotFound when there is no such repository."""
        found: list[str] = []
        path: str | None = f"/v2/{self.at.path}/tags/list?n=1000"
        for _ in range(_PAGES_LIMIT):
            if path is None:
                return found
            async with self._get(path, "application/json") as response:
                body = _json(await _read(response, _MANIFEST_LIMIT * 4))
                found += [tag for tag in body.get("tags") or () if isinstance(tag, str)]
                path = _next(response)
            if len(found) > _TAGS_LIMIT:
                break
        raise TooLarge(f"the repository has more than {_TAGS_LIMIT} tags")

    async def digest(self, reference: str, *, with_manifest: bool = False) -> str:
        """The digest of the manifest that a tag names now; the digest itself of one that exists. When the manifest is
        wanted next, it may come `with` the answer: asking for it by this digest then costs no request."""
        if with_manifest:
            return (await self._fetched(reference)).digest
        path = f"/v2/{self.at.path}/manifests/{quote(reference, safe=':')}"
        async with self._get(path, _ACCEPT, method="HEAD") as response:
            told = response.headers.get("Docker-Content-Digest", "")
        if DIGEST.fullmatch(told):
            return told
        return (await self._fetched(reference)).digest

    async def manifest(self, reference: str) -> Manifest:
        """The manifest that a tag or digest names; of an index, the one for linux/amd64, or else its first."""
        for _ in range(4):
            found = await self._fetched(reference)
            body = _json(found.raw)
            kind = str(body.get("mediaType") or found.media_type)
            if kind not in (INDEX, _DOCKER_LIST) and "manifests" not in body:
                return _manifest(found.digest, kind, found.raw, body)
            reference = _choice(body)
        raise OCIError("indexes are nested too deep")

    async def referrers(self, digest: str) -> list[Descriptor]:
        """The manifests that say they are about this one, such as signatures; none where the registry can't tell."""
        require_digest(digest)
        try:
            async with self._get(f"/v2/{self.at.path}/referrers/{digest}", INDEX) as response:
                body = _json(await _read(response, _MANIFEST_LIMIT))
        except NotFound:  # an older registry: clients keep the list under a tag
            try:
                body = _json((await self._fetched(digest.replace(":", "-", 1))).raw)
            except NotFound:
                return []
        try:
            return [_descriptor(each) for each in body.get("manifests") or ()]
        except (KeyError, TypeError, ValueError, AttributeError, InvalidReference) as error:
            raise OCIError(f"the list of what refers to {digest} is none: {error}") from error

    async def blob(self, wanted: Descriptor, out: IO[bytes]) -> None:
        """Writes a blob's bytes to `out`; an OCIError when they don't match the digest, what was written is waste."""
        waiting = bytearray()
        async with aclosing(self._blob(wanted)) as blocks:
            async for block in blocks:
                waiting += block
                if len(waiting) >= _BATCH:
                    await asyncio.to_thread(out.write, waiting)
                    waiting = bytearray()
        await asyncio.to_thread(out.write, waiting)

    async def content(self, wanted: Descriptor) -> bytes:
        """A blob's bytes, in memory."""
        async with aclosing(self._blob(wanted)) as blocks:
            return b"".join([block async for block in blocks])

    async def _blob(self, wanted: Descriptor) -> AsyncGenerator[bytes]:
        """A blob's bytes as they come in; they count only when this ends well."""
        require_digest(wanted.digest)
        most = self._transport.max_blob
        if wanted.size > most:
            raise TooLarge(f"the blob {wanted.digest} has {wanted.size} bytes, more than {most}")
        made = hashlib.new(wanted.digest.partition(":")[0])
        size = 0
        async with self._get(f"/v2/{self.at.path}/blobs/{wanted.digest}", "*/*") as response:
            async for block in _blocks(response):
                size += len(block)
                if size > (wanted.size or most):
                    raise TooLarge(f"the blob {wanted.digest} is larger than the manifest says")
                made.update(block)
                yield block
        if made.hexdigest() != wanted.digest.partition(":")[2]:
            raise OCIError(f"the bytes of blob {wanted.digest} don't match their digest")

    async def _fetched(self, reference: str) -> _Fetched:
        """What a tag or digest names now."""
        if known := self._fetched_before.get(reference):
            return known
        path = f"/v2/{self.at.path}/manifests/{quote(reference, safe=':')}"
        async with self._get(path, _ACCEPT) as response:
            raw = await _read(response, _MANIFEST_LIMIT)
            media_type = response.headers.get("Content-Type", "").partition(";")[0]
            told = response.headers.get("Docker-Content-Digest", "")
        by_digest = DIGEST.fullmatch(reference) is not None
        algorithm = (reference if by_digest else told if DIGEST.fullmatch(told) else "sha256").partition(":")[0]
        digest = f"{algorithm}:{hashlib.new(algorithm, raw).hexdigest()}"
        if by_digest and digest != reference:
            raise OCIError(f"the bytes of manifest {reference} don't match their digest")
        found = self._fetched_before[digest] = _Fetched(digest, media_type, raw)
        return found

    @asynccontextmanager
    async def _get(self, path: str, accept: str, *, method: str = "GET") -> AsyncIterator[aiohttp.ClientResponse]:
        """The registry's good answer; logs in when asked to, follows redirects without credentials."""
        url = urljoin(self._base, path)
        if http.origin(url) != http.origin(self._base):
            raise OCIError("the registry sends to another host for its next page")
        for again in (True, False):
            response = await self._sent(method, url, accept)
            try:
                if response.status == 401 and again and await self._login(response):
                    continue
                if response.status >= 300:
                    raise await self._refusal(response)
                yield response
                return
            finally:
                response.release()

    async def _sent(self, method: str, url: str, accept: str) -> aiohttp.ClientResponse:
        """The answer to one request, after redirects; the caller closes it."""
        headers = {"Accept": accept}
        if self._authorization:
            headers["Authorization"] = self._authorization
        for _ in range(_REDIRECTS):
            try:
                response = await self._connections.request(self._transport, method, url, headers=headers)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise _translated(error, url) from error
            if response.status not in (301, 302, 303, 307, 308):
                return response
            response.release()
            try:
                url = http.redirected(url, response.headers.get("Location", ""), headers)
            except HttpError as error:
                raise OCIError(str(error)) from error
        raise OCIError("the registry redirects too often")

    async def _login(self, response: aiohttp.ClientResponse) -> bool:
        """Does what a 401 asks for; False when there is nothing to try."""
        challenges = response.headers.getall("WWW-Authenticate", [])
        bearer = next((each for each in challenges if each.lower().startswith("bearer ")), None)
        had, credentials = self._authorization, self._credentials
        if credentials.registry_token:
            self._authorization = f"Bearer {credentials.registry_token}"
        elif bearer is not None:
            self._authorization = f"Bearer {await self._token(_parameters(bearer))}"
        elif credentials.username:
            self._authorization = credentials.basic
        return self._authorization != had

    async def _token(self, challenge: Mapping[str, str]) -> str:
        """An access token from the service that the registry names."""
        realm = urlsplit(challenge.get("realm", ""))
        if realm.scheme != "https" and not (realm.scheme == "http" and self._transport.insecure):
            raise OCIError(f"the registry's token service at '{realm.geturl()[:200]}' is refused: it doesn't use https")
        scope = challenge.get("scope") or f"repository:{self.at.path}:pull"
        asked = {"service": challenge.get("service", ""), "scope": scope}
        credentials, url = self._credentials, URL(realm.geturl())
        try:
            if credentials.identity_token:
                form = {
                    **asked,
                    "grant_type": "refresh_token",
                    "refresh_token": credentials.identity_token,
                    "client_id": "fluvial",
                }
                response = await self._connections.request(self._transport, "POST", url, data=form)
            else:
                headers = {"Authorization": credentials.basic} if credentials.username else {}
                query = {key: value for key, value in asked.items() if value}
                response = await self._connections.request(self._transport, "GET", url, params=query, headers=headers)
            async with response:
                if response.status >= 300:
                    raise await self._refusal(response)
                body = _json(await _read(response, 1 << 20))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _translated(error, realm.geturl()) from error
        token = body.get("token") or body.get("access_token")
        if not isinstance(token, str) or not token:
            raise OCIError("the registry's token service gave no token")
        return token

    async def _refusal(self, response: aiohttp.ClientResponse) -> OCIError:
        """The error for an answer that is none, in the registry's words where it has some."""
        words = ""
        try:
            body = json.loads(await _read(response, 1 << 16))
            told = (body.get("errors") or [{}])[0]
            words = ": ".join(str(told[key]) for key in ("code", "message") if told.get(key))[:300]
        except (ValueError, AttributeError, TypeError, LookupError, OCIError, aiohttp.ClientError):
            words = ""
        text = f"{response.method} {response.url.with_query(None)}: {response.status} {response.reason or ''}".strip()
        text += f" ({words})" if words else ""
        if response.status == 401:
            hint = "the credentials are refused" if self._credentials else "credentials are needed"
            return AuthenticationFailed(f"{text}: {hint}")
        if response.status == 403:
            return AuthenticationFailed(f"{text}: access is denied")
        if response.status == 404:
            return NotFound(text)
        limits = ": the registry limits how often it may be asked" if response.status == 429 else ""
        error = OCIError(text + limits)
        error.retry_after = http.pause(response.headers)
        return error


@asynccontextmanager
async def open_(
    at: Repository, credentials: Credentials = ANONYMOUS, transport: Transport | None = None
) -> AsyncIterator[Registry]:
    """A repository with connections of its own."""
    connections = Connections()
    try:
        yield Registry(connections, at, credentials, transport)
    finally:
        await connections.close()


def _manifest(digest: str, media_type: str, raw: bytes, body: Mapping[str, Any]) -> Manifest:
    try:
        layers = tuple(_descriptor(each) for each in body.get("layers") or ())
        config = _descriptor(body["config"]) if body.get("config") else None
        annotations = {str(key): str(value) for key, value in (body.get("annotations") or {}).items()}
        subject = str((body.get("subject") or {}).get("digest") or "")
    except (KeyError, TypeError, ValueError, AttributeError, InvalidReference) as error:
        raise OCIError(f"the manifest {digest} is none: {error}") from error
    return Manifest(digest, media_type, raw, config, layers, annotations, subject)


def _descriptor(body: Mapping[str, Any]) -> Descriptor:
    annotations = {str(key): str(value) for key, value in (body.get("annotations") or {}).items()}
    size = int(body.get("size") or 0)
    if size < 0:
        raise ValueError("a size is negative")
    digest, type_ = require_digest(str(body["digest"])), str(body.get("artifactType") or "")
    return Descriptor(str(body.get("mediaType") or ""), digest, size, annotations, type_)


def _choice(index: Mapping[str, Any]) -> str:
    entries = [each for each in index.get("manifests") or () if isinstance(each, dict)]
    wanted = [each for each in entries if _platform(each) == ("linux", "amd64")] or entries
    if not wanted:
        raise OCIError("the index has no manifest")
    return require_digest(str(wanted[0].get("digest")))


def _platform(entry: Mapping[str, Any]) -> tuple[str, str]:
    platform = entry.get("platform") or {}
    return str(platform.get("os")), str(platform.get("architecture"))


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise OCIError("the registry's answer is no JSON: is it a registry?") from error
    if not isinstance(body, dict):
        raise OCIError("the registry's answer is no JSON object: is it a registry?")
    return body


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = bytearray()
    async for block in _blocks(response):
        data += block
        if len(data) > limit:
            raise TooLarge(f"the registry's answer is larger than {limit} bytes")
    return bytes(data)


async def _blocks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for block in http.blocks(response):
            yield block
    except HttpError as error:
        raise OCIError(str(error)) from error


def _next(response: aiohttp.ClientResponse) -> str | None:
    """The address of the next page, from the Link header."""
    found = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', response.headers.get("Link", ""))
    return urljoin(str(response.url), found[1]) if found else None


def _parameters(challenge: str) -> dict[str, str]:
    return {
        name.lower(): quoted or plain
        for name, quoted, plain in re.findall(r'([A-Za-z_-]+)=(?:"([^"]*)"|([^",\s]+))', challenge)
    }


def _translated(error: Exception, url: str) -> OCIError:
    hint = "; name a Secret with its ca.crt in spec.certSecretRef"
    is_certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
    return OCIError(http.explained(error, url) + (hint if is_certificate else ""))
