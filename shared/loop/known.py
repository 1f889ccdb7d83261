"""What is known of the custom resources that are reconciled or referred to: taken in from watches, lists and answers.

change → decoded → roster → changed(kind, old, new)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from shared.api import codec
from shared.api.meta import Identity, Manifest, Named, ResourceKind
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound
from shared.loop.feed import Relisting
from shared.loop.roster import Roster, version

log = logging.getLogger(__name__)
R = TypeVar("R", bound=Named)


class _Head(msgspec.Struct):
    """What tells a state of an object from others."""

    kind: str
    metadata: Identity


_head = msgspec.json.Decoder(_Head)

LIST_AGAIN = 1.0
"""Seconds after which a list that failed is asked for again."""


class Known:
    """The newest states of all objects of some kinds. `changed` is called with each change: the kind, and the object
    as it was and as it is, None where there is none."""

    def __init__(self, client: Client, changed: Callable[[str, Any, Any], None]) -> None:
        self._client, self._changed = client, changed
        self._types: dict[str, type[Named]] = {}
        self._rosters: dict[str, Roster[Any]] = {}
        self._relistings: dict[str, Relisting] = {}
        self._looking: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._looking:
            task.cancel()
        await asyncio.gather(*self._looking, return_exceptions=True)

    @property
    def types(self) -> list[type[Named]]:
        """The kinds whose changes must be delivered."""
        return list(self._types.values())

    def add(self, type_: type[Named]) -> None:
        """Know objects of this kind, too."""
        kind = type_.resource.kind
        if kind not in self._types:
            self._types[kind] = type_
            self._rosters[kind] = Roster()
            self._relistings[kind] = Relisting(lambda names: self._verify(type_, names))

    def of(self, kind: str) -> Roster[Any]:
        """The objects of a kind."""
        return self._rosters[kind]

    def deliver(self, resource: ResourceKind, type_: str | None, manifest: Manifest) -> None:
        """Take in a change of a custom resource. `type_` is the watch's; None for a listed object."""
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self._relistings[resource.kind].note(type_, namespace, name)
        if type_ == "DELETED":
            self.drop(resource.kind, namespace, name, metadata.get("uid"))
            return
        try:
            obj = codec.decode(self._types[resource.kind], manifest)
        except ValueError as error:
            log.error("%s %s/%s cannot be read: %s", resource.kind, namespace, name, error)
            return
        self.put(obj)

    def take(self, data: bytes) -> str:
        """Take in a state of a custom resource, as JSON; its resourceVersion then, and "" for one that must be
        delivered: what can't be read, and an object in whose place another is known, whose end has to be told before. A
        state that isn't new costs hardly anything."""
        try:
            head = _head.decode(data)
        except msgspec.DecodeError:
            return ""
        kind, meta = head.kind, head.metadata
        if kind not in self._rosters or not meta.resource_version.isdecimal():
            return ""
        known = self._rosters[kind].get(meta.namespace, meta.name)
        if known is not None and known.metadata.uid != meta.uid:
            return ""
        if known is None or int(meta.resource_version) > version(known):
            try:
                obj = codec.decode_json(self._types[kind], data)
            except ValueError:
                return ""
            self.put(obj)
        self._relistings[kind].note("MODIFIED", meta.namespace, meta.name)
        return meta.resource_version

    def put(self, obj: Any) -> None:
        """Take in a state of an object, unless a newer one is known."""
        old = self._rosters[obj.resource.kind].put(obj)
        if old is not obj:
            self._changed(obj.resource.kind, old, obj)

    def drop(self, kind: str, namespace: str, name: str, uid: str | None) -> None:
        """Forget an object that is gone."""
        old = self._rosters[kind].drop(namespace, name, uid)
        if old is not None:
            self._changed(kind, old, None)

    async def learn(self, resource: ResourceKind, namespace: str | None, label_selector: str) -> None:
        """Read all objects of a kind, as often as it takes."""
        while True:
            try:
                found = await self._client.list(
                    resource.api_version, resource.kind, namespace, label_selector=label_selector
                )
            except ApiError as error:
                log.error("could not list %s, trying again: %s", resource.plural, error)
                await asyncio.sleep(LIST_AGAIN)
                continue
            for manifest in found:
                self.deliver(resource, "MODIFIED", manifest)
            return

    def _verify(self, type_: type[Named], names: list[tuple[str, str]]) -> None:
        """Look whether objects that a relisting did not repeat are still there."""
        task = asyncio.create_task(self._look(type_.resource, names))
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _look(self, resource: ResourceKind, names: list[tuple[str, str]]) -> None:
        for namespace, name in names:
            try:
                manifest = await self._client.get(resource.api_version, resource.kind, name, namespace)
                self.deliver(resource, "MODIFIED", manifest)
            except NotFound:
                self.deliver(resource, "DELETED", {"metadata": {"namespace": namespace, "name": name}})
            except ApiError as error:
                log.error("could not look whether %s %s/%s is still there: %s", resource.kind, namespace, name, error)
