"""Asking a webhook: one AdmissionReview there and back over HTTPS, and what is wrong with an answer.

What can't be reached or answers nonsense is a `CallFailed`, in the words of a real API server's client.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import orjson

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

LIMIT = 8 * 1024 * 1024
"""Bytes of an answer, at most."""
_KIND = "AdmissionReview"
_REDIRECTS = 300


class CallFailed(Exception):
    """The webhook could not be asked, or what it answered is no answer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook answered."""

    allowed: bool
    warnings: list[str] = field(default_factory=list)
    patch: Any = None
    """A JSON patch; None for none."""
    result: Manifest = field(default_factory=dict)
    """The Status of a refusal."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a webhook is."""

    shown: str
    """The URL as messages show it."""
    target: str
    """The URL that is connected to."""
    server_name: str | None
    """Whom the certificate must be for, when that isn't the host of the URL."""


def address_of(cluster: Cluster, client: Mapping[str, Any], timeout: int) -> Address:
    """The address of a clientConfig. CallFailed when its Service leads nowhere: Services have no network here, but
    that of an ExternalName Service is its host's."""
    query = f"?timeout={timeout}s"
    service = client.get("service")
    if service is None:
        parts = urlsplit(str(client.get("url") or ""))
        url = f"{parts.scheme}://{parts.netloc}{parts.path or '/'}{query}"
        return Address(url, url, None)
    namespace, name = service.get("namespace", ""), service.get("name", "")
    port, path = service.get("port", 443), service.get("path") or "/"
    host = f"{name}.{namespace}.svc"
    shown = f"https://{host}:{port}{path if path.startswith('/') else f'/{path}'}{query}"
    entry = cluster.store.get(("", "services"), namespace, name)
    if entry is None:
        raise _unreachable(shown, f'service "{name}" not found')
    spec = entry.manifest().get("spec") or {}
    if spec.get("type") == "ExternalName":
        target = shown.replace(host, str(spec.get("externalName")), 1)
        return Address(shown, target, host)
    if port not in [one.get("port") for one in spec.get("ports") or ()]:
        raise _unreachable(shown, f'no service port {port} found for service "{name}"')
    raise _unreachable(shown, f"dial tcp {spec.get('clusterIP')}:{port}: connect: connection refused")


def _unreachable(url: str, problem: str) -> CallFailed:
    return CallFailed(f'failed to call webhook: Post "{url}": {problem}')


async def ask(
    address: Address, authority: bytes, request: Manifest, version: str, seconds: int, *, mutating: bool
) -> Verdict | CallFailed:
    """Post a review and read the answer. authority: PEM of who signs the webhook's certificate, empty for the system's;
    version: of AdmissionReview; seconds: how long it may take. A failure is given, not raised: it is an answer."""
    uid = str(uuid.uuid4())
    api_version = f"admission.k8s.io/{version}"
    review = {"kind": _KIND, "apiVersion": api_version, "request": {"uid": uid, **request}}
    try:
        body = await _post(address, authority, orjson.dumps(review), seconds)
        return verdict(body, uid, api_version, mutating=mutating)
    except CallFailed as failure:
        return failure


async def _post(address: Address, authority: bytes, body: bytes, seconds: int) -> bytes:
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, ValueError):
        raise CallFailed("could not get REST client: unable to load root certificates") from None
    headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
    limit = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, trust_env=False) as session,
            session.post(
                address.target,
                data=body,
                headers=headers,
                ssl=context,
                server_hostname=address.server_name,
                allow_redirects=False,
            ) as response,
        ):
            found = await response.content.read(LIMIT + 1)
            while len(found) <= LIMIT and not response.content.at_eof():
                found += await response.content.read(LIMIT + 1 - len(found))
            if len(found) > LIMIT:
                raise CallFailed(f"failed to call webhook: the answer is larger than {LIMIT} bytes")
            if not 200 <= response.status < _REDIRECTS:
                raise CallFailed(f"failed to call webhook: {_refused(response.status, found)}")
            return found
    except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        raise _unreachable(address.shown, _problem(error, address)) from None


