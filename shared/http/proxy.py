"""Proxy: through whom to connect, from a Secret's `address`, `username` and `password`, or from the environment."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from shared.http.errors import SecretError


def url(data: Mapping[str, bytes]) -> str:
    """The proxy that a Secret with `address` and maybe `username` and `password` names."""
    text = _text(data, "address").strip()
    if not text:
        raise SecretError("the key 'address' is missing")
    if not is_url(text):
        raise SecretError("the key 'address' is no URL of an HTTP/S or SOCKS5 proxy")
    username, password = _text(data, "username").strip(), _text(data, "password").strip("\r\n")
    if not username:
        return text
    host = text.partition("://")[2].rpartition("@")[2]
    return f"{urlsplit(text).scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{host}"


def is_url(text: str) -> bool:
    """Is it the URL of a proxy that we can go through?"""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https", "socks5") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def of_environment(address: str) -> str | None:
    """The proxy that the environment's variables (HTTPS_PROXY, NO_PROXY, …) set for a URL; never one for this machine,
    as Go has it."""
    parts = urlsplit(address)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise SecretError(f"the key '{key}' is not UTF-8 text") from error
