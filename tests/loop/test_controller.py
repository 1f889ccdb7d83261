"""The controller's bookkeeping: what makes a key due, and what ends a wait."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from typing import Any

import orjson
import pytest

from shared.api.kustomize import Kustomization
from shared.loop.attempt import Attempt
from shared.loop.controller import Controller
from shared.loop.kinds import FINALIZER, Kind
from shared.loop.verdict import Failed, Ready, Stalled, Waiting

OPTIONS = Namespace(concurrent=2, min_retry_delay=0.01, max_retry_delay=1.0, interval_jitter_percentage=0)


class Api:
    """An API server that holds one object and merges patches into it."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest

    async def patch_json(self, *_: object, subresource: str = "", **__: object) -> bytes:
        assert subresource == "status"
        self.touch()
        return orjson.dumps(self.manifest)

    def touch(self, **metadata: Any) -> None:
        version = str(int(self.manifest["metadata"]["resourceVersion"]) + 1)
        self.manifest = {
            **self.manifest,
            "metadata": {**self.manifest["metadata"], "resourceVersion": version, **metadata},
        }


class Silent:
    """A recorder that nobody listens to."""

    def record(self, *_: object, **__: object) -> None: ...


def kustomization() -> dict[str, Any]:
    return {
        "apiVersion": Kustomization.resource.api_version,
        "kind": "Kustomization",
        "metadata": {
            "name": "app",
            "namespace": "team",
            "uid": "1",
            "resourceVersion": "1",
            "generation": 1,
            "finalizers": [FINALIZER],
        },
        "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}},
    }