def _problem(error: BaseException, address: Address) -> str:
    """Why there is no answer, in the words of Go's client."""
    if isinstance(error, TimeoutError):
        return "context deadline exceeded"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"tls: failed to verify certificate: x509: {_certificate(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "tls: first record does not look like a TLS handshake"
    if isinstance(error, aiohttp.ClientConnectorError):
        host = urlsplit(address.target)
        where = f"{host.hostname}:{host.port or 443}"
        cause = error.os_error
        return f"dial tcp {where}: connect: {os.strerror(cause.errno).lower() if cause.errno else cause}"
    return "EOF"


def _certificate(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (18, 19, 20, 21):
            return "certificate signed by unknown authority"
        if error.verify_code in (9, 10):
            return "certificate has expired or is not yet valid"
        if error.verify_code in (62, 64):
            return f"certificate is not valid for the webhook's name: {error.verify_message}"
        return error.verify_message
    return str(error)


def _refused(code: int, body: bytes) -> str:
    """What a client makes of an answer that is none."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("message"):
        return str(status["message"])
    text = body.decode(errors="replace").strip()
    known = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        429: "the server has received too many requests and has asked us to try again later",
    }
    if code in known:
        return known[code]
    if code == 403:
        return text or "unknown"
    if code >= 500:
        shown = text[:2048] or "unknown"
        return f"an error on the server ({orjson.dumps(shown).decode()}) has prevented the request from succeeding"
    return f"the server responded with the status code {code} but did not return more information"


# -- reading an answer


def verdict(body: bytes, uid: str, api_version: str, *, mutating: bool) -> Verdict:
    """The answer to the review `uid`. CallFailed when it is none."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError:
        review = None
    if not isinstance(review, dict):
        raise CallFailed("failed to call webhook: couldn't get version/kind; the answer is no JSON object")
    response = review.get("response")
    if not isinstance(response, dict):
        raise _invalid("webhook response was absent")
    strict = api_version.endswith("/v1")
    if strict and response.get("uid", "") != uid:
        raise _invalid(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    if strict and (review.get("kind") != _KIND or review.get("apiVersion") != api_version):
        wanted = f"admission.k8s.io/v1, Kind={_KIND}"
        raise _invalid(f"expected webhook response of {wanted}, got {_kind_of(review)}")
    patch, kind = response.get("patch"), response.get("patchType")
    if mutating:
        if strict:
            _require_both(patch, kind)
    elif strict and patch:
        raise _invalid("validating webhook may not return response.patch")
    elif strict and kind is not None:
        raise _invalid("validating webhook may not return response.patchType")
    result = response.get("status")
    warnings = [str(one) for one in response.get("warnings") or ()]
    return Verdict(
        allowed=response.get("allowed") is True,
        warnings=warnings,
        patch=_patch(patch) if mutating and patch else None,
        result=result if isinstance(result, dict) else {},
    )


def _require_both(patch: Any, kind: Any) -> None:
    if patch and kind is None:
        raise _invalid("webhook returned response.patch but not response.patchType")
    if not patch and kind is not None:
        raise _invalid("webhook returned response.patchType but not response.patch")
    if kind == "":
        raise _invalid('webhook returned invalid response.patchType of ""')
    if kind not in (None, "JSONPatch"):
        raise CallFailed(f'unsupported patch type "{kind}"')


def _patch(text: Any) -> Any:
    try:
        patch = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, TypeError, ValueError):
        raise CallFailed("received undecodable patch in webhook response: it is no JSON in base64") from None
    if not isinstance(patch, list):
        raise CallFailed("received undecodable patch in webhook response: it is no list of operations")
    return patch


def _kind_of(review: Manifest) -> str:
    group, _, version = str(review.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={review.get('kind') or ''}"


def _invalid(problem: str) -> CallFailed:
    return CallFailed(f"received invalid webhook response: {problem}")
