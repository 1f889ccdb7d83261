"""A list as the server sends it, page by page, for those who keep less of an object than all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec

from shared.kube.client import PAGE, Client
from shared.kube.errors import Gone


class Page(NamedTuple):
    """Some objects of a list, as JSON without apiVersion and kind."""

    items: list[msgspec.Raw]
    resource_version: str
    begins: bool
    """Whether the list begins here. It does so again when the server's snapshot expires between two pages: then what
    came before is void."""


class Identity(msgspec.Struct, rename="camel"):
    """Which object it is, and of when."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


async def pages(
    client: Client, api_version: str, kind: str, namespace: str | None = None, *, limit: int = PAGE, **options: Any
) -> AsyncIterator[Page]:
    """All objects of a kind; `options` are the selectors of Client.list(). ApiError when a page can't be had."""
    token = ""
    while True:
        try:
            body, _ = await client.list_page_raw(
                api_version, kind, namespace, limit=limit, continue_token=token, **options
            )
        except Gone:
            if not token:
                raise
            token, limit = "", 0  # all in one, then
            continue
        found = _decode(body)
        yield Page(found.items or [], found.metadata.resource_version, begins=not token)
        token = found.metadata.continue_token
        if not token:
            return


def identity(raw: msgspec.Raw) -> Identity:
    """Of one object."""
    return _decode_identity(raw).metadata


class _ListMetadata(msgspec.Struct, rename={"resource_version": "resourceVersion", "continue_token": "continue"}):
    resource_version: str = ""
    continue_token: str = ""


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _Identified(msgspec.Struct):
    metadata: Identity


_decode = msgspec.json.Decoder(_List).decode
_decode_identity = msgspec.json.Decoder(_Identified).decode