class Run:
    """A controller at work on the object of an Api; `generations` lists the generation of each attempt begun."""

    def __init__(self, rest: bool = False) -> None:
        self.api = Api(kustomization())
        self.generations: list[int] = []
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self._rest = rest
        kind: Kind[Kustomization] = Kind(type=Kustomization, reconcile=self._reconcile, finalize=self._finalize)
        self.controller = Controller("test", self.api, Silent(), [kind], OPTIONS)  # type: ignore[arg-type]

    async def _reconcile(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Ready:
        self.generations.append(attempt.generation)
        self.begun.set()
        if self._rest:
            async with attempt.resting():
                await self.may_end.wait()
        else:
            await self.may_end.wait()
        return Ready("Done", "done")

    async def _finalize(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> None: ...

    def deliver(self) -> None:
        self.controller.deliver(Kustomization.resource, "MODIFIED", self.api.manifest)

    async def attempts(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.generations) < count:
                self.begun.clear()
                await self.begun.wait()


async def test_a_change_that_only_the_answer_to_our_own_write_tells_of_makes_the_object_due_again():
    run = Run()
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        await run.attempts(1)
        run.api.touch(generation=2)  # an edit that the watch has not told of when the status is written
        run.may_end.set()
        await run.attempts(2)
        task.cancel()
    assert run.generations == [1, 2]


async def test_a_wait_is_ended_by_an_urgent_change_at_once():
    run = Run(rest=True)
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        await run.attempts(1)
        run.controller.wake("Kustomization", "team", "app")
        await run.attempts(2)
        task.cancel()
    assert not run.may_end.is_set()


async def test_a_wait_comes_to_its_end_before_a_change_that_can_wait():
    run = Run(rest=True)
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        await run.attempts(1)
        run.controller.wake("Kustomization", "team", "app", preempt=False)
        await asyncio.sleep(0)
        assert len(run.generations) == 1
        run.may_end.set()
        await run.attempts(2)
        task.cancel()
    assert run.generations == [1, 1]


@pytest.mark.parametrize(
    ("ends", "result"),
    [
        (Ready("Done", "done"), "requeue_after"),
        (Waiting("DependencyNotReady", "another first"), "requeue_after"),
        (Failed("BuildFailed", "no such file"), "error"),
        (Stalled("AccessDenied", "not yours"), "error"),
        (RuntimeError("a bug"), "error"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_an_attempt_is_counted_by_how_it_ends(ends: Ready | Exception, result: str) -> None:
    async def reconcile(ks: Kustomization, attempt: Attempt[Kustomization]) -> Ready:
        if isinstance(ends, Exception):
            raise ends
        return ends

    run = Run()
    options = Namespace(**{**vars(OPTIONS), "min_retry_delay": 60.0, "max_retry_delay": 60.0})
    kind: Kind[Kustomization] = Kind(type=Kustomization, reconcile=reconcile, finalize=run._finalize)
    run.controller = Controller("test", run.api, Silent(), [kind], options)  # type: ignore[arg-type]
    work = run.controller.works["Kustomization"]
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        async with asyncio.timeout(5):
            while not work.results:
                await asyncio.sleep(0.001)
        task.cancel()
    assert dict(work.results) == {result: 1}
    assert work.active() == 0


async def test_an_attempt_that_waits_holds_no_worker_and_is_due_again_after_a_change() -> None:
    run = Run(rest=True)
    work = run.controller.works["Kustomization"]
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        await run.attempts(1)
        assert work.active() == 0
        assert len(work.queue.under_way()) == 1
        run.controller.wake("Kustomization", "team", "app")
        await run.attempts(2)
        assert dict(work.results) == {"requeue": 1}
        task.cancel()


async def test_a_progress_message_that_is_late_does_not_follow_the_verdict(monkeypatch):
    monkeypatch.setattr("shared.loop.attempt.LONG", 0.0)
    run = Run()
    statuses: list[dict[str, Any]] = []

    async def patch_json(*arguments: Any, **_: Any) -> bytes:
        statuses.append(arguments[4]["status"])
        run.api.touch()
        run.api.manifest = {**run.api.manifest, "status": arguments[4]["status"]}
        return orjson.dumps(run.api.manifest)

    async def reconcile(ks: Kustomization, attempt: Attempt[Kustomization]) -> Ready:
        attempt.doing = "working"
        attempt._write_later()  # the timer fires just before the story ends
        return Ready("Done", "done")

    monkeypatch.setattr(run.api, "patch_json", patch_json)
    kind: Kind[Kustomization] = Kind(type=Kustomization, reconcile=reconcile, finalize=run._finalize)
    run.controller = Controller("test", run.api, Silent(), [kind], OPTIONS)  # type: ignore[arg-type]
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        async with asyncio.timeout(5):
            while not statuses:
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        task.cancel()
    found = run.controller.find(Kustomization, "team", "app")
    assert found is not None
    assert [(one.type, one.status, one.reason) for one in found.status.conditions] == [("Ready", "True", "Done")]


async def test_a_kind_has_its_own_finalizer_interval_and_way_to_be_suspended():
    run = Run()
    patched: list[Any] = []

    async def patch_json(*arguments: Any, subresource: str = "", **_: Any) -> bytes:
        patched.append(arguments[4])
        run.api.touch(**({} if subresource else {"finalizers": [*run.api.manifest["metadata"]["finalizers"], "ours"]}))
        return orjson.dumps(run.api.manifest)

    def rests(ks: Kustomization, attempt: Attempt[Kustomization]) -> None:
        attempt.mark("Ready", True, "Disabled", "suspended by its label")

    run.api.patch_json = patch_json  # type: ignore[method-assign]
    kind: Kind[Kustomization] = Kind(
        type=Kustomization,
        reconcile=run._reconcile,
        finalize=run._finalize,
        finalizer="ours",
        suspended=lambda ks: "off" in (ks.metadata.labels or {}),
        rests=rests,
        interval=lambda ks: 0.01,
    )
    run.controller = Controller("test", run.api, Silent(), [kind], OPTIONS)  # type: ignore[arg-type]
    run.api.touch(labels={"off": ""})
    run.deliver()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run.controller.run())
        async with asyncio.timeout(5):
            while len(patched) < 2:
                await asyncio.sleep(0.001)
        assert patched[0]["metadata"]["finalizers"] == [FINALIZER, "ours"]
        assert [condition["reason"] for condition in patched[1]["status"]["conditions"]] == ["Disabled"]
        assert run.generations == []
        run.api.touch(labels={})
        run.may_end.set()
        run.deliver()
        await run.attempts(3)  # the change, then the interval, again and again
        task.cancel()
