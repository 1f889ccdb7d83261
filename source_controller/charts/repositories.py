"""Chart repositories over HTTP and in registries: find a version, fetch its package.

HelmRepository + Secrets → HttpRepository or OciRepository → version → bytes of the package
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from shared import http
from shared.api.meta import parse_duration
from shared.api.source import HelmRepository
from shared.auth import AuthError, Clouds
from shared.http import HttpError, SecretError, tls
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Stalled
from shared.oci import credentials, reference, registry
from shared.oci.connections import Transport
from shared.oci.credentials import Credentials
from shared.oci.errors import CredentialsError, InvalidReference, OCIError
from shared.oci.registry import Registry
from shared.text import semver
from source_controller.charts.errors import PullFailed, ReferenceFailed
from source_controller.charts.index import Entry

HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
FETCH_FAILED = "FetchFailed"


@dataclass(frozen=True)
class Access:
    """How to reach a chart repository."""

    url: str
    is_registry: bool = False
    secret: Mapping[str, bytes] | None = None
    tls: ssl.SSLContext | None = None
    insecure: bool = False
    pass_credentials: bool = False
    seconds: float = 60.0
    login: Credentials | None = None
    """What the cloud of a registry gave."""

    @property
    def basic(self) -> str:
        """The Authorization header; empty without credentials."""
        data = self.secret or {}
        if "username" not in data:
            return ""
        user, password = (data.get(key, b"").decode(errors="replace").strip("\r\n") for key in ("username", "password"))
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def headers(self, url: str) -> dict[str, str]:
        """The headers for an address: credentials stay with the repository's host unless they may be passed on."""
        same = http.origin(url) == http.origin(self.url)
        return {"Authorization": self.basic} if self.basic and (same or self.pass_credentials) else {}


async def find_access(repository: HelmRepository, clouds: Clouds, attempt: Attempt[HelmRepository]) -> Access:
    """How to reach a HelmRepository, by its Secrets or its cloud. URLInvalid stalls, AuthenticationFailed."""
    spec, namespace = repository.spec, repository.metadata.namespace or ""
    is_registry = spec.type == "oci"
    if is_registry != spec.url.startswith(reference.SCHEME):
        scheme, kind = urlsplit(spec.url).scheme, spec.type or "default"
        message = f"invalid Helm repository URL: '{scheme}' URL scheme cannot be used with '{kind}' HelmRepository type"
        raise Stalled("URLInvalid", message, condition=FETCH_FAILED)
    if not urlsplit(spec.url).netloc:
        message = f"invalid Helm repository URL: '{spec.url}' has no host"
        raise Stalled("URLInvalid", message, condition=FETCH_FAILED)
    secret, context = None, None
    if spec.secret_ref is not None:
        try:
            secret = await attempt.secret(spec.secret_ref.name, namespace)
        except NotFound as error:
            name = f"{namespace}/{spec.secret_ref.name}"
            raise _refused(f"failed to get authentication secret '{name}': {error}") from error
        if not is_registry and bool(secret.get("username")) != bool(secret.get("password")):
            name = f"{namespace}/{spec.secret_ref.name}"
            raise _refused(f"invalid '{name}' secret data: required fields 'username' and 'password'")
    certificates = None
    if spec.cert_secret_ref is not None:
        certificates = spec.cert_secret_ref.name
    elif secret is not None and spec.secret_ref is not None and tls.has_any(secret):
        certificates = spec.secret_ref.name
        attempt.log.warning(
            "TLS settings in spec.secretRef are deprecated: put them into a Secret of spec.certSecretRef"
        )
    if certificates is not None:
        name = f"{namespace}/{certificates}"
        try:
            data = await attempt.secret(certificates, namespace)
            context = await asyncio.to_thread(tls.context, data)
        except NotFound as error:
            raise _refused(f"failed to get TLS authentication secret '{name}': {error}") from error
        except SecretError as error:
            raise _refused(f"failed to construct Helm client's TLS config: secret '{name}': {error}") from error
    login = None
    if is_registry and spec.secret_ref is None and spec.provider != "generic":
        try:
            given = await clouds.registry(spec.provider, urlsplit(spec.url).netloc)
        except AuthError as error:
            raise _refused(f"failed to get credential from '{spec.provider}': {error}") from error
        login = Credentials(given.username, given.password)
    return Access(
        spec.url,
        is_registry,
        secret,
        context,
        spec.insecure,
        spec.pass_credentials,
        parse_duration(spec.timeout or "60s"),
        login,
    )


