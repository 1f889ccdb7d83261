"""Live objects of a whole kind, listed once for all who look at theirs: after a restart everybody does, and a call for
each object would take minutes.

    a kind of which most objects are unknown → its pages → objects as they were sent → each to whom asks for it, once

What is listed is believed only where the watch has the same version of the object, so it is never older than what the
watch knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec
import orjson

from shared.api.meta import Manifest
from shared.apply.following import GVK
from shared.apply.identity import ObjectId
from shared.apply.items import Item
from shared.apply.live import Live
from shared.kube.client import Client
from shared.kube.errors import ApiError
from shared.kube.pages import identity, pages

logger = logging.getLogger(__name__)

MANY = 50
"""From so many unknown objects of a kind on, all of it is listed."""
KEPT = 60.0
"""Seconds without a question after which the rest of a list is dropped."""


class Listings:
    """Of one cluster. `unknown` says how many live objects of a kind nobody has looked at, `key` under which namespace
    and name the watch has an object, and `live` what it knows of it."""

    def __init__(
        self,
        client: Client,
        selector: str,
        *,
        unknown: Callable[[GVK], int],
        key: Callable[[ObjectId, str], tuple[str, str]],
        live: Callable[[ObjectId, str], Live | None],
    ) -> None:
        self._client, self._selector = client, selector
        self._unknown, self._key, self._live = unknown, key, live
        self._listed: dict[GVK, asyncio.Task[_Objects]] = {}

    async def find(self, items: Iterable[Item]) -> dict[ObjectId, Manifest]:
        """Those of the objects that a list has as they are now; others have to be asked for."""
        found = {}
        for item in items:
            if self._live(item.id, item.api_version) is None or (listed := await self._of(item.kind)) is None:
                continue
            manifest = listed.take(self._key(item.id, item.api_version))
            live = self._live(item.id, item.api_version)
            version = None if live is None else str(live.version)
            if manifest is not None and manifest["metadata"]["resourceVersion"] == version:
                found[item.id] = {"apiVersion": item.api_version, "kind": item.id.kind, **manifest}
        return found

    async def _of(self, kind: GVK) -> _Objects | None:
        """What was listed of a kind; it is listed now where that is worth it. A kind is listed once, as long as it is
        in use."""
        if kind not in self._listed:
            if self._unknown(kind) < MANY:
                return None
            self._listed[kind] = asyncio.create_task(self._list(kind), name=f"list {kind[1]}")
        return await asyncio.shield(self._listed[kind])

    async def _list(self, kind: GVK) -> _Objects:
        objects = _Objects()
        try:
            async for page in pages(self._client, *kind, label_selector=self._selector):
                if page.begins:
                    objects.clear()
                objects.put(page.items)
        except ApiError as error:  # a page is missing: the objects on it are asked for one by one
            logger.info("could not list all of %s: %s", kind[1], error)
        return objects

    def forget(self, kind: GVK) -> None:
        """A kind isn't in use any more."""
        task = self._listed.pop(kind, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Stop listing, and drop everything."""
        for kind in list(self._listed):
            self.forget(kind)


class _Objects:
    """What a list said that nobody has asked for yet."""

    def __init__(self) -> None:
        self._raw: dict[tuple[str, str], bytes] = {}
        self._end: asyncio.TimerHandle | None = None

    def clear(self) -> None:
        self._raw.clear()

    def put(self, items: Iterable[msgspec.Raw]) -> None:
        for raw in items:
            known = identity(raw)
            self._raw[known.namespace, known.name] = bytes(raw)
        self._keep()

    def take(self, key: tuple[str, str]) -> Manifest | None:
        """An object, for the first who asks."""
        raw = self._raw.pop(key, b"")
        self._keep()
        return orjson.loads(raw) if raw else None

    def _keep(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = asyncio.get_running_loop().call_later(KEPT, self.clear) if self._raw else None
