"""One object: desired → live, with as few calls as its state allows.

    manifest, what is known of the live object → apply → change

An object that isn't known to exist is applied in a way that only creates it, so what somebody else put there is looked
at before it is touched. One that exists is applied at once; fields of managers before us are taken over first.
"""

from __future__ import annotations

import asyncio

from shared.api.meta import Manifest
from shared.apply import absence, errors, fields, ignoring, policies, takeover
from shared.apply.changes import Action, Change
from shared.apply.identity import Owner
from shared.apply.items import Item
from shared.apply.judgement import action_of
from shared.apply.ledger import Ledger
from shared.apply.live import Live
from shared.apply.policies import Policy
from shared.kube.client import Applied, Client
from shared.kube.errors import ApiError, Conflict, NoMatch, NotFound

TRIES = 5
"""How often a write is tried that meets somebody else's write."""
ABSENT = "1"
"""A resourceVersion that no object has any more: with it an apply creates, and is a Conflict for what exists."""
DEFINED_WITHIN = 8.0
"""Seconds after its definition was accepted within which a kind must be served."""


class Applier:
    """Applies objects for one owner under one identity. `force` recreates what can't be changed; `seconds` is the time
    for an object to be gone before it is recreated."""

    def __init__(self, client: Client, ledger: Ledger, owner: Owner, *, force: bool, seconds: float) -> None:
        self._client, self._ledger, self._owner = client, ledger, owner
        self._force, self._seconds = force, seconds

    async def apply(self, item: Item, live: Live | None) -> Change:
        """`live` is what is known of the object, None when it isn't known to exist. ApiError when it
        can't be applied."""
        with self._ledger.writing(item.id):
            return await self._apply(item, live)

    async def _apply(self, item: Item, live: Live | None) -> Change:
        if self._is_excluded(item, live):
            return self._skip(item)
        if live is None:
            created = await self._create(item)
            if created is not None:
                return self._done(item, created, None)
            found = await self._find(item)
            live = None if found is None else self._ledger.reader.of_manifest(found)
            if self._is_excluded(item, live):
                return self._skip(item)
        if live is not None and self._is_takeover_due(item, live):
            await self._patch(item, takeover.patch)
        applied = await self._send(item, live)
        after = self._ledger.reader.of_manifest(applied.manifest)
        if not applied.created and self._is_takeover_due(item, after):  # since we last looked
            await self._patch(item, takeover.patch)
            applied = await self._send(item, live)
        return self._done(item, applied, live)

    @staticmethod
    def _is_excluded(item: Item, live: Live | None) -> bool:
        return not policies.may_apply(item.policy, live.policy if live else Policy.NONE, exists=live is not None)

    @staticmethod
    def _is_takeover_due(item: Item, live: Live) -> bool:
        return live.takeover_due and policies.may_take_over(item.policy, live.policy)

    def _skip(self, item: Item) -> Change:
        self._ledger.note_skipped(self._owner, item)
        return item.change("skipped")

    def _done(self, item: Item, applied: Applied, before: Live | None) -> Change:
        record = self._ledger.record(self._owner, item.id)
        after = self._ledger.reader.of_manifest(applied.manifest)
        if applied.created:
            action: Action = "created"
        else:
            action = "configured" if before is None else action_of(before, after, record, item.digest)
        self._ledger.note_applied(self._owner, item, after)
        # The larger part of the answer, which whoever waits for the object's health would keep.
        applied.manifest["metadata"].pop("managedFields", None)
        return item.change(action, applied.manifest)

    # Calls

    async def _create(self, item: Item) -> Applied | None:
        """Applies it if nothing of that name exists; None when something may."""
        metadata = {**item.manifest["metadata"], "resourceVersion": ABSENT}
        try:
            return await self._served(item, {**item.manifest, "metadata": metadata})
        except Conflict:
            return None

    async def _send(self, item: Item, live: Live | None) -> Applied:
        """Applies it, and clears away what the server's answer says is in the way."""
        healed: set[str] = set()
        for attempt in range(1, TRIES + 1):
            try:
                return await self._served(item, await self._payload(item))
            except Conflict as error:
                if errors.is_immutable(error) and self._may_recreate(item, live):
                    return await self._recreate(item)
                if attempt == TRIES:
                    raise
                await asyncio.sleep(0.05 * attempt)
            except ApiError as error:
                if errors.is_immutable(error) and self._may_recreate(item, live):
                    return await self._recreate(item)
                if not await self._heal(item, error, healed):
                    raise
        raise AssertionError("unreachable")

    async def _payload(self, item: Item) -> Manifest:
        """What to send for an object that is there: fields that others may own are left as they are. Such a manifest
        is a Conflict once somebody has written since."""
        found = await self._find(item) if item.ignored else None
        if found is None:
            return item.manifest
        entries = fields.entries_of(found)
        sent = ignoring.yielded(item.manifest, found, item.ignored, entries, self._ledger.field_manager)
        version = found["metadata"].get("resourceVersion")
        return {**sent, "metadata": {**sent["metadata"], "resourceVersion": version}}

    async def _served(self, item: Item, manifest: Manifest) -> Applied:
        """One apply; of a kind that was defined a moment ago, as soon as it is served."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + DEFINED_WITHIN, 0.05
        while True:
            try:
                return await self._client.apply_seen(manifest, field_manager=self._ledger.field_manager)
            except NotFound as error:
                if not item.defined_here or loop.time() > end:
                    raise
                if isinstance(error, NoMatch):
                    self._client.discovery.invalidate(item.api_version)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def _heal(self, item: Item, error: ApiError, healed: set[str]) -> bool:
        """Removes a cause that lies in who owns which fields; False when there is none, or it was removed before."""
        if errors.is_duplicate(error) and "items" not in healed:
            healed.add("items")
            return await self._patch(item, lambda live, ours: takeover.patch_conflicting(live, item.manifest, ours))
        if errors.is_stale_version(error) and "version" not in healed:
            healed.add("version")
            return await self._patch(item, lambda live, _: takeover.patch_versions(live, item.api_version))
        return False

    async def _patch(self, item: Item, make: takeover.Maker) -> bool:
        """Rewrites managedFields; False when there was nothing to rewrite."""
        for attempt in range(1, TRIES + 1):
            live = await self._find(item)
            patch = make(live, self._ledger.predecessors) if live is not None else []
            if not patch:
                return False
            try:
                await self._client.patch(
                    item.api_version,
                    item.id.kind,
                    item.id.name,
                    item.id.namespace,
                    patch,
                    type="json",
                    field_manager=self._ledger.field_manager,
                )
                return True
            except Conflict:
                if attempt == TRIES:
                    raise
        return False

    async def _find(self, item: Item) -> Manifest | None:
        try:
            return await self._client.get(item.api_version, item.id.kind, item.id.name, item.id.namespace)
        except NotFound:
            return None

    def _may_recreate(self, item: Item, live: Live | None) -> bool:
        return self._force or policies.may_recreate(item.policy, live.policy if live else Policy.NONE)

    async def _recreate(self, item: Item) -> Applied:
        """Deletes the object, waits until it is gone, and creates it."""
        found = await self._find(item)
        if found is not None:
            uid = found["metadata"].get("uid") or ""
            left = await absence.delete(self._client, item.api_version, item.id, uid=uid)
            if left and not await absence.until_gone(
                self._client, self._ledger, item.api_version, item.id, uid, self._seconds
            ):
                raise Conflict(
                    f"it must be recreated, but was still there {self._seconds:g} s after its deletion:"
                    " look at its finalizers"
                )
        return await self._served(item, item.manifest)