async def fetch_index(access: Access, file: Path, limit: int, unless: str = "") -> str | None:
    """Brings the index as the repository serves it into a file, `unless` it still is the one that the server gave this
    ETag: None then, else the ETag of the new one, "" without. HttpError says why it can't be had."""
    parts = urlsplit(access.url)
    url = parts._replace(path=parts.path.rstrip("/") + "/index.yaml").geturl()
    headers = access.headers(url) | ({"If-None-Match": unless} if unless else {})
    async with asyncio.timeout(access.seconds), http.open_(tls=access.tls, seconds=access.seconds) as connection:
        with await asyncio.to_thread(file.open, "wb") as out:
            answer = await connection.download(url, out, headers=headers, limit=limit)
    if unless and answer.status == HTTPStatus.NOT_MODIFIED:
        return None
    if not answer.is_good:
        hint = ""
        if answer.status in (401, 403):
            hint = "; check the credentials in spec.secretRef" if access.basic else "; credentials go to spec.secretRef"
        shown = parts._replace(query="", netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        message = f"failed to fetch {shown}/index.yaml : {answer.status} {answer.reason}{hint}"
        raise HttpError(message, retry_after=answer.retry_after)
    return answer.headers.get("ETag", "")


async def fetch_package(access: Access, entry: Entry, limit: int) -> bytes:
    """The package of a version that the index lists, checked against the index' digest."""
    if not entry.urls:
        raise PullFailed(f"chart '{entry.name}' has no downloadable URLs")
    url = urljoin(access.url.rstrip("/") + "/", entry.urls[0])
    if urlsplit(url).scheme not in ("http", "https"):
        raise PullFailed(f"chart '{entry.name}' has the address '{entry.urls[0][:200]}', which is no http or https")
    try:
        async with asyncio.timeout(access.seconds), http.open_(tls=access.tls, seconds=access.seconds) as connection:
            answer = await connection.get(url, headers=access.headers(url), limit=limit)
    except TimeoutError as error:
        raise PullFailed(f"timed out after {access.seconds:g} seconds") from error
    except HttpError as error:
        raise PullFailed(str(error)) from error
    if not answer.is_good:
        shown = urlsplit(url)._replace(query="").geturl()
        refusal = PullFailed(f"failed to fetch {shown} : {answer.status} {answer.reason}")
        refusal.retry_after = answer.retry_after
        raise refusal
    if entry.digest and hashlib.sha256(answer.body).hexdigest() != entry.digest:
        raise PullFailed(f"the package of chart '{entry.name}' does not match the digest in the index")
    return answer.body


Check = Callable[[Registry, str, str], Awaitable[None]]
"""Raises unless the image with a digest may be used as a version."""


async def pull(
    access: Access, chart: str, wanted: str, limit: int, known: str = "", check: Check | None = None
) -> tuple[str, bytes]:
    """The highest version of a chart in a registry that is in the range, and its package; none when it is `known`.

    The registry isn't asked for its tags when one version is wanted: not everybody may list them. With `check` the
    version is looked up and checked in any case, and the package is the checked one.
    """
    try:
        at = reference.repository(f"{access.url.rstrip('/')}/{chart}")
    except InvalidReference as error:
        raise ReferenceFailed(str(error)) from error
    try:
        who = _login(access, at)
        transport = Transport(access.insecure, access.tls, seconds=access.seconds, max_blob=limit)
        async with asyncio.timeout(access.seconds), registry.open_(at, who, transport) as remote:
            version = wanted if _is_version(wanted) else _highest(await remote.tags(), wanted, chart)
            image = version.replace("+", "_")
            if check is not None:
                image = await remote.digest(image)
                await check(remote, image, version)
            if version == known:
                return version, b""
            manifest = await remote.manifest(image)
            layer = next((each for each in manifest.layers if each.media_type == HELM_CHART), None)
            if layer is None:
                raise PullFailed(f"'{at}:{version}' is no Helm chart")
            return version, await remote.content(layer)
    except TimeoutError as error:
        raise PullFailed(f"timed out after {access.seconds:g} seconds") from error
    except (OCIError, CredentialsError) as error:
        raise PullFailed(str(error)) from error


def _login(access: Access, at: reference.Repository) -> Credentials:
    if access.secret is not None:
        return credentials.from_secret(access.secret, at)
    return access.login or credentials.ANONYMOUS


def _highest(tags: list[str], wanted: str, chart: str) -> str:
    """The version, with `+` where its tag has `_`."""
    versions = [tag.replace("_", "+") for tag in tags]
    if wanted in versions:
        return wanted
    problem = "failed to get chart version for remote reference"
    try:
        found = semver.highest(versions, semver.parse_range(wanted or "*"))
    except semver.VersionError as error:
        raise PullFailed(f"{problem}: {error}") from error
    if found is None:
        raise PullFailed(
            f"{problem}: could not locate a version matching provided version string {wanted} for '{chart}'"
        )
    return found


def _is_version(wanted: str) -> bool:
    """Is it one version, no range?"""
    try:
        semver.parse_strict(wanted.removeprefix("v"))
    except semver.VersionError:
        return False
    return True


def _refused(message: str) -> Failed:
    return Failed("AuthenticationFailed", message, condition=FETCH_FAILED)
