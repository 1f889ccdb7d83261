"""Waiting until live objects are healthy, told by watches.

    applied objects → states by shared/health → all current, or what isn't

An answer of the API that we already have is looked at first, and what was found healthy and hasn't changed since is
believed: when nothing is left, nothing is asked. Where watching isn't allowed, objects are looked at now and then.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import msgspec
import orjson

from shared import health
from shared.api.meta import Manifest, format_duration
from shared.apply import explaining
from shared.apply.changes import APPLIED, Change, ChangeSet
from shared.apply.errors import HealthCheckError
from shared.apply.identity import ObjectId, Owner
from shared.apply.ledger import Ledger
from shared.health import Health
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound, Unavailable
from shared.kube.watch import Cache
from shared.kube.watch import Change as Seen

LOOK_AGAIN, LOOK_AGAIN_WATCHED = 2.0, 15.0
"""Seconds between two looks at an object that can't be watched in full: without, and with, a watch of its metadata."""
SETTLING = 0.1
"""Seconds for changes in a row to become one look."""

Assess: TypeAlias = Callable[[Manifest], Health]
_Group: TypeAlias = tuple[str, str, str]


class Reference(Protocol):
    """An entry of a Kustomization's healthChecks."""

    @property
    def api_version(self) -> str | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...


class Checks(Protocol):
    """`health.expressions.HealthChecks`."""

    def assess(self, manifest: Manifest) -> Health: ...


@dataclass(frozen=True, slots=True)
class Target:
    """An object to become healthy."""

    id: ObjectId
    api_version: str
    live: Manifest | None = None
    """As the API answered a moment ago, if it did."""
    owned: bool = True
    """It carries owner labels, for we applied it."""
    expires: bool = False
    """It goes by itself when it has done its work."""


async def wait_healthy(
    client: Client,
    changes: ChangeSet,
    *,
    owner: Owner,
    ledger: Ledger,
    seconds: float,
    checks: Checks | None = None,
    listed: Sequence[Reference] | None = None,
    fail_fast: bool = True,
) -> None:
    """Waits until all applied objects are healthy, or those that are `listed`, whoever applied them; `seconds`
    at most.

    `client` is the identity that reads; what the server answered when it was applied is looked at once, and let go, for
    thousands may wait. HealthCheckError when the time is over, or as soon as an object has failed
    (unless `fail_fast`: as soon as some have and all others are healthy); it names each with its status and why.
    """
    began = time.monotonic()
    targets = await _targets(client, changes, owner, listed)
    changes.forget_answers()
    assess = health.assess if checks is None else checks.assess
    unhealthy = await settle(
        client, targets, owner=owner, ledger=ledger, assess=assess, seconds=seconds, fail_fast=fail_fast
    )
    if unhealthy:
        raise HealthCheckError(unhealthy, format_duration(round(time.monotonic() - began, 1)))


async def _targets(
    client: Client, changes: Iterable[Change], owner: Owner, listed: Sequence[Reference] | None
) -> list[Target]:
    if listed is not None:
        targets = [await _target(client, reference, changes, owner) for reference in listed]
    else:
        targets = [
            Target(change.id, change.api_version, change.live, expires=change.expires)
            for change in changes
            if change.action in APPLIED
        ]
    # An owner that applies itself is not ready before this is over.
    return [target for target in targets if not _is_owner(target.id, owner)]


async def _target(client: Client, reference: Reference, changes: Iterable[Change], owner: Owner) -> Target:
    api_version, namespace = reference.api_version or "", reference.namespace or ""
    if not namespace:
        with suppress(ApiError):
            resource = await client.discovery.find(api_version, reference.kind)
            namespace = owner.namespace if resource.namespaced else ""
    id = ObjectId(api_version.rpartition("/")[0], reference.kind, namespace, reference.name)
    found = next((change for change in changes if change.id == id and change.action != "skipped"), None)
    if found is None:
        return Target(id, api_version, owned=False)
    return Target(id, api_version, found.live, expires=found.expires)


def _is_owner(id: ObjectId, owner: Owner) -> bool:
    return (id.group, id.namespace, id.name) == (owner.group, owner.namespace, owner.name)


async def settle(
    client: Client,
    targets: list[Target],
    *,
    owner: Owner,
    ledger: Ledger,
    assess: Assess,
    seconds: float,
    fail_fast: bool = True,
) -> dict[ObjectId, Health]:
    """Waits; takes the targets, and returns what isn't healthy: the objects that have failed as soon as there is one
    (unless `fail_fast`: as soon as all others are current), or all that are not current when the time is over. Empty
    when all are."""
    wait = _Wait(client, owner, ledger, assess, fail_fast=fail_fast)
    pending = [replace(target, live=None) for target in targets if not wait.is_known_healthy(target)]
    targets.clear()
    if not pending:
        return {}
    try:
        wait.require_hope()
        await wait.follow(pending, seconds)
    except _Failed:
        unhealthy = {id: state for id, state in wait.states.items() if state.status == "Failed"}
    else:
        unhealthy = {id: state for id, state in wait.states.items() if state.status != "Current"}
    manifests = {id: orjson.loads(json) for id, json in wait.seen.items() if id in unhealthy}
    return await explaining.explained(client, unhealthy, manifests)


