"""What every object store can do, and how its failures are told."""

from __future__ import annotations

from typing import BinaryIO, Protocol


class BucketError(Exception):
    """The store refused or failed; the message says what and names the bucket."""


class NoSuchObject(BucketError):
    """The object is gone since it was listed."""


class ObjectStore(Protocol):
    """One bucket."""

    async def objects(self, prefix: str) -> dict[str, str]:
        """Key → ETag of all objects whose key begins with `prefix`."""
        ...

    async def fetch(self, key: str, out: BinaryIO) -> str:
        """Writes an object's bytes; its ETag. NoSuchObject when it is gone."""
        ...
