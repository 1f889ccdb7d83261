"""What every object store can do, and how its failures are told."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol

from shared.http import Answer, Http, HttpError

LIST_LIMIT = 16 << 20
"""Bytes of one page of a listing."""
MAX_OBJECTS = 200_000
MAX_BYTES = 2 << 30


class BucketError(Exception):
    """The store refused or failed; the message says what and names the bucket."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the store asks to be left alone for."""


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


class Downloads:
    """Objects' bytes, of which `max_bytes` together are accepted."""

    def __init__(self, connection: Http, max_bytes: int) -> None:
        self._http, self._left = connection, max_bytes

    async def fetch(
        self, key: str, url: str, headers: Mapping[str, str], out: BinaryIO, why: Callable[[Answer], str]
    ) -> Answer:
        """Writes an object's body; the answer. NoSuchObject when it is gone; `why` puts another refusal into words."""
        counted = _Counted(out)
        try:
            answer = await self._http.download(url, counted, headers=headers, limit=max(self._left, 0))
        except HttpError as error:
            raise BucketError(f"failed to get object '{key}': {error}") from error
        self._left -= counted.size
        if answer.status == 404:
            raise NoSuchObject(f"object '{key}' is gone")
        if not answer.is_good:
            raise BucketError(f"failed to get object '{key}': {why(answer)}", retry_after=answer.retry_after)
        return answer


class _Counted:
    """A file for writing only that counts."""

    def __init__(self, out: BinaryIO) -> None:
        self._out, self.size = out, 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        return self._out.write(data)


def require_few(bucket: str, objects: Mapping[str, str]) -> None:
    """BucketError when there are more objects than are accepted."""
    if len(objects) > MAX_OBJECTS:
        raise BucketError(f"bucket '{bucket}' has more than {MAX_OBJECTS} objects: set spec.prefix")


def document(body: bytes) -> ET.Element:
    """An XML document without namespaces. Those with a DTD, the way to entities, are refused."""
    if b"<!DOCTYPE" in body[:4096].upper():
        raise BucketError("the store's answer is no listing")
    try:
        root = ET.fromstring(body)  # noqa: S314 (no DTD, so no entities; the size is bounded)
    except ET.ParseError as error:
        raise BucketError("the store's answer is no XML: is the endpoint one of this kind of store?") from error
    for element in root.iter():
        element.tag = re.sub(r"^\{[^}]*\}", "", element.tag)
    return root


def reason(answer: Answer) -> str:
    """Status and what the store says, where that is XML with Code and Message."""
    text = f"{answer.status} {answer.reason}".strip()
    try:
        body = document(answer.body)
    except BucketError:
        return text
    words = [body.findtext(name) for name in ("Code", "Message")]
    told = ": ".join(word.partition("\n")[0] for word in words if word)[:300]
    return f"{text} ({told})" if told else text