class _Failed(Exception):
    """Waiting is of no use any more."""


class _Wait:
    def __init__(self, client: Client, owner: Owner, ledger: Ledger, assess: Assess, *, fail_fast: bool) -> None:
        self._client, self._owner, self._ledger, self._assess = client, owner, ledger, assess
        self._fail_fast = fail_fast
        self.states: dict[ObjectId, Health] = {}
        self.seen: dict[ObjectId, bytes] = {}
        """Objects that aren't healthy, as they were last seen, as JSON."""

    def is_known_healthy(self, target: Target) -> bool:
        """Is it, as far as we know without asking?"""
        if target.live is not None:
            return self._judge(target, target.live)
        if self._ledger.is_healthy(self._owner, target.id):
            return True
        self.states[target.id] = Health("Unknown", "it has not been seen yet")
        return False

    def require_hope(self) -> None:
        """_Failed when an object has failed, and nothing that can still change is worth waiting for."""
        found = {state.status for state in self.states.values()}
        if "Failed" in found and (self._fail_fast or found <= {"Failed", "Current"}):
            raise _Failed

    def _judge(self, target: Target, live: Manifest | None, json: bytes | None = None) -> bool:
        """Puts down how an object stands; is it healthy? `json` is the same, if we have it so."""
        if live is None:
            state = Health("Current", "it has gone") if target.expires else Health("NotFound", "it is not there")
            self.states[target.id] = state
            return target.expires
        version = _version(live)
        self.states[target.id] = state = self._assess(live)
        if state.status == "Current":
            self._ledger.note_healthy(self._owner, target.id, version)
            self.seen.pop(target.id, None)
            return True
        self.seen[target.id] = json or msgspec.json.encode(live)
        return False

    async def follow(self, targets: Iterable[Target], seconds: float) -> None:
        """Until all are healthy or the time is over; _Failed when one can't be any more."""
        groups: dict[_Group, list[Target]] = defaultdict(list)
        for target in targets:
            groups[target.api_version, target.id.kind, target.id.namespace].append(target)
        (first, members), *others = groups.items()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    if not others:  # as nearly always; thousands may wait, and a task takes room
                        await self._follow_group(*first, members)
                        return
                    async with asyncio.TaskGroup() as tasks:
                        for group, members in groups.items():
                            tasks.create_task(self._follow_group(*group, members))
        except* _Failed:
            raise _Failed from None

    async def _follow_group(self, api_version: str, kind: str, namespace: str, targets: Sequence[Target]) -> None:
        watches = self._ledger.watches
        owned = all(target.owned for target in targets)
        name = targets[0].id.name if len(targets) == 1 and not owned else ""
        if not watches.exhausted:
            async with watches.watching(self._client, api_version, kind, namespace, name=name, owned=owned) as cache:
                if cache.problem is None and cache.synced:
                    await self._watch(cache, targets)
                    return
        async with asyncio.TaskGroup() as tasks:
            for target in targets:
                tasks.create_task(self._look(target))

    async def _watch(self, cache: Cache[bytes], targets: Sequence[Target]) -> None:
        pending = {self._ledger.key(target.id, target.api_version): target for target in targets}
        moved, dirty = asyncio.Event(), set(pending)

        def seen(change: Seen[bytes]) -> None:
            dirty.add(change.key)
            moved.set()

        ends = {key: cache.on_change(seen, key=key) for key in pending}
        try:
            while True:
                moved.clear()
                for key in tuple(dirty):
                    dirty.discard(key)  # before it is looked at: it may change meanwhile
                    if key in pending and await self._is_settled(pending[key], cache.get(*key)):
                        del pending[key]
                        ends.pop(key)()
                self.require_hope()
                if not pending:
                    return
                await moved.wait()
        finally:
            for end in ends.values():
                end()

    async def _is_settled(self, target: Target, json: bytes | None) -> bool:
        """Looks at what the watch has of an object; is it healthy?"""
        live = None if json is None else orjson.loads(json)
        if live is None and target.expires:  # has it gone, or has the watch not seen it yet?
            live = await self._find(target)
        return not self._is_behind(target, live) and self._judge(target, live, json)

    def _is_behind(self, target: Target, live: Manifest | None) -> bool:
        """Has the watch not yet seen what we applied?"""
        record = self._ledger.record(self._owner, target.id)
        return record is not None and live is not None and _version(live) < record.version

    async def _look(self, target: Target) -> None:
        """Asks for one object until it is healthy."""
        with self._ledger.listening(target.id) as changed:
            while True:
                changed.clear()
                with suppress(Unavailable):
                    if self._judge(target, await self._find(target)):
                        return
                self.require_hope()
                is_watched = self._ledger.follows((target.api_version, target.id.kind))
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN_WATCHED if is_watched else LOOK_AGAIN):
                        await changed.wait()
                await asyncio.sleep(SETTLING)

    async def _find(self, target: Target) -> Manifest | None:
        id = target.id
        try:
            return await self._client.get(target.api_version, id.kind, id.name, id.namespace)
        except NotFound:
            return None


def _version(live: Manifest) -> int:
    version = str(live["metadata"].get("resourceVersion") or "")
    return int(version) if version.isdigit() else 0
