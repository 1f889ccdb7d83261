"""What kopf leaves out is made up for."""

from __future__ import annotations

import asyncio

import pytest

from shared.loop import feed
from shared.loop.feed import Relisting, _Events


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
