"""What reaches Kubernetes and the notification controller of the events that are recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from shared.api.meta import Manifest, ObjectMeta
from shared.api.source import GitRepository, GitRepositorySpec
from shared.loop.endpoint import Endpoint
from shared.loop.events import Recorder


class Kept:
    """Takes what a client is asked to write."""

    def __init__(self) -> None:
        self.created: list[Manifest] = []
        self.patched: list[Manifest] = []

    async def create(self, manifest: Manifest, **_: Any) -> Manifest:
        self.created.append(manifest)
        return manifest

    async def patch(
        self, api_version: str, kind: str, name: str, namespace: str, patch: Manifest, **_: Any
    ) -> Manifest:
        assert name == self.created[-1]["metadata"]["name"]
        self.patched.append(patch)
        return patch


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def recorder(kept: Kept) -> AsyncIterator[Recorder]:
    made = Recorder(kept, "source-controller")  # type: ignore[arg-type]
    await made.start()
    yield made
    await made.stop()


def repository() -> GitRepository:
    metadata = ObjectMeta(name="app", namespace="default", uid="1")
    return GitRepository(metadata=metadata, spec=GitRepositorySpec(url="https://example.org/app", interval="1m"))


async def told_twice(kept: Kept) -> Recorder:
    """A recorder that stores and posts two events, the messages of which are first and second."""
    made = Recorder(kept, "source-controller", "events.example.org")  # type: ignore[arg-type]
    await made.start()
    for message in ("first", "second"):
        made.record(repository(), "NewArtifact", message, "info", {})
    return made


async def test_a_repeat_raises_the_count(kept: Kept, recorder: Recorder) -> None:
    for _ in range(3):
        recorder.record(repository(), "GitOperationFailed", "no route to host", "error", {})
    recorder.record(repository(), "GitOperationFailed", "connection refused", "error", {})
    await recorder.until_sent()
    assert [each["message"] for each in kept.created] == ["no route to host", "connection refused"]
    assert [each["type"] for each in kept.created] == ["Warning", "Warning"]
    assert [each["count"] for each in kept.patched] == [2, 3]


async def test_an_event_that_names_a_file_in_another_encoding_is_told_and_so_are_others(
    kept: Kept, recorder: Recorder
) -> None:
    recorder.record(repository(), "BuildFailed", "caf\udce9.yaml is broken", "error", {"revision": "caf\udce9"})
    recorder.record(repository(), "NewArtifact", "stored artifact", "info", {})
    await recorder.until_sent()
    assert [orjson.loads(orjson.dumps(each))["message"] for each in kept.created] == [
        r"caf\xe9.yaml is broken",
        "stored artifact",
    ]


async def test_an_event_that_breaks_its_sender_keeps_no_other_from_being_told(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, posted = kept.create, []

    async def create_others(manifest: Manifest, **_: Any) -> Manifest:
        if manifest["message"] == "first":
            raise RuntimeError("a bug")
        return await create(manifest)

    async def post_others(endpoint: Endpoint, body: bytes, within: float) -> int:
        if (message := orjson.loads(body)["message"]) == "first":
            raise RuntimeError("a bug")
        posted.append(message)
        return 202

    monkeypatch.setattr(kept, "create", create_others)
    monkeypatch.setattr(Endpoint, "post", post_others)
    recorder = await told_twice(kept)
    await recorder.stop()
    assert [each["message"] for each in kept.created] == ["second"]
    assert posted == ["second"]


async def test_posting_does_not_wait_for_what_the_api_is_slow_to_store(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, goes_on, is_posted = kept.create, asyncio.Event(), asyncio.Event()

    async def create_slowly(manifest: Manifest, **_: Any) -> Manifest:
        await goes_on.wait()
        return await create(manifest)

    async def post(endpoint: Endpoint, body: bytes, within: float) -> int:
        if orjson.loads(body)["message"] == "second":
            is_posted.set()
        return 202

    monkeypatch.setattr(kept, "create", create_slowly)
    monkeypatch.setattr(Endpoint, "post", post)
    recorder = await told_twice(kept)
    async with asyncio.timeout(10):
        await is_posted.wait()
    goes_on.set()
    await recorder.stop()
    assert [each["message"] for each in kept.created] == ["first", "second"]


async def test_events_are_posted_through_the_proxy_of_the_environment(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Any]] = []

    async def take(request: web.BaseRequest) -> web.Response:
        asked.append((str(request.url), await request.json()))
        return web.Response(status=202)

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("http_proxy", "http://{}:{}".format(*runner.addresses[0]))
    recorder = Recorder(kept, "source-controller", "events.example.org")  # type: ignore[arg-type]
    await recorder.start()
    recorder.record(repository(), "NewArtifact", "stored artifact", "info", {})
    await recorder.stop()
    await runner.cleanup()
    assert [(url, event["reason"]) for url, event in asked] == [("http://events.example.org/", "NewArtifact")]
