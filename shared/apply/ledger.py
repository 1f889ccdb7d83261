"""What we know of the objects we applied, kept current by metadata watches: who touched what is ours, and since when.

    applied objects → records;  watch changes → drift → callbacks

Our own writes never count as drift, in whatever order the answer and the watch's change come. The ledger is
memory only: after a restart it is empty, and an audit fills it again (`audit`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from shared.api.meta import Manifest
from shared.apply import policies, waking
from shared.apply.drifting import Drifted
from shared.apply.following import GVK, Following
from shared.apply.identity import DEFAULT_GROUP, ObjectId, Owner
from shared.apply.items import Item
from shared.apply.judgement import Drift, Left, Record, judge
from shared.apply.listings import Listings
from shared.apply.live import Live, Reader
from shared.apply.parked import Parked
from shared.apply.policies import Policy
from shared.apply.takeover import Predecessors
from shared.apply.waking import Waking
from shared.apply.watches import Watches
from shared.kube.client import Client
from shared.kube.watch import Change

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Flight:
    """Calls about an object that are under way, and the last that the watch said meanwhile."""

    users: int = 0
    last: tuple[Live | None, int] | None = None


class Ledger:
    """Of one cluster, as seen by our own identity (tenants needn't be allowed to watch).

    `field_manager` is the controller's name; `overrides` further managers whose fields are taken over; `group` that of
    the owner labels.
    """

    def __init__(
        self,
        client: Client,
        *,
        field_manager: str,
        overrides: Iterable[str] = (),
        group: str = DEFAULT_GROUP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.predecessors = Predecessors(field_manager, tuple(overrides))
        self.reader = Reader(self.predecessors, group)
        self.group = group
        self._kinds = Following(client, self.reader, self._seen, self._released)
        self.watches = Watches(group)
        """The full-object watches of those who wait for health."""
        self._waking = Waking(self.drifted)
        self.parked = Parked(client, self._waking.wake)
        """Owners that wait for a kind to be defined."""
        self.listings = Listings(
            client, f"{group}/name", unknown=self._kinds.unknown, key=self._kinds.key, live=self._kinds.live
        )
        """What spares those who look at many objects a call for each."""
        self._clock = clock
        self._records: dict[ObjectId, tuple[Record, ...]] = {}
        """Of each object, one for each owner: nearly always one."""
        self._owned: dict[Owner, dict[ObjectId, Record]] = {}
        self._complete: dict[Owner, str] = {}
        self._in_flight: dict[ObjectId, _Flight] = {}
        self._listeners: dict[ObjectId, set[asyncio.Event]] = {}

    @property
    def field_manager(self) -> str:
        return self.predecessors.manager

    async def close(self) -> None:
        self._waking.close()
        self.listings.close()
        await asyncio.gather(self._kinds.close(), self.watches.close(), self.parked.close())

    # Watching

    def following(self, kinds: Iterable[GVK]) -> AbstractAsyncContextManager[None]:
        """While inside, the kinds are watched; entered once the watches are current, or can't be (then `follows`
        says so)."""
        return self._kinds.during(kinds)

    def follows(self, kind: GVK) -> bool:
        """Is the live state of this kind known without asking?"""
        return self._kinds.follows(kind)

    def live(self, id: ObjectId, api_version: str) -> Live | None:
        """The live object as the watch knows it; None when it isn't there or doesn't carry an owner label."""
        return self._kinds.live(id, api_version)

    def key(self, id: ObjectId, api_version: str) -> tuple[str, str]:
        """Under which namespace and name caches have the object."""
        return self._kinds.key(id, api_version)

    def _released(self, kind: GVK) -> None:
        self.listings.forget(kind)

    # Knowing

    def record(self, owner: Owner, id: ObjectId) -> Record | None:
        return self._owned.get(owner, {}).get(id)

    def note(self, record: Record) -> None:
        """Puts down what we know of an object from now on. What the watch has seen since counts as well."""
        before = self.record(record.owner, record.id)
        record.corrected = self._clock()
        if before is not None and before.drift and not record.skipped:
            record.strikes = waking.strikes(before.strikes, calm=record.corrected - before.corrected)
        if before is not None:
            self._kinds.leave((before.api_version, before.id.kind))
        self._kinds.use((record.api_version, record.id.kind))
        self._records[record.id] = (*self._others(record.id, record.owner), record)
        self._owned.setdefault(record.owner, {})[record.id] = record
        if record.id not in self._in_flight and (live := self.live(record.id, record.api_version)) is not None:
            self._judge(record.id, live, live.version)

    def note_applied(self, owner: Owner, item: Item, live: Live) -> None:
        """An object is as we want it: `live` is what the server answered, or what an audit found."""
        record = Record.of(item, owner)
        record.uid, record.version, record.fields = live.uid, live.version, live.fields
        self.note(record)

    def note_skipped(self, owner: Owner, item: Item) -> None:
        """An object is not applied, because of a policy."""
        record = Record.of(item, owner)
        record.skipped = True
        self.note(record)

    def note_left(self, owner: Owner, item: Item, live: Manifest | None, drifted: Drifted | None) -> None:
        """An object isn't as we left it, and stays so. The next change of it wakes the owner again."""
        record = Record.of(item, owner)
        seen = None if live is None else self.reader.of_manifest(live)
        record.left = Left(drifted, None if seen is None else seen.edition)
        if seen is not None:
            record.uid, record.version = seen.uid, seen.version
        self.note(record)

    def note_unwatched(self, owner: Owner, item: Item) -> None:
        """An object was applied before, and nobody wants to know what became of it."""
        self.note(Record.of(item, owner))

    def note_leaving(self, owner: Owner, id: ObjectId, api_version: str, uid: str) -> None:
        """An object was deleted and is still there: its end will wake the owner."""
        self.note(Record(id, owner, api_version, b"", Policy.NONE, uid=uid, leaving=True))

    def note_healthy(self, owner: Owner, id: ObjectId, version: int) -> None:
        record = self.record(owner, id)
        if record is not None:
            record.healthy_at = version

    def is_healthy(self, owner: Owner, id: ObjectId) -> bool:
        """Was it found healthy, and has it not changed since?"""
        record = self.record(owner, id)
        if record is None or not record.healthy_at or not self.follows((record.api_version, id.kind)):
            return False
        live = self.live(id, record.api_version)
        return live is not None and live.uid == record.uid and live.version == record.healthy_at

    @contextmanager
    def writing(self, id: ObjectId) -> Iterator[None]:
        """While inside, what the watch says of the object is kept and judged afterwards: it may be our own write, or
        newer than what we are being told."""
        flight = self._in_flight.setdefault(id, _Flight())
        flight.users += 1
        try:
            yield
        finally:
            flight.users -= 1
            if not flight.users:
                del self._in_flight[id]
                if flight.last is not None:
                    self._judge(id, *flight.last)

    @contextmanager
    def writing_all(self, ids: Iterable[ObjectId]) -> Iterator[None]:
        """writing() of several objects."""
        with ExitStack() as stack:
            for id in ids:
                stack.enter_context(self.writing(id))
            yield

    def completed(self, owner: Owner, digest: str) -> None:
        """A pass has applied all manifests, whose digest this is. What isn't among them is known until it is pruned."""
        self._complete[owner] = digest

    def begun(self, owner: Owner) -> None:
        """A pass is about to change things: until it is completed, nothing is in sync."""
        self._complete.pop(owner, None)

    def forget(self, owner: Owner, ids: Iterable[ObjectId] | None = None) -> None:
        """Forgets some of an owner's objects, or all and the owner itself."""
        if ids is None:
            self._complete.pop(owner, None)
            self.parked.park(owner, ())
            self._waking.forget(owner)
            ids = list(self._owned.get(owner, {}))
        for id in ids:
            self._drop(owner, id)
        self._kinds.release()

    def _drop(self, owner: Owner, id: ObjectId) -> None:
        owned = self._owned.get(owner, {})
        record = owned.pop(id, None)
        if record is not None:
            self._kinds.leave((record.api_version, id.kind))
        if not owned:
            self._owned.pop(owner, None)
        if others := self._others(id, owner):
            self._records[id] = others
        else:
            self._records.pop(id, None)

    def _others(self, id: ObjectId, owner: Owner) -> tuple[Record, ...]:
        """What we know of an object for other owners."""
        return tuple(record for record in self._records.get(id, ()) if record.owner != owner)

    # Telling

    def in_sync(self, owner: Owner, digest: str) -> bool:
        """Did a pass apply exactly these manifests, and is everything as it left it? Then a pass has nothing to do."""
        if self._complete.get(owner) != digest:
            return False
        return all(record.leaving or self.trusts(record) for record in self._owned.get(owner, {}).values())

    def trusts(self, record: Record) -> bool:
        """Is the object as we left it, and would we know if it weren't? An object that was skipped and doesn't carry
        our labels is one that the watches can't see."""
        if record.drift or record.leaving:
            return False
        if policies.drift_mode(record.policy, Policy.NONE, record.drift_mode) == "disabled":
            return True
        if not self.follows((record.api_version, record.id.kind)):
            return False
        if record.skipped and policies.may_apply(record.policy, Policy.NONE, exists=False):
            return self.live(record.id, record.api_version) is not None
        return True

    def records(self, owner: Owner) -> list[Record]:
        """All that is known of an owner's objects."""
        return list(self._owned.get(owner, {}).values())

    def drifted(self, owner: Owner) -> Mapping[ObjectId, Drift]:
        """The owner's objects that are not as we left them."""
        records = self._owned.get(owner, {}).values()
        drifted = [record for record in records if record.drift and not record.leaving and not record.has_expired]
        return {record.id: record.drift for record in drifted}

    def on_drift(self, callback: Callable[[Owner], None]) -> Callable[[], None]:
        """Calls back when an owner's objects were changed or deleted, or a deleted one is gone at last; returns what
        ends that. An object that drifts again and again calls less and less often."""
        return self._waking.on_drift(callback)

    @contextmanager
    def listening(self, id: ObjectId) -> Iterator[asyncio.Event]:
        """An event that is set whenever the watch reports a change of the object."""
        event = asyncio.Event()
        listeners = self._listeners.setdefault(id, set())
        listeners.add(event)
        try:
            yield event
        finally:
            listeners.discard(event)
            if not listeners:
                self._listeners.pop(id, None)

    def _seen(self, kind: GVK, change: Change[Live]) -> None:
        """A change from a watch."""
        namespace, name = change.key
        id = ObjectId(kind[0].rpartition("/")[0], kind[1], namespace, name)
        for event in self._listeners.get(id, ()):
            event.set()
        if id not in self._records and id not in self._in_flight:
            return
        live = None if change.type == "deleted" else change.manifest
        version = change.manifest.version
        # What a new list doesn't hold any more is gone now, whatever version we last saw it at.
        if live is None and change.manifest is change.old:
            version = _LATEST
        flight = self._in_flight.get(id)
        if flight is not None:
            flight.last = (live, version)
        else:
            self._judge(id, live, version)

    def _judge(self, id: ObjectId, live: Live | None, version: int) -> None:
        for record in self._records.get(id, ()):
            owner = record.owner
            if record.leaving:
                if not record.drift and (live is None or live.uid != record.uid):
                    record.drift = "deleted"
                    self._waking.wake(owner)
                continue
            before, record.drift = record.drift, judge(record, live, version=version)
            if record.drift in ("changed", "deleted") and not before and not record.has_expired:
                logger.info("%s of %s was %s in the cluster", id, owner, record.drift)
                self._waking.wake(owner, waking.delay(record.strikes))


_LATEST = 1 << 62
"""Later than any resourceVersion."""
