"""How deliveries leave: in order, none behind another Provider's, none lost while a service is away."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from notification_controller import event as events
from notification_controller import outbox as outbox_
from notification_controller.event import Event, InvolvedObject
from notification_controller.journal import Change, Delivery, Journal, Line
from notification_controller.outbox import Outbox
from notification_controller.provider import Secrets
from notification_controller.providers import AlertName, InvalidProvider, Notification
from shared.api.codec import decode
from shared.api.notification import Provider
from tests.kit.hooks import Hooks, Reply
from tests.notification_controller.telling import messages, until

CHAT, OTHER = Line("apps", "chat"), Line("apps", "other")
ABOUT = InvolvedObject(kind="Kustomization", namespace="apps", name="app")


def delivery(text: str, line: Line = CHAT, *, age: float = 0.0) -> Delivery:
    told = events.encode(Event(involved_object=ABOUT, severity="info", message=text))
    return Delivery(line, str(ABOUT), "alert", "1-2", time.time() - age, told)


class Around:
    """What is around the outbox: Providers that tests set, and what people were told."""

    def __init__(self) -> None:
        self.providers: dict[Line, Provider] = {}
        self.held: dict[Line, Secrets | InvalidProvider] = {}
        self.clouds = None
        self.told: list[str] = []
        self.reads = 0
        self._versions = 0

    def have(self, line: Line, address: str, **spec: Any) -> None:
        self._versions += 1
        metadata = {"name": line.provider, "namespace": line.namespace, "uid": "1", "generation": self._versions}
        spec = {"type": "generic", "address": address, "timeout": "1s", **spec}
        self.providers[line] = decode(Provider, {"metadata": metadata, "spec": spec})

    def provider(self, line: Line) -> Provider | None:
        return self.providers.get(line)

    async def secrets(self, provider: Provider) -> Secrets:
        self.reads += 1
        found = self.held.get(Line(provider.metadata.namespace, provider.metadata.name), Secrets())
        if isinstance(found, InvalidProvider):
            raise found
        return found

    def notification(self, provider: Provider, delivery: Delivery) -> Notification:
        return Notification(events.read(delivery.event), AlertName("apps", "alert", "1-2"))

    def failed(self, delivery: Delivery, message: str) -> None:
        self.told.append(message)


@pytest.fixture
def around() -> Around:
    return Around()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with Hooks() as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(outbox_, "LONGEST_WAIT", 0.1)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    kept = Journal(tmp_path / "journal")
    await kept.open()
    yield kept
    await kept.close()


@pytest.fixture
async def outbox(journal: Journal, around: Around) -> AsyncIterator[Outbox]:
    made = Outbox(journal, around, longest=3600.0, limit=1000)
    yield made
    await made.stop()


async def test_deliveries_keep_their_order(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    around.have(CHAT, hooks.url)
    wanted = [str(number) for number in range(200)]
    for text in wanted:
        await outbox.add([delivery(text)])
    await until(lambda: len(hooks.requests) == len(wanted))
    assert messages(hooks) == wanted
    assert around.told == []


async def test_what_was_delivered_leaves_the_journal(
    outbox: Outbox, journal: Journal, around: Around, hooks: Hooks
) -> None:
    around.have(CHAT, hooks.url)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: len(hooks.requests) == 2)
    async with asyncio.timeout(10):
        while await journal.first(CHAT, 1):
            await asyncio.sleep(0.01)


async def test_what_cannot_leave_the_journal_is_not_posted_again(
    outbox: Outbox, journal: Journal, around: Around, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, refused = journal._commit, []

    def full(changes: list[Change]) -> None:
        if any(statement.startswith("DELETE") for statement, _ in changes):
            refused.append(changes)
            raise sqlite3.OperationalError("database or disk is full")
        commit(changes)

    around.have(CHAT, hooks.url)
    monkeypatch.setattr(journal, "_commit", full)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: len(refused) > 5)
    assert messages(hooks) == ["one", "two"]
    monkeypatch.setattr(journal, "_commit", commit)
    await outbox.add([delivery("three")])
    await until(lambda: len(hooks.requests) == 3)
    assert messages(hooks) == ["one", "two", "three"]
    async with asyncio.timeout(10):
        while await journal.first(CHAT, 1):
            await asyncio.sleep(0.01)


async def test_a_silent_service_delays_no_other(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    with Hooks() as silent:
        silent.answers = [Reply(silent=True)]
        around.have(OTHER, silent.url, timeout="60s")
        around.have(CHAT, hooks.url)
        await outbox.add([delivery("stuck", OTHER)])
        await until(lambda: silent.requests)
        for number in range(20):
            await outbox.add([delivery(str(number)), delivery("behind", OTHER)])
        await until(lambda: len(hooks.requests) == 20)
        assert len(silent.requests) == 1


async def test_nothing_is_lost_while_a_service_is_away(outbox: Outbox, around: Around) -> None:
    with Hooks() as gone:
        address = gone.url
    around.have(CHAT, address)
    wanted = [str(number) for number in range(100)]
    await outbox.add([delivery(text) for text in wanted])
    await until(lambda: around.told)
    with Hooks() as back:
        around.have(CHAT, back.url)
        outbox.wake(CHAT)
        await until(lambda: len(back.requests) == 100)
        assert messages(back) == wanted
    assert len(around.told) == 1  # once for an outage, and not for each that waits
    assert around.told[0].startswith("failed to send notification for Kustomization/apps/app: ")


async def test_errors_of_a_server_are_tried_again_in_order(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    hooks.answers = [Reply(500), Reply(503), Reply(429, headers={"Retry-After": "0"}), Reply()]
    around.have(CHAT, hooks.url)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: len(hooks.requests) == 5)
    assert messages(hooks) == ["one", "one", "one", "one", "two"]


async def test_a_service_is_asked_again_only_when_it_wants(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    hooks.answers = [Reply(429, headers={"Retry-After": "1"}), Reply()]
    around.have(CHAT, hooks.url)
    began = time.monotonic()
    await outbox.add([delivery("one")])
    await until(lambda: len(hooks.requests) == 2)
    assert time.monotonic() - began >= 1.0


async def test_what_a_service_refuses_is_told_and_not_tried_again(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    hooks.answers = [Reply(400, b"no such channel"), Reply()]
    around.have(CHAT, hooks.url)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["one", "two"]
    assert len(around.told) == 1
    assert around.told[0].endswith("request failed with status code 400: no such channel")


async def test_one_that_never_gets_through_does_not_keep_the_others(outbox: Outbox, around: Around) -> None:
    class Picky(Hooks):
        def take(self, received: Any) -> Reply:
            self.requests.append(received)
            return Reply(500 if received.json["message"] == "poison" else 200)

    with Picky() as hooks:
        around.have(CHAT, hooks.url)
        await outbox.add([delivery(text) for text in ("poison", "two", "three")])
        await until(lambda: "three" in messages(hooks))
        assert messages(hooks).count("poison") == outbox_.TRIES_ALONE + 1
        assert [text for text in messages(hooks) if text != "poison"] == ["two", "three"]
    assert any("others get through" in text for text in around.told)


async def test_what_breaks_on_the_way_is_tried_again_and_forgets_nothing(
    outbox: Outbox, around: Around, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(3))

    def look(line: Line) -> Provider | None:
        if next(looks, None) is not None:
            raise RuntimeError("nobody thought of this")
        return around.providers.get(line)

    around.have(CHAT, hooks.url)
    monkeypatch.setattr(around, "provider", look)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["one", "two"]


async def test_an_old_delivery_is_given_up(journal: Journal, around: Around, hooks: Hooks) -> None:
    around.have(CHAT, hooks.url)
    outbox = Outbox(journal, around, longest=60.0, limit=1000)
    await outbox.add([delivery("old", age=61.0), delivery("new")])
    await until(lambda: hooks.requests)
    assert messages(hooks) == ["new"]
    assert "given up after 1m1s" in around.told[0]
    await outbox.stop()


async def test_the_oldest_make_room(journal: Journal, around: Around, hooks: Hooks) -> None:
    hooks.answers = [Reply(500)]
    around.have(CHAT, hooks.url)
    outbox = Outbox(journal, around, longest=3600.0, limit=10)
    await outbox.add([delivery("stuck")])
    await until(lambda: hooks.requests)
    for number in range(30):
        await outbox.add([delivery(str(number))])
    hooks.answers = [Reply()]
    await until(lambda: "29" in messages(hooks))
    passed = [text for text in dict.fromkeys(messages(hooks)) if text != "stuck"]
    assert passed[-10:] == [str(number) for number in range(20, 30)]
    await outbox.stop()


async def test_a_suspended_or_deleted_provider_gets_nothing_that_waits(
    outbox: Outbox, around: Around, hooks: Hooks
) -> None:
    hooks.answers = [Reply(503)]
    around.have(CHAT, hooks.url)
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: hooks.requests)
    around.have(CHAT, hooks.url, suspend=True)
    outbox.wake(CHAT)
    await until(lambda: not outbox._waiting.total())
    hooks.answers, hooks.requests = [Reply()], []
    around.have(CHAT, hooks.url)
    await outbox.add([delivery("three")])
    await until(lambda: hooks.requests)
    assert messages(hooks) == ["three"]


async def test_a_wrong_provider_is_told_once_and_works_when_it_is_mended(
    outbox: Outbox, around: Around, hooks: Hooks
) -> None:
    around.have(CHAT, "no address")
    await outbox.add([delivery("one"), delivery("two")])
    await until(lambda: around.told)
    around.have(CHAT, hooks.url)
    outbox.wake(CHAT)
    await until(lambda: len(hooks.requests) == 2)
    assert len(around.told) == 1
    assert around.told[0].startswith(
        "failed to dispatch notification for Kustomization/apps/app: "
        "failed to initialize notifier for provider 'chat': failed to initialize notifier: "
    )


async def test_a_missing_secret_is_waited_for(outbox: Outbox, around: Around, hooks: Hooks) -> None:
    around.have(CHAT, hooks.url, secretRef={"name": "auth"})
    around.held[CHAT] = InvalidProvider("failed to get secret 'apps/auth': not found")
    await outbox.add([delivery("one")])
    await until(lambda: around.told)
    around.held[CHAT] = Secrets({"headers": b"X-Key: one"})
    await until(lambda: hooks.requests)
    assert hooks.requests[0].headers["x-key"] == "one"


async def test_a_changed_secret_is_used_soon_and_an_unchanged_one_read_rarely(
    outbox: Outbox, around: Around, hooks: Hooks
) -> None:
    around.have(CHAT, hooks.url, secretRef={"name": "auth"})
    around.held[CHAT] = Secrets({"headers": b"X-Key: one"})
    await outbox.add([delivery(str(number)) for number in range(100)])
    await until(lambda: len(hooks.requests) == 100)
    assert around.reads < 10
    around.held[CHAT] = Secrets({"headers": b"X-Key: two"})

    async def sends_the_new_one() -> bool:
        await outbox.add([delivery("later")])
        await asyncio.sleep(0.05)
        return hooks.requests[-1].headers["x-key"] == "two"

    async with asyncio.timeout(10):
        while not await sends_the_new_one():
            pass


async def test_what_waits_is_delivered_after_a_restart(journal: Journal, around: Around, hooks: Hooks) -> None:
    hooks.answers = [Reply(503)]
    around.have(CHAT, hooks.url)
    before = Outbox(journal, around, longest=3600.0, limit=1000)
    await before.add([delivery("one"), delivery("two")])
    await until(lambda: hooks.requests)
    await before.stop()
    hooks.answers, hooks.requests = [Reply()], []
    after = Outbox(journal, around, longest=3600.0, limit=1000)
    after.start({CHAT: 2})
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["one", "two"]
    await after.stop()
