"""What kopf leaves out is made up for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import pytest

from shared.api.kustomize import Kustomization
from shared.loop import feed
from shared.loop.feed import Feed, Relisting, _Events


@pytest.fixture
def doubted(monkeypatch):
    monkeypatch.setattr(feed, "RELIST_QUIET", 0.02)
    return []


async def test_a_relisting_doubts_the_objects_that_it_does_not_repeat(doubted):
    relisting = Relisting(doubted.extend)
    for name in ("a", "b", "c"):
        relisting.note(None, "ns", name)
    relisting.note("ADDED", "ns", "d")
    relisting.note("DELETED", "ns", "c")
    for name in ("a", "d"):
        relisting.note(None, "ns", name)
    async with asyncio.timeout(5):
        while not doubted:
            await asyncio.sleep(0.01)
    assert doubted == [("ns", "b")]


async def test_a_first_listing_doubts_nothing(doubted):
    relisting = Relisting(doubted.extend)
    for name in ("a", "b"):
        relisting.note(None, "ns", name)
    relisting.note("MODIFIED", "ns", "a")
    await asyncio.sleep(0.06)
    assert doubted == []


def handing_over(deliver: Any) -> tuple[Feed, Any]:
    """A feed whose watches are the test, and what a watch calls with each event."""
    made = Feed([Kustomization.resource], connection=None, deliver=deliver)
    made._loop = asyncio.get_running_loop()
    return made, made._handler(Kustomization.resource)


async def test_a_change_is_delivered_that_comes_right_when_the_last_one_was(monkeypatch):
    seen, asked = [], []
    made, changed = handing_over(lambda kind, type_, manifest: seen.append(manifest))
    monkeypatch.setattr(made._loop, "call_soon_threadsafe", asked.append)

    class Inbox(deque):
        """The main loop does what it was asked for just before something is put in."""

        def append(self, item):
            while asked:
                asked.pop()()
            super().append(item)

    made._inbox = Inbox()
    for number in range(3):
        await changed(event={"type": "MODIFIED", "object": number})
    for each in asked:
        each()
    assert seen == [0, 1, 2]


async def test_a_change_that_cannot_be_taken_in_keeps_no_other_from_being_heard_of(caplog):
    seen = []

    def deliver(kind, type_, manifest):
        if manifest == 1:
            raise RuntimeError("odd")
        seen.append(manifest)

    _, changed = handing_over(deliver)
    for number in range(3):
        await changed(event={"type": "MODIFIED", "object": number})
    await asyncio.sleep(0)
    await changed(event={"type": "MODIFIED", "object": 3})
    await asyncio.sleep(0)
    assert seen == [0, 2, 3]
    assert "a change of kustomizations can't be taken in: odd" in caplog.text


class Pieces:
    """A body that arrives in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def iter_chunked(self, size):
        for piece in self.pieces:
            yield piece


async def test_every_error_in_a_watch_makes_it_begin_with_a_list():
    added, error = b'{"type":"ADDED","object":{"a":1}}\n', b'{"type":"ERROR","object":{"code":500}}\n'
    body = added + error + added
    for size in (1, 7, 40, len(body)):
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        lines = [line async for line in _Events(Pieces(*pieces), "/apis").iter_chunked(1024)]
        assert lines == [added, _Events.LIST_AGAIN + b"\n", added]
