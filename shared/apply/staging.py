"""All objects of an owner: desired → live, stage by stage.

    manifests → items → (trusted | audited | applied) → change set

What always holds: nothing is sent while a manifest has a field of the wrong type; within a stage objects are applied
side by side, and all that fail are named; a stage begins when the one before it can be used. An object that the ledger
knows to be as we left it costs no call.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from shared import health
from shared.api.meta import Manifest
from shared.apply import auditing, errors, policies
from shared.apply.applying import Applier, Item
from shared.apply.auditing import difference
from shared.apply.changes import Change, ChangeSet
from shared.apply.errors import ApplyError, ObjectError
from shared.apply.identity import ObjectId, Owner
from shared.apply.ledger import Ledger
from shared.apply.order import Stage, sort_key, stage_of
from shared.apply.prepare import digest, digest_of, prepared
from shared.apply.waiting import Target, settle
from shared.kube.client import Client
from shared.kube.errors import ApiError, NoMatch


async def staged(
    client: Client,
    manifests: Sequence[Manifest],
    *,
    owner: Owner,
    ledger: Ledger,
    force: bool = False,
    custom_stage_kinds: Collection[tuple[str, str]] = (),
    audit: bool = False,
    concurrency: int = 16,
    seconds: float = 60.0,
) -> ChangeSet:
    """Makes the cluster have `manifests`, with the owner's labels, and says what that took, object by object.

    `client` is the identity that writes; `force` recreates objects whose immutable fields have changed;
    `custom_stage_kinds` are (group, kind) that go before the rest; `audit` looks at every object even where the ledger
    believes that nothing has changed; `seconds` is the time for each stage to become usable. ApplyError names every
    object of the first stage in which some failed.
    """
    whole = digest(manifests)
    if not audit and ledger.in_sync(owner, whole):
        return _as_it_was(manifests, owner, ledger, custom_stage_kinds)
    items = prepare(manifests, owner, custom_stage_kinds)
    ledger.begun(owner)
    stages: dict[Stage, list[Item]] = defaultdict(list)
    for item in items:
        stages[stage_of(item.id, custom_stage_kinds)].append(item)
    run = _Run(client, owner, ledger, Applier(client, ledger, owner, force=force, seconds=seconds), audit, concurrency)
    done = ChangeSet()
    for stage in sorted(stages):
        async with ledger.following({item.kind for item in stages[stage]}):
            changes, failed = await run.apply(stages[stage])
            done |= changes
            unknown = {error.id for error in failed if isinstance(error.cause, NoMatch)}
            ledger.parked.park(owner, {item.api_version for item in stages[stage] if item.id in unknown})
            if failed:
                raise ApplyError(failed, done)
            if stage is not Stage.REST and (failed := await run.unusable(changes, seconds)):
                raise ApplyError(failed, done)
    ledger.completed(owner, whole)
    return done


def prepare(
    manifests: Iterable[Manifest], owner: Owner, custom_stage_kinds: Collection[tuple[str, str]] = ()
) -> list[Item]:
    """What will be sent, in order. ApplyError when a manifest can't be."""
    items: dict[ObjectId, Item] = {}
    failed: list[ObjectError] = []
    defined = {kind for manifest in manifests if (kind := _defined_kind(manifest)) is not None}
    for manifest in manifests:
        ready, problems = prepared(manifest, owner)
        id = ObjectId.of(manifest)
        if problems:
            failed.append(errors.of_problems(manifest, problems))
        elif id in items:
            failed.append(errors.of_problems(manifest, ["it is there twice: keep one of them"]))
        else:
            items[id] = Item(
                id,
                str(ready["apiVersion"]),
                ready,
                digest_of(ready),
                policies.of(ready, owner.group),
                defined_here=(id.group, id.kind) in defined,
            )
    if failed:
        raise ApplyError(failed, ChangeSet())
    return sorted(items.values(), key=lambda item: sort_key(item.id, custom_stage_kinds))


async def audit(
    client: Client, manifests: Sequence[Manifest], *, owner: Owner, ledger: Ledger
) -> Mapping[ObjectId, str]:
    """How the live objects differ from `manifests`, object by object: not at all (empty), `missing`, or the first path
    that differs. Asks the server with one call a kind, and changes nothing."""
    return await auditing.audit(client, prepare(manifests, owner), owner=owner, ledger=ledger)


