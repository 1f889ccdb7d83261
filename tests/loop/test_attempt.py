"""What an attempt tells while it lasts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.kube.limits import Bucket
from shared.loop.attempt import Attempt, Slot
from shared.loop.kinds import Kind
from shared.loop.queue import Key
from tests.loop.test_controller import kustomization


class Controller:
    """As much of one as an attempt needs; `told` lists whose status was written, with what."""

    client = options = recorder = None

    def __init__(self) -> None:
        self.now = 0.0
        self.courtesies = Bucket(2.0, 3, clock=lambda: self.now)
        self.told: list[tuple[str, str]] = []

    def is_busy(self, kind: str) -> bool:
        return False

    async def write_status(self, obj: Kustomization, patch: dict[str, Any]) -> Kustomization:
        (message,) = (one["message"] for one in patch["status"]["conditions"] if one["type"] == "Reconciling")
        self.told.append((obj.metadata.name, message))
        return obj

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.told) < count:
                await asyncio.sleep(0.001)


async def never(*_: Any) -> Any:
    raise AssertionError("the attempts of these tests are not the loop's")


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    monkeypatch.setattr("shared.loop.attempt.LONG", 0.001)
    return Controller()


def attempts(controller: Controller, count: int) -> list[Attempt[Kustomization]]:
    kind: Kind[Kustomization] = Kind(type=Kustomization, reconcile=never, finalize=never)
    log = logging.LoggerAdapter(logging.getLogger("test"))
    made = []
    for number in range(count):
        manifest = kustomization()
        manifest["metadata"]["name"] = f"app-{number}"
        key, slot = Key("Kustomization", "team", f"app-{number}"), Slot(asyncio.Semaphore(1))
        obj = codec.decode(Kustomization, manifest)
        made.append(Attempt(controller, kind, key, obj, slot, log, 0.0))  # type: ignore[arg-type]
    return made


async def after_three_were_told_of(controller: Controller) -> list[Attempt[Kustomization]]:
    """Four attempts, of whom the last finds no room any more."""
    made = attempts(controller, 4)
    for attempt in made[:3]:
        await attempt.progress("waiting")
    await controller.until_told(3)
    return made


def test_what_a_story_makes_of_its_status_is_its_own_until_it_is_written(controller):
    (attempt,) = attempts(controller, 1)
    before = codec.encode(attempt._saved)
    attempt.mark("Healthy", True, "Succeeded", "all is well")
    attempt.obj.status.last_applied_revision = "main@sha1:abc"
    attempt.obj.status.history.append("a part")
    attempt.obj.metadata.resource_version = "7"
    assert codec.encode(attempt._saved) == before


async def test_of_thousands_that_wait_at_once_a_few_are_told_of_a_second(controller):
    waiting = attempts(controller, 1000)
    for attempt in waiting:
        await attempt.progress("waiting")
    await controller.until_told(3)
    await asyncio.sleep(0.02)
    assert len(controller.told) == 3, "as many as may be told of at once"
    controller.now = 1.0
    await controller.until_told(5)
    await asyncio.sleep(0.02)
    assert len(controller.told) == 5, "two a second"
    assert len({name for name, _ in controller.told}) == 5, "each of them once"
    for attempt in waiting:
        attempt.close()


async def test_what_is_told_late_is_what_is_done_then(controller):
    *others, last = await after_three_were_told_of(controller)
    await last.progress("building")
    await last.progress("applying")
    controller.now = 1.0
    await controller.until_told(4)
    assert controller.told[-1] == (last.key.name, "applying")
    for attempt in (*others, last):
        attempt.close()


async def test_who_is_done_is_not_told_of_any_more(controller):
    *others, last = await after_three_were_told_of(controller)
    await last.progress("waiting")
    last.close()
    controller.now = 1.0
    await asyncio.sleep(0.02)
    assert last.key.name not in {name for name, _ in controller.told}
    for attempt in others:
        attempt.close()
