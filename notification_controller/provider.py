"""Provider: which service, how to reach it and as whom. It has no status: what is wrong is told on the Alert.

    Provider + its Secrets → Connection (what a service's module needs), or InvalidProvider

What always holds: a message names the Secret and the key, never what it holds.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import NamedTuple

from notification_controller.event import (
    CHANGE_REQUEST,
    COMMIT,
    COMMIT_STATUS,
    COMMIT_STATUS_UPDATE,
    ERROR,
    Event,
)
from notification_controller.providers import Connection, InvalidProvider
from shared.api.meta import parse_duration
from shared.api.notification import Provider
from shared.auth import Clouds
from shared.http import SecretError, proxy, tls
from shared.kube import secrets
from shared.kube.client import Client
from shared.kube.errors import NotFound
from shared.text import yaml

TIMEOUT = 15.0
"""Seconds that one post may take when the Provider doesn't say."""
ADDRESS_LIMIT = 2048
"""Bytes of a Secret's address."""

COMMIT_STATUS_TYPES = frozenset({"github", "gitlab", "gitea", "bitbucketserver", "bitbucket", "azuredevops"})
CHANGE_REQUEST_TYPES = frozenset({"githubpullrequestcomment", "gitlabmergerequestcomment", "giteapullrequestcomment"})
GENERIC_TYPES = frozenset({"generic", "generic-hmac"})


def passes_over(type_: str, event: Event) -> str:
    """Why a type of Provider isn't sent an event that no Alert took yet; "" when it is."""
    is_update = event.own(COMMIT_STATUS) == COMMIT_STATUS_UPDATE
    if type_ in COMMIT_STATUS_TYPES:
        if event.annotation(COMMIT) or is_update or event.severity == ERROR:
            return ""
        return "commit status providers need the commit metadata key"
    if type_ in CHANGE_REQUEST_TYPES and not event.annotation(CHANGE_REQUEST):
        return "change request providers need the change_request metadata key"
    if is_update and type_ not in GENERIC_TYPES:
        return "only commit status providers and generic ones are told of commit status updates"
    return ""


def timeout(provider: Provider) -> float:
    """Seconds that one post may take."""
    return parse_duration(provider.spec.timeout) if provider.spec.timeout else TIMEOUT


class Secrets(NamedTuple):
    """What a Provider's Secrets hold; None for each that it doesn't name."""

    auth: Mapping[str, bytes] | None = None
    proxy: Mapping[str, bytes] | None = None
    certificates: Mapping[str, bytes] | None = None

    def __repr__(self) -> str:
        return "Secrets(…)"


async def read(client: Client, provider: Provider) -> Secrets:
    """A Provider's Secrets as they are now. InvalidProvider names one that isn't there; another ApiError means that
    they can't be read at the moment."""
    spec, namespace = provider.spec, provider.metadata.namespace
    references = (spec.secret_ref, spec.proxy_secret_ref, spec.cert_secret_ref)
    return Secrets(*[await _read(client, namespace, one.name) if one is not None else None for one in references])


async def _read(client: Client, namespace: str, name: str) -> Mapping[str, bytes]:
    try:
        return await secrets.read(client, namespace, name)
    except NotFound as error:
        raise InvalidProvider(f"failed to get secret '{namespace}/{name}': {error}") from error


