"""Credentials: what a Secret says about how to reach a repository. They don't print, and are checked before use.

Secret's data + URL → Credentials
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shared.git.errors import InvalidURL

SCHEMES = ("http", "https", "ssh")


class CredentialsError(Exception):
    """The Secret does not hold what this URL needs; the message names the key."""


@dataclass(frozen=True, repr=False)
class Credentials:
    """How to authenticate. All empty means anonymously, trusting the system's certificate authorities."""

    username: str = ""
    password: str = ""
    """The user's password, or the passphrase of `identity`."""
    bearer_token: str = ""
    identity: str = ""
    """An SSH private key."""
    known_hosts: str = ""
    ca: str = ""
    """PEM certificate authorities to trust beside the system's."""
    certificate: str = ""
    """A PEM client certificate, with `key`."""
    key: str = ""
    proxy: str = ""
    """URL of the proxy, with its user information."""
    holder: str = ""
    """Whom a short-lived login was made out to: the same one sees the same repositories with the next login."""

    def __repr__(self) -> str:
        return f"Credentials({', '.join(name for name, value in vars(self).items() if value)})"

    @property
    def digest(self) -> str:
        """Stands for all that may be reached with them, and how."""
        passing = dict.fromkeys(("username", "password", "bearer_token"), "") if self.holder else {}
        lasting = vars(self) | passing
        return hashlib.sha256(json.dumps(lasting).encode()).hexdigest()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not be shown, for redaction. Short ones would redact anything."""
        proxy = unquote(urlsplit(self.proxy).password or "") if self.proxy else ""
        values = (self.password, self.bearer_token, proxy, self.proxy)
        return tuple(value for value in values if len(value) > 3)


@dataclass(frozen=True)
class Address:
    """A repository's URL without user information, and the user that it named."""

    url: str
    scheme: str
    host: str
    port: int | None
    username: str = ""
    password: str = ""

    @property
    def origin(self) -> str:
        """`scheme://host[:port]`, as git shows it in its prompts."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port else "")


def address(url: str) -> Address:
    """The parts of a repository's URL. InvalidURL says what is wrong with it."""
    if re.search(r"[\x00-\x20\x7f]", url):
        raise InvalidURL("it contains blanks or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidURL(str(error)) from error
    if parts.scheme not in SCHEMES:
        raise InvalidURL(f"the scheme must be one of {', '.join(SCHEMES)}")
    if not parts.hostname or not re.fullmatch(r"[A-Za-z0-9_.:%-]+", parts.hostname) or parts.hostname.startswith("-"):
        raise InvalidURL("it has no valid host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = host + (f":{port}" if port else "")
    query = f"?{parts.query}" if parts.query else ""
    plain = f"{parts.scheme}://{where}{parts.path}{query}"
    return Address(
        plain, parts.scheme, parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or "")
    )


def from_secret(at: Address, data: Mapping[str, bytes], *, proxy: str = "", holder: str = "") -> Credentials:
    """The credentials that `data` (a Secret's; empty for none) gives for an address. CredentialsError names the key.

    `holder` is whom a short-lived login in it was made out to.
    """
    scheme = at.scheme
    if scheme == "ssh":
        identity, known_hosts = _text(data, "identity"), _text(data, "known_hosts")
        if not identity.strip():
            raise CredentialsError(f"invalid '{scheme}' auth option: 'identity' is required")
        if not known_hosts.strip():
            raise CredentialsError(f"invalid '{scheme}' auth option: 'known_hosts' is required")
        return Credentials(
            username=at.username or "git",
            password=_text(data, "password"),
            identity=identity,
            known_hosts=known_hosts,
            proxy=proxy,
        )
    token = _text(data, "bearerToken")
    username = "" if token else _text(data, "username") or at.username
    password = "" if token else _text(data, "password") or at.password
    if password and not username:
        raise CredentialsError(f"invalid '{scheme}' auth option: 'password' requires 'username' to be set")
    for name, value in (("username", username), ("password", password), ("bearerToken", token)):
        if re.search(r"[\x00\r\n]", value.rstrip("\r\n")):
            raise CredentialsError(f"invalid '{scheme}' auth option: '{name}' has more than one line")
    certificate, key = _text(data, "tls.crt"), _text(data, "tls.key")
    if bool(certificate) != bool(key):
        raise CredentialsError(f"invalid '{scheme}' auth option: 'tls.crt' and 'tls.key' go together")
    ca = _text(data, "ca.crt") or _text(data, "caFile")
    if ca and "-----BEGIN CERTIFICATE-----" not in ca:
        raise CredentialsError(f"invalid '{scheme}' auth option: 'ca.crt' holds no PEM certificate")
    return Credentials(
        username=username,
        password=password.rstrip("\r\n"),
        bearer_token=token.rstrip("\r\n"),
        ca=ca,
        certificate=certificate,
        key=key,
        proxy=proxy,
        holder=holder,
    )


def is_encrypted(identity: str) -> bool:
    """Does this SSH private key need a passphrase?"""
    if "ENCRYPTED" in identity:
        return True
    found = re.search(r"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", identity, re.S)
    if not found:
        return False
    try:
        raw = base64.b64decode("".join(found[1].split()))
    except (binascii.Error, ValueError):
        return False
    magic = b"openssh-key-v1\0"
    length = int.from_bytes(raw[len(magic) : len(magic) + 4], "big")
    return raw.startswith(magic) and raw[len(magic) + 4 : len(magic) + 4 + length] != b"none"


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError as error:
        raise CredentialsError(f"the key '{key}' is not UTF-8 text") from error
