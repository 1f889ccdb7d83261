"""Addresses: where an artifact's bytes are below the root, and by which path they are asked for.

owner + file → path → URL ;  path of a request → file
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from shared.api.meta import Artifact


@dataclass(frozen=True)
class Owner:
    """The object that an artifact belongs to; its directory is `<kind>/<namespace>/<name>`."""

    kind: str
    namespace: str
    name: str

    @property
    def directory(self) -> str:
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


def advertised(adv_addr: str, addr: str) -> str:
    """The host and port to put into artifact addresses: `adv_addr`, or what can be made of the bind address."""
    if adv_addr:
        return adv_addr
    host, _, port = addr.rpartition(":")
    if not host:
        host = "localhost"
    elif host == "0.0.0.0":  # noqa: S104 (compared, not bound)
        host = os.environ.get("HOSTNAME") or socket.gethostname()
    return f"{host}:{port}"


def pinned_file(path: str) -> str:
    """The file below the root that a request path is for: `<digest>/<path>` is stored as `<path>@<digest>`."""
    first, _, rest = path.partition("/")
    return pinned_name(rest, first) if ":" in first and rest else path


def pinned_name(path: str, value: str) -> str:
    """The file of bytes that have an address of their own, because `path` was given to others."""
    return f"{path}@{value}"


def is_pinned(artifact: Artifact) -> bool:
    """Has the artifact such an address?"""
    return bool(artifact.digest) and artifact.url.endswith(f"/{artifact.digest}/{artifact.path}")


def is_plain(part: str) -> bool:
    """Is it one name, which leads nowhere else?"""
    return bool(part) and "/" not in part and "\0" not in part and part not in (".", "..")
