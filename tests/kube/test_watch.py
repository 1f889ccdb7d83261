"""The cache against a scripted API: whatever happens to the watch, the content is right and every end is reported."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.kube import watch
from shared.kube.client import Client
from shared.kube.watch import Cache, Change
from tests.kube.fake_api import FakeApi, status


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SHORTEST_PAUSE", 0.02)
    monkeypatch.setattr(watch, "LONGEST_PAUSE", 0.1)


class Seen(list[tuple[str, str]]):
    """Changes as (type, name), and a way to wait for them."""

    def note(self, change: Change[Any]) -> None:
        self.append((change.type, change.key[1]))

    async def until(self, *expected: tuple[str, str]) -> None:
        async with asyncio.timeout(5):
            while not set(expected) <= set(self):
                await asyncio.sleep(0.005)


def names(cache: Cache[Any]) -> set[str]:
    return {key[1] for key, _ in cache.items()}


@pytest.mark.parametrize("streaming", [False, True])
async def test_it_starts_with_what_is_there_and_follows(api: FakeApi, client: Client, streaming: bool) -> None:
    for n in range(5):
        api.put(f"m{n}")
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap", streaming=streaming, page=2)
    seen = Seen()
    cache.on_change(seen.note)
    await cache.start()
    assert names(cache) == {f"m{n}" for n in range(5)}
    assert len(seen) == 5
    assert client.calls["list", "configmaps"] == (0 if streaming else 3)
    api.put("new", data={"a": "1"})
    api.put("m1", data={"a": "2"})
    api.remove("m0")
    await seen.until(("added", "new"), ("modified", "m1"), ("deleted", "m0"))
    assert cache.get("default", "m0") is None
    assert cache.get("default", "m1")["data"] == {"a": "2"}
    assert cache.get("default", "m1")["kind"] == "ConfigMap"
    await cache.stop()


async def test_who_waits_for_one_object_hears_of_no_other(api: FakeApi, client: Client) -> None:
    for name in ("mine", "other"):
        api.put(name)
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")
    await cache.start()
    everything, mine, again = Seen(), Seen(), Seen()
    cache.on_change(everything.note)
    ends = [cache.on_change(seen.note, key=("default", "mine"), replay=seen is again) for seen in (mine, again)]
    api.put("other", data={"a": "1"})
    api.put("mine", data={"a": "1"})
    await everything.until(("modified", "other"), ("modified", "mine"))
    assert (mine, again) == ([("modified", "mine")], [("added", "mine"), ("modified", "mine")])
    ends[0]()
    api.remove("mine")
    await everything.until(("deleted", "mine"))
    assert (len(mine), again[-1]) == (1, ("deleted", "mine"))
    ends[1]()
    api.put("mine")
    await everything.until(("added", "mine"))
    assert len(again) == 3
    await cache.stop()


async def test_a_server_that_can_not_stream_is_listed(api: FakeApi, client: Client) -> None:
    api.streams = False
    api.put("a")
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap", streaming=True)
    await cache.start()
    assert names(cache) == {"a"}
    await cache.stop()


async def test_a_cut_watch_is_resumed_where_it_was(api: FakeApi, client: Client) -> None:
    api.put("a")
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")
    await cache.start()
    seen = Seen()
    cache.on_change(seen.note)
    await api.cut_watches()
    api.put("b")
    await seen.until(("added", "b"))
    assert seen == [("added", "b")]
    assert client.calls["list", "configmaps"] == 1
    await cache.stop()


@pytest.mark.parametrize("streaming", [False, True])
async def test_after_a_410_what_vanished_is_reported_as_deleted(api: FakeApi, client: Client, streaming: bool) -> None:
    for name in ("stays", "changes", "goes", "reborn"):
        api.put(name)
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap", streaming=streaming)
    await cache.start()
    seen = Seen()
    cache.on_change(seen.note)
    api.script = [lambda _: status(410, "Expired", "too old resource version")]
    api.remove("goes")
    api.put("changes", data={"a": "1"})
    api.remove("reborn")
    api.put("reborn", uid="another")
    api.put("new")
    api.forget()
    await api.cut_watches()
    await seen.until(("added", "new"))
    assert sorted(seen) == [
        ("added", "new"),
        ("added", "reborn"),
        ("deleted", "goes"),
        ("deleted", "reborn"),
        ("modified", "changes"),
    ]
    assert names(cache) == {"stays", "changes", "reborn", "new"}
    await cache.stop()


async def test_a_forbidden_resource_does_not_block_and_is_asked_for_again(api: FakeApi, client: Client) -> None:
    await client.discovery.find("v1", "ConfigMap")
    api.put("a")
    api.script = [lambda _: status(403, "Forbidden", "configmaps is forbidden")]
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")
    await cache.start()
    assert not cache.synced
    assert "forbidden" in str(cache.problem)
    async with asyncio.timeout(5):
        await cache.wait_synced()
    assert names(cache) == {"a"}
    assert cache.problem is None
    await cache.stop()


async def test_a_kind_that_comes_later_is_found(api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.kube.discovery.LOOK_AGAIN_AFTER", 0.0)
    served, api.resources = api.resources, []
    api.put("a")
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")
    await cache.start()
    assert not cache.synced
    api.resources = served
    async with asyncio.timeout(5):
        await cache.wait_synced()
    assert names(cache) == {"a"}
    await cache.stop()


async def test_metadata_only_keeps_little_and_asks_for_little(api: FakeApi, client: Client) -> None:
    fields = [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:data": {}}}]
    api.put("a", data={"k": "v"}, metadata={"labels": {"x": "1"}, "managedFields": fields})
    cache: Cache[watch.Metadata] = Cache(client, "v1", "ConfigMap", metadata_only=True)
    await cache.start()
    found = cache.get("default", "a")
    assert found is not None
    assert (found.name, found.uid, found.labels) == ("a", "uid-a", {"x": "1"})
    assert b"f:data" in bytes(found.managed_fields)
    assert (
        "PartialObjectMetadataList"
        in next(r for r in api.requests if "watch" not in r.query and r.query).headers["Accept"]
    )
    async with asyncio.timeout(5):
        while not any("watch" in r.query for r in api.requests):
            await asyncio.sleep(0.01)
    await cache.stop()


async def test_keep_decides_what_is_stored_and_reported(api: FakeApi, client: Client) -> None:
    api.put("a", data={"k": "v"})
    cache: Cache[str] = Cache(client, "v1", "ConfigMap", keep=lambda m: m["metadata"]["uid"])
    changes: list[Change[str]] = []
    cache.on_change(changes.append)
    await cache.start()
    assert cache.values() == ["uid-a"]
    assert changes[0].manifest == "uid-a"
    await cache.stop()


async def test_a_failing_callback_harms_nobody(api: FakeApi, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    api.put("a")
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")

    def fails(change: Change[Any]) -> None:
        raise RuntimeError("oh")

    seen = Seen()
    cache.on_change(fails)
    cache.on_change(seen.note)
    await cache.start()
    assert seen == [("added", "a")]
    assert "a callback failed" in caplog.text
    await cache.stop()


async def test_a_stop_ends_a_start_that_is_under_way(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Cache, "_run", never)
    cache: Cache[Any] = Cache(client, "v1", "ConfigMap")
    start = asyncio.create_task(cache.start())
    await asyncio.sleep(0)
    await cache.stop()
    async with asyncio.timeout(1):
        await start
    assert not cache.synced
