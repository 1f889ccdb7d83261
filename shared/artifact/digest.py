"""Digests: `<algorithm>:<hex>` of an artifact's bytes.

Bytes pass through a hash once, as they are read or written. Two digests are compared in constant time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from blake3 import blake3

ALGORITHMS = ("sha1", "sha256", "sha384", "sha512", "blake3")
DEFAULT = "sha256"
_FORM = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[.+_-][a-z0-9]+)*):(?P<hex>[0-9a-f]+)")
_BLOCK = 1 << 18


class DigestError(ValueError):
    """A digest, or the name of an algorithm, that can't be used."""


class Hash(Protocol):
    def update(self, data: bytes, /) -> Any: ...
    def hexdigest(self) -> str: ...


_MAKERS: dict[str, Callable[[], Hash]] = {
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
    "blake3": blake3,
}


def hasher(algorithm: str) -> Hash:
    """An empty hash of `algorithm`. DigestError when it is unknown."""
    if algorithm not in _MAKERS:
        raise DigestError(f"unknown digest algorithm '{algorithm}': use one of {', '.join(ALGORITHMS)}")
    return _MAKERS[algorithm]()


def parse(text: str) -> tuple[str, str]:
    """Algorithm and hexadecimal value. DigestError when `text` is no digest or its algorithm is unknown."""
    found = _FORM.fullmatch(text)
    if not found:
        raise DigestError(f"'{text[:200]}' is not a digest such as sha256:<hex>")
    if found["algorithm"] not in _MAKERS:
        raise DigestError(f"digest '{text[:200]}' has an unknown algorithm: use one of {', '.join(ALGORITHMS)}")
    return found["algorithm"], found["hex"]


def of_bytes(data: bytes, algorithm: str = DEFAULT) -> str:
    made = hasher(algorithm)
    made.update(data)
    return f"{algorithm}:{made.hexdigest()}"


def of_file(file: Path | BinaryIO, algorithm: str = DEFAULT) -> str:
    """Digest of a file's bytes (from its position on, when it is open). Reads in blocks."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return of_file(opened, algorithm)
    made = hasher(algorithm)
    while block := file.read(_BLOCK):
        made.update(block)
    return f"{algorithm}:{made.hexdigest()}"


def equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
