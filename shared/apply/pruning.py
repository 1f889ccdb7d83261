"""Stale objects → gone, or meant to stay.

Only what carries our owner's labels and doesn't ask to be spared is deleted, and only in the state in which that was
seen. An object that was deleted and is still there (it has finalizers) stays recorded; its end wakes the owner.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import groupby

from shared.apply import absence, errors, policies
from shared.apply.absence import Propagation
from shared.apply.changes import Change, ChangeSet
from shared.apply.errors import ObjectError, PruneError
from shared.apply.identity import ObjectId, Owner
from shared.apply.inventory import Inventory
from shared.apply.ledger import Ledger
from shared.apply.live import Live
from shared.apply.order import stage_of
from shared.kube.client import Client
from shared.kube.errors import ApiError, Conflict, NotFound

TRIES = 5
"""How often a deletion is tried that meets somebody else's write."""


async def prune(
    client: Client,
    stale: Inventory,
    *,
    owner: Owner,
    ledger: Ledger,
    enabled: bool = True,
    propagation: Propagation = "Background",
    concurrency: int = 16,
) -> ChangeSet:
    """Deletes `stale`; `inventory - changes` is what remains of it. Not `enabled`: all of it is meant to stay.

    Objects of later stages go first. PruneError names every object that could not be deleted.
    """
    ids = list(stale)
    if not enabled:
        ledger.forget(owner, ids)
        return ChangeSet([Change(id, stale.entries[id], "skipped") for id in ids])
    pruner = _Pruner(client, owner, ledger, propagation)
    slots = asyncio.Semaphore(concurrency)
    results: dict[ObjectId, Change | ObjectError] = {}

    async def one(id: ObjectId) -> None:
        async with slots:
            try:
                with ledger.writing(id):
                    results[id] = await pruner.prune(id, stale.entries[id])
            except ApiError as error:
                results[id] = errors.of_delete(id, error)

    ids.reverse()
    for _, members in groupby(ids, key=lambda id: stage_of(id, stale.custom_stage_kinds)):
        async with asyncio.TaskGroup() as group:
            for id in members:
                group.create_task(one(id))
    changes = ChangeSet([result for id in ids if isinstance(result := results[id], Change)])
    changes = await pruner.await_ends(changes)
    failed = [result for id in ids if isinstance(result := results[id], ObjectError)]
    if failed:
        raise PruneError(failed, changes)
    return changes


def doomed(stale: Inventory, *, owner: Owner, ledger: Ledger) -> list[ObjectId]:
    """Those of `stale` that a prune would delete, as far as that is known without asking: not those that are gone, on
    their way out, another owner's, or to be spared."""
    return [id for id in stale if _is_doomed(id, stale.api_version(id), owner, ledger)]


def _is_doomed(id: ObjectId, api_version: str, owner: Owner, ledger: Ledger) -> bool:
    record = ledger.record(owner, id)
    if record is not None and record.leaving:
        return False
    if not ledger.follows((api_version, id.kind)):
        return True
    live = ledger.live(id, api_version)
    return live is not None and not live.deleting and _may_delete(live, owner)


def _may_delete(live: Live, owner: Owner) -> bool:
    return live.owner == (owner.namespace, owner.name) and policies.may_prune(live.policy)


class _Pruner:
    def __init__(self, client: Client, owner: Owner, ledger: Ledger, propagation: Propagation) -> None:
        self._client, self._owner, self._ledger, self._propagation = client, owner, ledger, propagation

    async def prune(self, id: ObjectId, version: str) -> Change:
        change = await self._prune(id, version)
        if change.settled:
            self._ledger.forget(self._owner, [id])
        else:
            self._ledger.note_leaving(self._owner, id, id.api_version(version), change.uid)
        return change

    async def _prune(self, id: ObjectId, version: str) -> Change:
        api_version = id.api_version(version)
        live = self._ledger.live(id, api_version) if self._ledger.follows((api_version, id.kind)) else None
        record = self._ledger.record(self._owner, id)
        before = record is not None and record.leaving
        if record is not None and record.leaving and self._ledger.follows((api_version, id.kind)):
            return Change(id, version, "terminating", gone=bool(record.drift), uid=record.uid)
        for attempt in range(1, TRIES + 1):
            if live is None:
                live = await self._find(api_version, id)
            if live is None:
                return Change(id, version, "terminating" if before else "deleted")
            if not _may_delete(live, self._owner):
                return Change(id, version, "skipped")
            if live.deleting:
                return Change(id, version, "terminating", gone=False, uid=live.uid)
            try:
                left = await absence.delete(
                    self._client,
                    api_version,
                    id,
                    uid=live.uid,
                    resource_version=str(live.version) if attempt < TRIES else None,
                    propagation=self._propagation,
                )
            except Conflict:
                if attempt == TRIES:
                    raise
                live = None  # Somebody wrote since we looked.
                continue
            return Change(id, version, "deleted", gone=not left, uid=live.uid)
        raise AssertionError("unreachable")

    async def _find(self, api_version: str, id: ObjectId) -> Live | None:
        try:
            found = await self._client.get(api_version, id.kind, id.name, id.namespace, metadata_only=True)
        except NotFound:
            return None
        return self._ledger.reader.of_manifest(found)

    async def await_ends(self, changes: ChangeSet) -> ChangeSet:
        """Sees to it that the end of what is still there wakes the owner."""
        kinds = {(change.id.api_version(change.version), change.id.kind) for change in changes if not change.gone}
        if not kinds:
            return changes
        async with self._ledger.following(kinds):
            return ChangeSet([change if change.gone else self._look_again(change) for change in changes])

    def _look_again(self, change: Change) -> Change:
        """It may have gone before anything watched it."""
        api_version = change.id.api_version(change.version)
        record = self._ledger.record(self._owner, change.id)
        is_seen_gone = record is not None and bool(record.drift)
        is_absent = self._ledger.follows((api_version, change.id.kind)) and not self._ledger.live(
            change.id, api_version
        )
        if not is_seen_gone and not is_absent:
            return change
        self._ledger.forget(self._owner, [change.id])
        return replace(change, gone=True)
