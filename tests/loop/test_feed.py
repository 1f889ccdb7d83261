"""What kopf leaves out is made up for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator

import pytest

from fluvial.processes import free_ports
from shared.api import crd
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest, ResourceKind
from shared.kube import config
from shared.kube.client import Client
from shared.loop import feed, session
from shared.loop.feed import Feed, Relisting
from shared.loop.session import Events


def nothing(*_: object) -> str:
    return ""


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


async def test_a_change_that_cannot_be_taken_in_keeps_no_other_from_being_heard_of(caplog):
    seen = []

    def deliver(kind, type_, manifest):
        if manifest == 1:
            raise RuntimeError("odd")
        seen.append(manifest)

    changed = Feed([], connection=None, deliver=deliver, take=nothing)._handler(Kustomization.resource)
    for number in range(3):
        await changed(event={"type": "MODIFIED", "object": number})
    assert seen == [0, 2]
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
        lines = [line async for line in Events(Pieces(*pieces), "/apis", nothing).iter_chunked(1024)]
        assert lines == [added, Events.LIST_AGAIN + b"\n", added]


async def test_of_changes_that_were_taken_kopf_hears_how_far_the_watch_has_come(monkeypatch):
    monkeypatch.setattr(session, "TELLING", 0.0)

    def take(data):
        taken.append(json.loads(data))
        return str(taken[-1]["version"]) if taken[-1]["readable"] else ""

    def change(type_, version, *, readable=True):
        line = {"type": type_, "object": {"version": version, "readable": readable}}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    taken = []
    deleted, unreadable = change("DELETED", 1), change("ADDED", 5, readable=False)
    second, third, fourth, sixth = (change(*of) for of in (("ADDED", 2), *(("MODIFIED", of) for of in (3, 4, 6))))
    pieces = deleted + second + third, fourth + unreadable, sixth[:9], sixth[9:]
    lines = [line async for line in Events(Pieces(*pieces), "/apis", take).iter_chunked(1024)]
    assert [each["version"] for each in taken] == [2, 3, 4, 5, 6]
    assert lines == [deleted, Events.PLACE % b"3", unreadable, Events.PLACE % b"6"]


class Cluster:
    """An embedded API and a feed of its Kustomizations; `heard` has the name of each that was delivered."""

    def __init__(self, client: Client, connection: config.Connection) -> None:
        self.client = client
        self.heard: list[str] = []
        self._changed = asyncio.Event()
        self.feed = Feed([Kustomization.resource], connection=connection, deliver=self._deliver, take=nothing)

    def _deliver(self, kind: ResourceKind, type_: str | None, manifest: Manifest) -> None:
        self.heard.append(manifest["metadata"]["name"])
        self._changed.set()

    async def have(self, name: str) -> None:
        manifest: Manifest = {
            "apiVersion": Kustomization.resource.api_version,
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}},
        }
        await self.client.apply(manifest, field_manager="tests")

    async def until_heard(self, name: str) -> None:
        async with asyncio.timeout(20):
            while name not in self.heard:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def cluster(api: Client) -> AsyncIterator[Cluster]:
    made = Cluster(api, api.transport.connection)
    try:
        await api.apply(crd.definition(Kustomization), field_manager="tests")
        yield made
    finally:
        await made.feed.stop()


async def test_an_operator_that_ends_by_an_error_is_started_again_and_harms_nobody_else(cluster, monkeypatch, caplog):
    monkeypatch.setattr(feed, "RESTART_DELAY", 0.01)
    await cluster.feed.start()
    await cluster.have("one")
    await cluster.until_heard("one")
    younger = asyncio.create_task(asyncio.Event().wait())
    understood = Events._understood
    monkeypatch.setattr(Events, "_understood", lambda *_: b"nonsense")
    await cluster.have("two")
    async with asyncio.timeout(20):
        while "watching custom resources ended" not in caplog.text:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(Events, "_understood", understood)
    await cluster.until_heard("two")
    await cluster.have("three")
    await cluster.until_heard("three")
    await cluster.feed.stop()
    assert not younger.done()
    younger.cancel()


async def test_signals_stay_the_process_own(cluster):
    loop, came = asyncio.get_running_loop(), asyncio.Event()

    def heed() -> None:
        loop.add_signal_handler(signal.SIGTERM, came.set)
        loop.add_signal_handler(signal.SIGINT, came.set)

    cluster.feed._heed_signals = heed
    heed()
    try:
        await cluster.feed.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            came.clear()
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                await came.wait()
        await cluster.have("one")
        await cluster.until_heard("one")
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


async def test_a_feed_that_waits_for_the_api_stops_at_once(tmp_path):
    connection = config.Connection(server=f"http://127.0.0.1:{free_ports(1)[0]}")
    made = Feed([Kustomization.resource], connection=connection, deliver=nothing, take=nothing)
    await made.start()
    async with asyncio.timeout(5):
        await made.stop()
