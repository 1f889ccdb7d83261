"""Proxy: through whom to connect, from a Secret's `address`, `username` and `password`."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from shared.http.errors import SecretError


def url(data: Mapping[str, bytes]) -> str:
    """The proxy that a Secret with `address` and maybe `username` and `password` names."""
    text = _text(data, "address").strip()
    if not text:
        raise SecretError("the key 'address' is missing")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https", "socks5") or not parts.hostname:
        raise SecretError("the key 'address' is no URL of an HTTP/S or SOCKS5 proxy")
    username, password = _text(data, "username").strip(), _text(data, "password").strip("\r\n")
    if not username:
        return text
    host = text.partition("://")[2].rpartition("@")[2]
    return f"{parts.scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{host}"


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise SecretError(f"the key '{key}' is not UTF-8 text") from error
