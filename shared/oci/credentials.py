"""Credentials: what Docker configuration Secrets say for a repository. They don't print.

.dockerconfigjson + Repository → Credentials
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.oci.errors import CredentialsError
from shared.oci.reference import _HUB_NAMES, Repository

DOCKER_CONFIG = ".dockerconfigjson"


@dataclass(frozen=True, repr=False)
class Credentials:
    """How to log in. All empty means anonymously."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    """A refresh token, to be exchanged for an access token."""
    registry_token: str = ""
    """An access token, to be sent as it is."""

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(name for name, value in vars(self).items() if value)})"

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


ANONYMOUS = Credentials()


def from_secret(data: Mapping[str, bytes], at: Repository) -> Credentials:
    """What a Secret of type kubernetes.io/dockerconfigjson has for a repository; ANONYMOUS when it has nothing."""
    raw = data.get(DOCKER_CONFIG)
    if raw is None:
        if "username" in data and "password" in data:
            return Credentials(_text(data, "username"), _text(data, "password"))
        raise CredentialsError(
            f"the key '{DOCKER_CONFIG}' is missing: make it with type kubernetes.io/dockerconfigjson"
        )
    try:
        parsed: Any = json.loads(raw)
        auths = parsed["auths"]
        entries = {str(name): dict(entry) for name, entry in auths.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CredentialsError(f"the key '{DOCKER_CONFIG}' holds no Docker configuration with 'auths'") from error
    found = _best(entries, at)
    return ANONYMOUS if found is None else _entry(entries[found], found)


def first(secrets: Iterable[Mapping[str, bytes]], at: Repository) -> Credentials:
    """What the first Secret that has something for a repository says."""
    for data in secrets:
        if found := from_secret(data, at):
            return found
    return ANONYMOUS


def _best(names: Iterable[str], at: Repository) -> str | None:
    """The entry that names the repository most closely: the longest path, then a host without wildcards."""
    wanted = at.path.split("/")
    best: tuple[tuple[int, bool], str] | None = None
    for name in names:
        host, _, path = re.sub(r"^https?://", "", name).partition("/")
        parts = [] if path.strip("/") in ("", "v1", "v2") else path.strip("/").split("/")
        if parts != wanted[: len(parts)] or not _same_host(host, at.host):
            continue
        rank = (len(parts), "*" not in host)
        if best is None or rank > best[0]:
            best = (rank, name)
    return best[1] if best else None


def _same_host(pattern: str, host: str) -> bool:
    if pattern in _HUB_NAMES:
        return host in _HUB_NAMES
    one, other = pattern.lower().split("."), host.lower().split(".")
    if len(one) != len(other):
        return False
    return all(_fits(part, actual) for part, actual in zip(one, other, strict=True))


def _fits(pattern: str, part: str) -> bool:
    return re.fullmatch(".*".join(re.escape(piece) for piece in pattern.split("*")), part) is not None


def _entry(entry: Mapping[str, Any], name: str) -> Credentials:
    values = {key: str(entry.get(key) or "") for key in ("username", "password", "identitytoken", "registrytoken")}
    if entry.get("auth") and not values["username"]:
        try:
            user, colon, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise CredentialsError(f"'auth' of '{name}' in '{DOCKER_CONFIG}' is not base64 of user:password") from error
        if not colon:
            raise CredentialsError(f"'auth' of '{name}' in '{DOCKER_CONFIG}' is not base64 of user:password")
        values["username"], values["password"] = user, password
    return Credentials(values["username"], values["password"], values["identitytoken"], values["registrytoken"])


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data[key].decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CredentialsError(f"the key '{key}' is not UTF-8 text") from error
