"""What is held until it is due."""

from __future__ import annotations

import asyncio

from notification_controller.event import Event, InvolvedObject
from notification_controller.journal import About, Change
from notification_controller.noise import Held, Settings
from notification_controller.quiet import Quiet


async def test_what_breaks_when_it_is_due_keeps_nothing_else_from_being_told() -> None:
    told: list[str] = []
    is_told = asyncio.Event()

    async def send(about: About, event: Event, changes: list[Change]) -> None:
        if event.message == "first":
            raise RuntimeError("a bug")
        told.append(event.message)
        is_told.set()

    async def write(changes: list[Change]) -> None: ...

    quiet = Quiet(lambda alert: Settings(delay=1.0), send, write)
    quiet.remember({about(name): Held(event(name), ready) for ready, name in enumerate(("first", "second"))}, {})
    quiet.start()
    async with asyncio.timeout(10):
        await is_told.wait()
    await quiet.stop()
    assert told == ["second"]


def about(name: str) -> About:
    return About("apps/alert", f"Kustomization/apps/{name}")


def event(name: str) -> Event:
    involved = InvolvedObject(kind="Kustomization", namespace="apps", name=name)
    return Event(involved_object=involved, severity="error", reason="BuildFailed", message=name)
