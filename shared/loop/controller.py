"""The reconcile loop: change → key in queue → attempt → verdict → conditions, status, event, metric → when again.

One Controller runs all kinds of a process. What always holds: a key runs once at a time; an attempt that waits holds
no worker; a change during a wait ends the wait at once, and one during work makes the key due again; status is written
only where it differs; whatever ends an attempt, the key is due again at some time unless only an edit can help.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from shared.api import codec
from shared.api.meta import Manifest, Named, Resource, ResourceKind, format_time
from shared.auth.tokens import Asker, asker
from shared.kube.client import Client
from shared.kube.errors import ApiError, Conflict, NotFound
from shared.kube.limits import Bucket
from shared.loop import metrics
from shared.loop.attempt import AT_ONCE, PER_SECOND, Attempt, Slot, requested_at
from shared.loop.configs import Configs
from shared.loop.events import Recorder
from shared.loop.finalizers import Finalizers
from shared.loop.kinds import ConfigRef, Kind, Ref, Wake
from shared.loop.known import Known
from shared.loop.logs import ObjectLog
from shared.loop.queue import Delay, Key, Queue
from shared.loop.references import References
from shared.loop.roster import Roster
from shared.loop.verdict import Failed, NotReady, Ready, Stalled, Waiting, asked_pause, conclude
from shared.loop.work import Result, Work

log = logging.getLogger(__name__)

NOT_BUILT = "NotImplemented"
WAIT_AGAIN = 30.0
"""Seconds after which a Waiting object is looked at even if no change was seen, unless a flag says otherwise."""

R = TypeVar("R", bound=Named)


class _Running:
    """One kind at work: its queue, its workers and the attempts under way."""

    def __init__(self, kind: Kind[Any], concurrent: int, min_delay: float, max_delay: float) -> None:
        self.kind = kind
        self.queue = Queue(min_delay=min_delay, max_delay=max_delay)
        self.workers = asyncio.Semaphore(concurrent)
        self.attempts: dict[Key, tuple[asyncio.Task[None], Attempt[Any]]] = {}
        self.work = Work(self.queue, concurrent, lambda: sum(each.slot.held for _, each in self.attempts.values()))
        self.preempted: set[Key] = set()
        self.causes: dict[Key, str] = {}
        """Of keys that are due: the object whose change made them so, where it is known, as kind/namespace/name."""
        self.patient: set[Key] = set()
        """Keys that are due, but not so urgently that an attempt under way should stop waiting."""
        self.references = References(kind)


class Controller:
    """Runs kinds against one cluster. `deliver` takes changes in; `run` works until cancelled."""

    def __init__(self, name: str, client: Client, recorder: Recorder, kinds: Sequence[Kind[Any]], options: Any) -> None:
        """`options` are the parsed flags: concurrent, min/max_retry_delay, requeue_dependency, jitter …"""
        self.name, self.client, self.recorder, self.options = name, client, recorder, options
        self.configs = Configs(client, options)
        self.courtesies = Bucket(PER_SECOND, AT_ONCE)
        """What limits how many attempts write their progress."""
        self._kinds = {
            kind.type.resource.kind: _Running(
                kind, options.concurrent, options.min_retry_delay, options.max_retry_delay
            )
            for kind in kinds
        }
        self._known = Known(client, self._changed)
        self._finalizers = Finalizers(self._patch, self._known)
        self._watched: dict[str, list[tuple[_Running, Wake[Any]]]] = defaultdict(list)
        for running in self._kinds.values():
            self._known.add(running.kind.type)
            for wake in running.kind.wakes:
                self._known.add(wake.type)
                self._watched[wake.type.resource.kind].append((running, wake))

    # What comes in

    @property
    def watched(self) -> list[type[Named]]:
        """The kinds whose changes must be delivered."""
        return self._known.types

    @property
    def works(self) -> dict[str, Work]:
        """What is done on each kind, in figures."""
        return {name: running.work for name, running in self._kinds.items()}

    def is_busy(self, kind: str) -> bool:
        """Whether objects of this kind are due and wait for a worker."""
        return self._kinds[kind].queue.depth > 0

    def deliver(self, resource: ResourceKind, type_: str | None, manifest: Manifest) -> None:
        """Take in a change of a custom resource. `type_` is the watch's; None for a listed object."""
        self._known.deliver(resource, type_, manifest)

    def take(self, data: bytes) -> str:
        """Take in a state of a custom resource in passing; its resourceVersion then, "" if it must be delivered."""
        return self._known.take(data)

    def wake(self, kind: str, namespace: str, name: str, *, preempt: bool = True, cause: str = "") -> None:
        """Make an object due now, because something that it depends on (`cause`, as kind/namespace/name) changed.
        Without `preempt` an attempt that waits may first come to its end."""
        key = Key(kind, namespace, name)
        running = self._kinds[kind]
        if preempt:
            running.patient.discard(key)
        elif not running.queue.pending(key):
            running.patient.add(key)
        running.causes[key] = cause
        running.queue.add(key)
        self.preempt_if_due(key)

    def config_changed(self, ref: ConfigRef) -> None:
        """Take in a change of a ConfigMap or Secret that carries the watch label."""
        for running in self._kinds.values():
            for key in running.references.to_config(ref):
                self.wake(*key, cause="/".join(ref))

    def find(self, type_: type[R], namespace: str, name: str) -> R | None:
        """The newest known state of an object of a watched kind."""
        return self.known(type_).get(namespace, name)

    def known(self, type_: type[R]) -> Roster[R]:
        """The newest known states of all objects of a watched kind."""
        roster: Roster[R] = self._known.of(type_.resource.kind)
        return roster

    async def learn(self, namespace: str | None, label_selectors: Mapping[str, str]) -> None:
        """Read all objects of the kinds that must be known first, as often as it takes."""
        for name, running in self._kinds.items():
            if running.kind.known_first:
                await self._known.learn(running.kind.type.resource, namespace, label_selectors.get(name, ""))

    def preempt_if_due(self, key: Key) -> None:
        """End the wait of an attempt whose key is due again."""
        running = self._kinds[key.kind]
        entry = running.attempts.get(key)
        if entry is None or key in running.patient:
            return
        if entry[1].is_resting and running.queue.pending(key):
            running.preempted.add(key)
            entry[1].preempted_by = running.causes.get(key, "")
            entry[0].cancel()

    # Work

    async def run(self) -> None:
        """Work until cancelled; attempts under way are cancelled then, and awaited."""
        try:
            async with asyncio.TaskGroup() as group:
                for running in self._kinds.values():
                    group.create_task(self._serve(running))
        finally:
            tasks = [entry[0] for running in self._kinds.values() for entry in running.attempts.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._known.close(), return_exceptions=True)

    async def write_status(self, obj: Resource, patch: Manifest) -> Any:
        """Write a status patch; the object as it is then, which is also what the next attempt sees."""
        saved = await self._patch(obj, patch, "status")
        self._known.put(saved)  # the answer may hold somebody else's change that no watch has told of yet
        return saved

    async def _patch(self, obj: Resource, patch: Manifest, subresource: str = "") -> Any:
        """Write a patch under the name of the kind's field manager; the object as it is then."""
        resource, meta = type(obj).resource, obj.metadata
        answer = await self.client.patch_json(
            resource.api_version,
            resource.kind,
            meta.name,
            meta.namespace,
            patch,
            type="merge",
            subresource=subresource,
            field_manager=self._kinds[resource.kind].kind.manager or self.name,
        )
        return codec.decode_json(type(obj), answer)

    async def _serve(self, running: _Running) -> None:
        """Start an attempt for each key that is due, as workers allow."""
        while True:
            key = await running.queue.take()
            await running.workers.acquire()
            since = running.queue.begin(key)
            running.patient.discard(key)
            running.causes.pop(key, None)
            slot = Slot(running.workers)
            obj = self._known.of(key.kind).get(key.namespace, key.name)
            if obj is None:
                running.queue.done(key)
                slot.release()
                continue
            attempt = Attempt(self, running.kind, key, obj, slot, ObjectLog(log, self.name, obj), since)
            task = asyncio.create_task(self._attempt(running, attempt), name=str(key))
            running.attempts[key] = (task, attempt)

    async def _attempt(self, running: _Running, attempt: Attempt[Any]) -> None:
        """One attempt and its bookkeeping: never raises but when the process ends."""
        key = attempt.key
        asker.set(Asker(key.kind, key.name, key.namespace))  # of this task
        result: Result = "error"
        try:
            delay = await self._make(running, attempt)
            if delay is not None:
                running.queue.replan(key, delay)
            if not attempt.failed:
                result = "success" if delay is None else "requeue_after"
        except asyncio.CancelledError:
            result = "requeue"
            if key not in running.preempted:
                raise
            running.preempted.discard(key)
            attempt.log.debug("a change ended the wait")
            running.queue.add(key)
        except NotFound:
            self._known.drop(key.kind, key.namespace, key.name, attempt.obj.metadata.uid)
            result = "success"
        except Conflict:
            running.queue.add(key, 0.1)
            result = "requeue_after"
        except ApiError as error:
            attempt.log.error("could not write the status: %s", error)
            running.queue.replan(key, Delay(running.queue.backoff(key)))
        except Exception as error:
            attempt.log.error("reconciling broke: %s", error, exc_info=error)
            running.queue.replan(key, Delay(running.queue.backoff(key)))
        finally:
            attempt.close()
            attempt.slot.release()
            running.attempts.pop(key, None)
            running.queue.done(key)
            running.work.ended(result, time.monotonic() - attempt.started)

    async def _make(self, running: _Running, attempt: Attempt[Any]) -> Delay | None:
        """Reconcile or finalize; returns when the key is due again, None for not before a change."""
        kind, obj = running.kind, attempt.obj
        if obj.metadata.deletion_timestamp:
            return await self._finalize(running, attempt)
        if kind.passive(obj):
            await self._finalizers.retire(kind, attempt)
            return None
        if kind.claimed and kind.finalizer not in obj.metadata.finalizers:
            await self._finalizers.claim(kind, attempt)
        if not kind.claimed and kind.finalizer in obj.metadata.finalizers:
            await self._finalizers.disclaim(kind, attempt)
        if kind.static:
            await kind.reconcile(obj, attempt)
            return None
        if kind.suspended(obj):
            attempt.log.debug("suspended")
            kind.rests(obj, attempt)
            if attempt.requested and hasattr(obj.status, "last_handled_reconcile_at"):
                obj.status.last_handled_reconcile_at = attempt.request  # it isn't made up for when resumed
            await attempt.write_final()
            return None
        verdict = await self._verdict(kind, attempt)
        status, before = obj.status, _ready_message(self._known.of(attempt.key.kind), attempt.key)
        now = format_time(time.time())
        status.conditions = conclude(
            status.conditions, verdict, attempt.generation, now, abnormal=kind.abnormal, doing=attempt.doing
        )
        if isinstance(verdict, Ready | Stalled) and hasattr(status, "observed_generation"):
            status.observed_generation = attempt.generation
        if token := requested_at(obj):
            status.last_handled_reconcile_at = token
        self._observe(attempt, verdict, before)  # first: who sees the status then looks for its event
        saved = await attempt.write_final()
        running.references.note(attempt.key, saved)
        return self._next(running, attempt.key, saved, verdict)

    async def _verdict(self, kind: Kind[Any], attempt: Attempt[Any]) -> Ready | NotReady:
        """Run the story; any exception becomes a verdict, once, here."""
        fields = sorted(kind.unbuilt(attempt.obj))
        if fields:
            named = ", ".join(fields)
            return Stalled(NOT_BUILT, f"{named}: not supported by this version of {self.name}; remove it to go on")
        try:
            return await kind.reconcile(attempt.obj, attempt)
        except NotReady as error:
            return error
        except ApiError as error:
            return Failed("ReconciliationFailed", str(error))
        except ExceptionGroup as group:
            known = [error for error in _leaves(group) if isinstance(error, NotReady)]
            if known:
                return known[0]
            attempt.log.error("reconciling broke", exc_info=group)
            return Failed("ReconciliationFailed", "; ".join(str(error) for error in _leaves(group)))
        except Exception as error:
            attempt.log.error("reconciling broke: %s", error, exc_info=error)
            return Failed("ReconciliationFailed", f"{type(error).__name__}: {error}")

    async def _finalize(self, running: _Running, attempt: Attempt[Any]) -> Delay | None:
        """Run the kind's finalizer and let the object go."""
        obj = attempt.obj
        if running.kind.finalizer not in (obj.metadata.finalizers or []):
            return None
        try:
            await running.kind.finalize(obj, attempt)
        except NotReady as error:
            now = format_time(time.time())
            obj.status.conditions = conclude(obj.status.conditions, error, attempt.generation, now)
            await attempt.write_final()
            attempt.log.error("%s: %s", error.reason, error.message)
            if not isinstance(error, Waiting):
                attempt.failed = True
                attempt.event(error.reason, error.message, "error")
            return Delay(error.retry_after or running.queue.backoff(attempt.key))
        await self._finalizers.let_go(running.kind, obj)
        return None

    def _observe(self, attempt: Attempt[Any], verdict: Ready | NotReady, before: str) -> None:
        """Logs, metrics and the event of a failure; a story tells of its successes itself."""
        took = time.monotonic() - attempt.started
        key = attempt.key
        metrics.durations.observe(key.kind, key.name, key.namespace, took)
        if isinstance(verdict, Ready):
            attempt.log.info("%s, in %.0f ms", verdict.message, took * 1000)
        elif isinstance(verdict, Waiting):
            attempt.log.info("%s: %s", verdict.reason, verdict.message)
            if verdict.event and verdict.message != before:
                attempt.event(verdict.event_reason, verdict.event, "info")
        else:
            attempt.failed = True
            attempt.log.error("%s: %s", verdict.reason, verdict.message)
            attempt.event(verdict.event_reason, verdict.event, "error")

    def _next(self, running: _Running, key: Key, obj: Any, verdict: Ready | NotReady) -> Delay | None:
        """When the key is due without any change."""
        if isinstance(verdict, Stalled):
            running.queue.succeeded(key)
            return None
        if isinstance(verdict, Ready):
            running.queue.succeeded(key)
            interval = running.kind.interval(obj)
            return self._jittered(interval) if interval else None
        if verdict.retry_after is not None:
            return Delay(verdict.retry_after)
        if isinstance(verdict, Waiting):
            return Delay(float(getattr(self.options, "requeue_dependency", WAIT_AGAIN)))
        retry = running.kind.retry_interval(obj)
        delay = self._jittered(retry).seconds if retry else running.queue.backoff(key)
        return Delay(max(delay, min(asked_pause(verdict), float(self.options.max_retry_delay))))

    def _jittered(self, seconds: float) -> Delay:
        part = getattr(self.options, "interval_jitter_percentage", 0) / 100
        drawn = seconds * random.uniform(1 - part, 1 + part)  # noqa: S311 - spreads load, guards nothing
        return Delay(drawn, drawn - seconds * (1 - part))

    # What is known

    def _changed(self, kind: str, old: Any, new: Any) -> None:
        """An object of a kind that we reconcile or refer to is not as it was."""
        obj = new if new is not None else old
        key = Key(kind, obj.metadata.namespace or "", obj.metadata.name)
        running = self._kinds.get(kind)
        if running is not None and new is not None:
            self._take_in(running, key, old, new)
        elif running is not None:
            self._let_go(running, key, old)
        ref = Ref(key.namespace, key.name)
        for referring, wake in self._watched.get(kind, ()):
            keys = referring.references.to(wake, ref)
            if keys and wake.when(old, new):
                for each in keys:
                    self.wake(*each, preempt=wake.preempts, cause=str(key))

    def _take_in(self, running: _Running, key: Key, old: Any, new: Any) -> None:
        running.references.note(key, new)
        if old is None or _is_news(old, new, running.kind):
            running.patient.discard(key)
            running.causes[key] = str(key)
            running.queue.add(key)
            self.preempt_if_due(key)

    def _let_go(self, running: _Running, key: Key, old: Any) -> None:
        """Forget all of an object that is gone."""
        running.queue.forget(key)
        running.patient.discard(key)
        running.causes.pop(key, None)
        running.references.forget(key)
        running.kind.forget(old)
        metrics.forget(key.kind, key.name, key.namespace)
        entry = running.attempts.get(key)
        if entry is not None and entry[1].is_resting:
            running.preempted.add(key)
            entry[0].cancel()


def _is_news(old: Resource, new: Resource, kind: Kind[Any]) -> bool:
    """Whether a change of an object asks for an attempt: its spec, its labels, one of the kind's annotations, a
    request, a deletion or a lost finalizer."""
    before, after = old.metadata, new.metadata
    return (
        before.uid != after.uid
        or before.generation != after.generation
        or bool(after.deletion_timestamp) != bool(before.deletion_timestamp)
        or (bool(after.deletion_timestamp) and before.finalizers != after.finalizers)
        or (kind.finalizer in (before.finalizers or []) and kind.finalizer not in (after.finalizers or []))
        or before.labels != after.labels
        or requested_at(old) != requested_at(new)
        or any((before.annotations or {}).get(name) != (after.annotations or {}).get(name) for name in kind.annotations)
    )


def _ready_message(roster: Roster[Any], key: Key) -> str:
    obj = roster.get(key.namespace, key.name)
    conditions = (obj.status.conditions if obj is not None else None) or []
    return next((condition.message for condition in conditions if condition.type == "Ready"), "")


def _leaves(group: BaseExceptionGroup[Any]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