class _Run:
    """One pass over the stages."""

    def __init__(
        self, client: Client, owner: Owner, ledger: Ledger, applier: Applier, audit: bool, concurrency: int
    ) -> None:
        self._client, self._owner, self._ledger, self._applier = client, owner, ledger, applier
        self._audit = audit
        self._slots = asyncio.Semaphore(concurrency)

    async def apply(self, items: Sequence[Item]) -> tuple[ChangeSet, list[ObjectError]]:
        """What was done, and why the others failed; both in the order of `items`."""
        results: dict[ObjectId, Change | ObjectError] = {}
        unsure: list[Item] = []
        rest: list[Item] = []
        for item in items:
            if (change := self._trusted(item)) is not None:
                results[item.id] = change
            elif self._is_unsure(item):
                unsure.append(item)
            else:
                rest.append(item)
        if unsure:
            with self._ledger.writing_all(item.id for item in unsure):
                found = await self._look(unsure, results)
                await self._send(unsure, found, results)
        await self._send(rest, {}, results)
        ordered = [results[item.id] for item in items]
        changes = ChangeSet([result for result in ordered if isinstance(result, Change)])
        return changes, [result for result in ordered if isinstance(result, ObjectError)]

    def _trusted(self, item: Item) -> Change | None:
        """What to say of an object that is as we left it."""
        record = self._ledger.record(self._owner, item.id)
        if self._audit or record is None or record.digest != item.digest or not self._ledger.trusts(record):
            return None
        return item.change("skipped" if record.skipped else "unchanged")

    def _is_unsure(self, item: Item) -> bool:
        """Do we have to look, to know whether it needs to be applied?"""
        if self._audit or not self._ledger.follows(item.kind):
            return True
        record, live = self._ledger.record(self._owner, item.id), self._ledger.live(item.id, item.api_version)
        if record is not None:
            return record.skipped and live is None
        return live is not None and live.owner == (self._owner.namespace, self._owner.name)

    async def _look(
        self, items: Sequence[Item], results: dict[ObjectId, Change | ObjectError]
    ) -> dict[ObjectId, Manifest]:
        """Puts down which of these objects are in sync; returns those that exist and are not. What can't be read is
        applied: the server will say."""
        found = (await auditing.look(self._ledger.client, self._owner, items)).found
        for item in items:
            manifest = found.get(item.id)
            if manifest is None:
                continue
            live = self._ledger.reader.of_manifest(manifest)
            if not policies.may_apply(item.policy, live.policy, exists=True):
                continue
            if not difference(item, manifest, live, self._ledger.field_manager):
                self._ledger.note_applied(
                    self._owner,
                    item.id,
                    manifest,
                    digest=item.digest,
                    policy=item.policy,
                    api_version=item.api_version,
                )
                results[item.id] = item.change("unchanged", found.pop(item.id))
        return found

    async def _send(
        self, items: Sequence[Item], found: Mapping[ObjectId, Manifest], results: dict[ObjectId, Change | ObjectError]
    ) -> None:
        async with asyncio.TaskGroup() as group:
            for item in items:
                if item.id not in results:
                    group.create_task(self._one(item, found.get(item.id), results))

    async def _one(self, item: Item, found: Manifest | None, results: dict[ObjectId, Change | ObjectError]) -> None:
        async with self._slots:
            live = self._ledger.live(item.id, item.api_version)
            if found is not None:
                live = self._ledger.reader.of_manifest(found)
            try:
                results[item.id] = await self._applier.apply(item, live)
            except ApiError as error:
                results[item.id] = errors.of_apply(item.manifest, error)

    async def unusable(self, changes: ChangeSet, seconds: float) -> list[ObjectError]:
        """Waits until the objects of a stage can be used; those that can't."""
        targets = [
            Target(change.id, change.id.api_version(change.version), change.live)
            for change in changes
            if change.live is not None
        ]
        unhealthy = await settle(
            self._ledger.client, targets, owner=self._owner, ledger=self._ledger, assess=health.assess, seconds=seconds
        )
        for change in changes.made:
            self._forget_resources(change)
        return [errors.of_unusable(id, state.status, state.message) for id, state in unhealthy.items()]

    def _forget_resources(self, change: Change) -> None:
        """What the server served before a definition changed says nothing any more."""
        if change.desired is not None and (kind := _defined_kind(change.desired)) is not None:
            for version in change.desired["spec"].get("versions") or ():
                self._client.discovery.invalidate(f"{kind[0]}/{version.get('name')}")


def _as_it_was(
    manifests: Iterable[Manifest], owner: Owner, ledger: Ledger, custom_stage_kinds: Collection[tuple[str, str]]
) -> ChangeSet:
    changes = []
    for manifest in manifests:
        id = ObjectId.of(manifest)
        record = ledger.record(owner, id)
        skipped = record is not None and record.skipped
        version = str(manifest.get("apiVersion") or "").rpartition("/")[2]
        changes.append(Change(id, version, "skipped" if skipped else "unchanged", desired=manifest))
    return ChangeSet(sorted(changes, key=lambda change: sort_key(change.id, custom_stage_kinds)))


def _defined_kind(manifest: Manifest) -> tuple[str, str] | None:
    """Group and kind that a CustomResourceDefinition defines."""
    if manifest.get("kind") != "CustomResourceDefinition":
        return None
    spec = manifest.get("spec") or {}
    return str(spec.get("group") or ""), str((spec.get("names") or {}).get("kind") or "")
