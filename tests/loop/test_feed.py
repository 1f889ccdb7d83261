"""What kopf leaves out is made up for."""

from __future__ import annotations

import asyncio

import pytest

from shared.loop import feed
from shared.loop.feed import Relisting


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