def connected(provider: Provider, found: Secrets, clouds: Clouds | None = None) -> Connection:
    """The connection that a Provider and what its Secrets hold describe. InvalidProvider names what is wrong."""
    spec, meta = provider.spec, provider.metadata
    held = found.auth or {}
    name = f"'{meta.namespace}/{spec.secret_ref.name}'" if spec.secret_ref else ""
    login = _login(spec.type, held, name)
    if len(held.get("address", b"")) > ADDRESS_LIMIT:
        raise InvalidProvider(f"invalid address in secret {name}: it is longer than {ADDRESS_LIMIT} bytes")
    return Connection(
        type=spec.type,
        address=(_text(held, "address", name) if "address" in held else spec.address or "").strip(),
        channel=spec.channel or "",
        username=_text(login, "username", name) if login else spec.username or "",
        password=_text(login, "password", name),
        token="" if spec.type == "generic-hmac" else _text(held, "token", name).strip(),  # there it is any bytes
        headers=_headers(held, name),
        secret=held,
        proxy=_proxy(provider, found, name),
        tls=_tls(provider, found),
        timeout=timeout(provider),
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        service_account_name=spec.service_account_name or "",
        clouds=clouds,
    )


def _login(type_: str, held: Mapping[str, bytes], name: str) -> Mapping[str, bytes]:
    """Username and password. One without the other is none; services around repositories want to be told."""
    there = [key for key in ("username", "password") if key in held]
    if len(there) == 1 and type_ in COMMIT_STATUS_TYPES | CHANGE_REQUEST_TYPES:
        missing = "password" if there == ["username"] else "username"
        raise InvalidProvider(f"secret {name}: malformed basic auth - has '{there[0]}' but missing '{missing}'")
    return {key: held[key] for key in there} if len(there) == 2 else {}


def _text(data: Mapping[str, bytes], key: str, name: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise InvalidProvider(f"secret {name}: the key '{key}' is not UTF-8 text") from error


def _headers(data: Mapping[str, bytes], name: str) -> dict[str, str]:
    if "headers" not in data:
        return {}
    try:
        headers = yaml.load(_text(data, "headers", name))
    except yaml.YAMLError as error:
        raise InvalidProvider(f"failed to read headers from secret {name}: the key 'headers' is not YAML") from error
    if headers is None:
        return {}
    if not isinstance(headers, dict) or not all(map(_is_scalar, (*headers, *headers.values()))):
        raise InvalidProvider(f"failed to read headers from secret {name}: expected names and texts")
    texts = {_scalar(key): _scalar(value) for key, value in headers.items()}
    for key, value in texts.items():
        if any(mark in "\r\n\0" for mark in key + value) or not key.strip():
            raise InvalidProvider(f"failed to read headers from secret {name}: a header holds a line break")
    return texts


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _scalar(value: str | float) -> str:
    """A header's text; what YAML takes for a number or a bool is one, too."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _proxy(provider: Provider, found: Secrets, name: str) -> str:
    reference = provider.spec.proxy_secret_ref
    if found.proxy is None or reference is None:
        held = found.auth or {}
        address = _text(held, "proxy", name).strip() if "proxy" in held else provider.spec.proxy or ""
        if address and not proxy.is_url(address):
            where = f"invalid 'proxy' in secret {name}" if "proxy" in held else "invalid spec.proxy"
            raise InvalidProvider(f"{where}: it is no URL of an HTTP/S or SOCKS5 proxy")
        return address
    try:
        return proxy.url(found.proxy)
    except SecretError as error:
        where = f"{provider.metadata.namespace}/{reference.name}"
        raise InvalidProvider(f"failed to get proxy URL: secret '{where}': {error}") from error


def _tls(provider: Provider, found: Secrets) -> ssl.SSLContext | None:
    """Whom to trust and who to be; None when the system's authorities will do. A Git service's Secret may hold the
    certificates beside the token."""
    spec = provider.spec
    if found.certificates is not None and spec.cert_secret_ref:
        data, name = found.certificates, spec.cert_secret_ref.name
    elif found.auth and spec.secret_ref and spec.type in COMMIT_STATUS_TYPES and tls.has_any(found.auth):
        data, name = found.auth, spec.secret_ref.name
    else:
        return None
    try:
        return tls.context(data)
    except SecretError as error:
        where = f"{provider.metadata.namespace}/{name}"
        raise InvalidProvider(f"failed to get TLS config: secret '{where}': {error}") from error
