"""All objects of an owner: desired → live, stage by stage.

    manifests → items → (trusted | audited | left | applied | parked) → change set

What always holds: nothing is sent while a manifest has a field of the wrong type; within a stage objects are applied
side by side, and all that fail are named; a stage begins when the one before it can be used. An object that the ledger
knows to be as we left it costs no call. What drifts is corrected, or left and reported, as the object or its owner
says.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from shared import health
from shared.api.meta import Manifest
from shared.apply import auditing, drifting, errors, policies
from shared.apply.applying import Applier
from shared.apply.auditing import difference
from shared.apply.changes import Change, ChangeSet
from shared.apply.drifting import Drifted
from shared.apply.errors import ApplyError, ObjectError
from shared.apply.identity import ObjectId, Owner
from shared.apply.ignoring import Rules
from shared.apply.items import Item, defined_kind, prepare
from shared.apply.judgement import Record
from shared.apply.ledger import Ledger
from shared.apply.order import Stage, sort_key, stage_of
from shared.apply.policies import Mode, Policy
from shared.apply.waiting import Target, settle
from shared.kube.client import Client
from shared.kube.errors import ApiError, NoMatch


@dataclass(frozen=True, slots=True)
class Drift:
    """What becomes of objects that are not as they were left. Those that are not there yet are applied in any case, and
    those whose manifest changed."""

    mode: Mode = "enabled"
    """Where the object itself says nothing: corrected, reported, or not looked for."""
    rules: Rules = field(default_factory=Rules)
    """The fields that others may own."""
    was_applied: bool = False
    """The status says that exactly these manifests were the last that were applied."""
    reveal: bool = True
    """Reports may show values."""


async def staged(
    client: Client,
    manifests: Sequence[Manifest],
    *,
    owner: Owner,
    ledger: Ledger,
    digest: str,
    force: bool = False,
    custom_stage_kinds: Collection[tuple[str, str]] = (),
    drift: Drift | None = None,
    audit: bool = False,
    concurrency: int = 16,
    seconds: float = 60.0,
) -> ChangeSet:
    """Makes the cluster have `manifests`, with the owner's labels, and says what that took, object by object.

    `client` is the identity that writes; `digest` is equal for equal manifests; `force` recreates objects whose
    immutable fields have changed; `custom_stage_kinds` are (group, kind) that go before the rest; `audit` looks at
    every object even where the ledger believes that nothing has changed; `seconds` is the time for each stage to become
    usable, and for all of them to be applied. Objects of kinds that nobody has defined are parked: their definition
    wakes the owner. ApplyError names every object of the first stage in which some failed.
    """
    drift = drift or Drift()
    whole = f"{digest} {drift.mode} {drift.rules.digest}"
    if not audit and ledger.in_sync(owner, whole):
        return _as_it_was(manifests, owner, ledger, custom_stage_kinds)
    items = prepare(manifests, owner, custom_stage_kinds, rules=drift.rules, drift=drift.mode)
    ledger.begun(owner)
    stages: dict[Stage, list[Item]] = defaultdict(list)
    for item in items:
        stages[stage_of(item.id, custom_stage_kinds)].append(item)
    applier = Applier(client, ledger, owner, force=force, seconds=seconds)
    run = _Run(client, owner, ledger, applier, audit, concurrency, seconds)
    done = ChangeSet()
    for stage in sorted(stages):
        async with ledger.following({item.kind for item in stages[stage]}):
            changes, failed = await run.apply(stages[stage], drift)
            done |= changes
            ledger.parked.park(owner, {change.api_version for change in done.of("parked")})
            if failed:
                raise ApplyError(failed, done)
            if stage is not Stage.REST and (failed := await run.unusable(changes, seconds)):
                raise ApplyError(failed, done)
    if not done.of("parked"):
        ledger.completed(owner, whole)
    return done


async def audit(
    client: Client, manifests: Sequence[Manifest], *, owner: Owner, ledger: Ledger
) -> Mapping[ObjectId, str]:
    """How the live objects differ from `manifests`, object by object: not at all (empty), `missing`, or the first path
    that differs. Asks the server with one call a kind, and changes nothing."""
    return await auditing.audit(client, prepare(manifests, owner), owner=owner, ledger=ledger)


class _Run:
    """One pass over the stages."""

    def __init__(
        self,
        client: Client,
        owner: Owner,
        ledger: Ledger,
        applier: Applier,
        audit: bool,
        concurrency: int,
        seconds: float,
    ) -> None:
        self._client, self._owner, self._ledger, self._applier = client, owner, ledger, applier
        self._audit = audit
        self._slots = asyncio.Semaphore(concurrency)
        self._seconds, self._deadline = seconds, time.monotonic() + seconds

    async def apply(self, items: Sequence[Item], drift: Drift) -> tuple[ChangeSet, list[ObjectError]]:
        """What was done, and why the others failed; both in the order of `items`. What isn't done in time failed."""
        results: dict[ObjectId, Change | ObjectError] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(self._deadline - time.monotonic()):
                await self._apply(items, drift, results)
        ordered = [results.get(item.id) or errors.of_timeout(item.id, self._seconds) for item in items]
        changes = ChangeSet([result for result in ordered if isinstance(result, Change)])
        return changes, [result for result in ordered if isinstance(result, ObjectError)]

    async def _apply(self, items: Sequence[Item], drift: Drift, results: dict[ObjectId, Change | ObjectError]) -> None:
        unsure: list[Item] = []
        rest: list[Item] = []
        for item in items:
            if (change := self._trusted(item)) is not None:
                results[item.id] = change
            elif self._is_unwatched(item, drift):
                self._ledger.note_unwatched(self._owner, item)
                results[item.id] = item.change("unchanged")
            elif self._is_unsure(item):
                unsure.append(item)
            else:
                rest.append(item)
        if unsure:
            with self._ledger.writing_all(item.id for item in unsure):
                found = await self._look(unsure, results, drift)
                await self._send(unsure, found, results)
        await self._send(rest, {}, results)

    def _trusted(self, item: Item) -> Change | None:
        """What to say of an object that is as we left it."""
        record = self._ledger.record(self._owner, item.id)
        if self._audit or record is None or not record.is_of(item) or not self._ledger.trusts(record):
            return None
        return _untouched(item.change, record)

    def _is_unwatched(self, item: Item, drift: Drift) -> bool:
        """Was it applied before, and does nobody want to know what became of it?"""
        mode = policies.drift_mode(item.policy, Policy.NONE, item.drift)
        return mode == "disabled" and self._is_known(item, drift) and not self._audit

    def _is_known(self, item: Item, drift: Drift) -> bool:
        """Was this very manifest applied before?"""
        record = self._ledger.record(self._owner, item.id)
        if record is None:
            return drift.was_applied
        return record.digest == item.digest and not record.skipped and not record.leaving

    def _is_unsure(self, item: Item) -> bool:
        """Do we have to look, to know whether it needs to be applied?"""
        if self._audit or not self._ledger.follows(item.kind):
            return True
        record, live = self._ledger.record(self._owner, item.id), self._ledger.live(item.id, item.api_version)
        mode = policies.drift_mode(item.policy, live.policy if live else Policy.NONE, item.drift)
        if mode != "enabled":
            return True
        if record is not None:
            if live is None:
                return record.skipped
            return bool(item.ignored) or (record.digest == item.digest and not record.is_of(item))
        return live is not None and live.owner == (self._owner.namespace, self._owner.name)

    async def _look(
        self, items: Sequence[Item], results: dict[ObjectId, Change | ObjectError], drift: Drift
    ) -> dict[ObjectId, Manifest]:
        """Puts down which of these objects are in sync, and which have drifted and stay so; returns those that exist
        and are to be applied. What can't be read is applied: the server will say."""
        listed = {} if self._audit else await self._ledger.listings.find(items)
        looked = await auditing.look(self._ledger.client, self._owner, [one for one in items if one.id not in listed])
        looked.found |= listed
        unseen = [item for item in items if item.id not in looked.found and self._stays(item, Policy.NONE, drift)]
        await auditing.look_at_each(self._ledger.client, unseen, looked)
        for item in items:
            manifest = looked.found.get(item.id)
            live = None if manifest is None else self._ledger.reader.of_manifest(manifest)
            theirs = Policy.NONE if live is None else live.policy
            if not policies.may_apply(item.policy, theirs, exists=live is not None):
                continue
            if live is not None and not difference(item, manifest or {}, live, self._ledger.field_manager):
                self._ledger.note_applied(self._owner, item, live)
                results[item.id] = item.change("unchanged", manifest)
            elif self._stays(item, theirs, drift):
                if (error := looked.unread.get(item.id)) is not None:
                    results[item.id] = errors.of_apply(item.manifest, error)
                else:
                    results[item.id] = self._leave(item, manifest, drift)
        return looked.found

    def _stays(self, item: Item, theirs: Policy, drift: Drift) -> bool:
        """Is drift of this object left as it is? `theirs` is what the live object asks for."""
        return policies.drift_mode(item.policy, theirs, item.drift) != "enabled" and self._is_known(item, drift)

    def _leave(self, item: Item, manifest: Manifest | None, drift: Drift) -> Change:
        """Puts down how an object drifted that is to stay so."""
        if manifest is None:
            drifted: Drifted | None = drifting.deleted(item.id, item.version)
        else:
            drifted = drifting.changed(
                item.manifest, item.manifest, manifest, item.ignored, self._ledger.predecessors, reveal=drift.reveal
            )
        self._ledger.note_left(self._owner, item, manifest, drifted)
        return item.change("unchanged" if drifted is None else "drifted", manifest, drift=drifted)

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
            except NoMatch:
                results[item.id] = item.change("parked")
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
        if change.live is not None and (kind := defined_kind(change.live)) is not None:
            for version in change.live["spec"].get("versions") or ():
                self._client.discovery.invalidate(f"{kind[0]}/{version.get('name')}")


def _as_it_was(
    manifests: Iterable[Manifest], owner: Owner, ledger: Ledger, custom_stage_kinds: Collection[tuple[str, str]]
) -> ChangeSet:
    changes = []
    for manifest in manifests:
        id, record = ObjectId.of(manifest), ledger.record(owner, ObjectId.of(manifest))
        version = str(manifest.get("apiVersion") or "").rpartition("/")[2]
        changes.append(_untouched(partial(Change, id, version, expires=policies.expires(manifest)), record))
    return ChangeSet(sorted(changes, key=lambda change: sort_key(change.id, custom_stage_kinds)))


def _untouched(change: Callable[..., Change], record: Record | None) -> Change:
    """What to say of an object that is as it was after the last pass."""
    if record is not None and record.skipped:
        return change(action="skipped")
    left = record.left if record is not None else None
    if left is not None and left.drifted is not None:
        return change(action="drifted", drift=left.drifted)
    return change(action="unchanged")
