"""What is published can be fetched, and only what matches its digest is handed out."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web

from shared.api.meta import Artifact
from shared.artifact.addresses import Owner
from shared.artifact.fetch import ArtifactError, ArtifactNotFound, Fetcher, overridden
from shared.artifact.server import FileServer
from shared.artifact.store import Store
from shared.artifact.tar import pack

OWNER = Owner("GitRepository", "ns", "app")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
async def world(tmp_path):
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


class World:
    def __init__(self, root: Path):
        self.root = root

    async def start(self):
        self.server = FileServer(self.root / "data")
        await self.server.start("127.0.0.1:0")
        self.base = f"http://127.0.0.1:{self.server.port}"
        self.store = Store(self.root / "data", self.base)
        await self.store.open()
        self.fetcher = Fetcher(self.root / "cache", retries=2, wait=(0.01, 0.02))
        self.http = aiohttp.ClientSession()

    async def stop(self):
        await self.fetcher.close()
        await self.http.close()
        await self.server.stop()
        self.store.close()

    async def publish(self, files: dict[str, str], name: str = "r1", owner: Owner = OWNER) -> Artifact:
        source = self.root / f"source-{time.monotonic_ns()}"
        for path, text in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_text(text)
        return await self.store.publish(owner, f"{name}.tar.gz", name, lambda out: pack(source, out))

    async def status(self, path: str, method: str = "GET") -> int:
        async with self.http.request(method, aiohttp.client.URL(self.base + path, encoded=True)) as response:
            return response.status


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


async def test_a_published_tree_is_fetched(world):
    artifact = await world.publish({"a.yaml": "a", "deep/b.yaml": "b"})
    assert files(await world.fetcher.fetch(artifact)) == {"a.yaml": "a", "deep/b.yaml": "b"}


async def test_an_old_digest_never_gives_new_bytes(world):
    old = await world.publish({"a": "1"})
    new = await world.publish({"a": "2"})
    assert old.path == new.path
    assert files(await world.fetcher.fetch(old)) == {"a": "1"}
    assert files(await world.fetcher.fetch(new)) == {"a": "2"}
    assert await world.store.collect(OWNER, new) == []
    (world.root / "data" / old.path).unlink()
    fresh = Fetcher(world.root / "cache2", retries=0)
    with pytest.raises(ArtifactNotFound):
        await fresh.fetch(old)
    assert files(await fresh.fetch(new)) == {"a": "2"}
    await fresh.close()


async def test_the_server_knows_ranges_etags_and_head(world):
    artifact = await world.publish({"a": "1" * 1000})
    data = (world.root / "data" / artifact.path).read_bytes()
    async with world.http.get(artifact.url) as response:
        assert (response.status, await response.read()) == (200, data)
        assert response.content_type == "application/gzip"
        etag = response.headers["ETag"]
    async with world.http.head(artifact.url) as response:
        assert (response.status, response.content_length) == (200, len(data))
    async with world.http.get(artifact.url, headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    async with world.http.get(artifact.url, headers={"Range": "bytes=10-19"}) as response:
        assert (response.status, await response.read()) == (206, data[10:20])
    async with world.http.post(artifact.url) as response:
        assert response.status == 405


async def test_a_probe_of_the_root_sees_that_the_server_works(world):
    assert await world.status("/") == 200


async def test_nothing_else_is_served(world):
    artifact = await world.publish({"a": "1"})
    folder = world.root / "data" / OWNER.directory
    (world.root / "secret").write_text("s")
    (folder / ".part-1").write_text("half")
    (folder / "out").symlink_to(world.root / "secret")
    (folder / "dir").symlink_to("/etc")
    (folder / "latest.tar.gz").symlink_to(Path(artifact.path).name)
    there = f"/{OWNER.directory}"
    assert await world.status(f"{there}/latest.tar.gz") == 200
    for path in (
        "/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/%2fetc/passwd", there, there + "/",
        f"{there}/.part-1", f"{there}/out", f"{there}/dir/passwd", f"{there}/absent", "/%00", f"{there}/r1.tar.gz/x",
        f"/sha256:00/{OWNER.directory}/r1.tar.gz", "/sha256:00/", "/:/..", f"/x:../..{there}/r1.tar.gz",
        "/" + "a" * 5000, "/..%5csecret",
    ):  # fmt: skip
        assert await world.status(path) == 404, path


async def test_two_hundred_slow_downloads_keep_nobody_waiting(world):
    source = world.root / "big"
    source.mkdir()
    (source / "random").write_bytes(os.urandom(24 << 20))  # more than the buffers of a connection hold
    artifact = await world.store.publish(OWNER, "big.tar.gz", "r", lambda out: pack(source, out, level=0))
    small = await world.publish({"a": "1"}, owner=Owner("GitRepository", "ns", "other"))
    begun, others_served = asyncio.Semaphore(0), asyncio.Event()

    async def load(http):
        async with http.get(artifact.url) as response:
            hashed = hashlib.sha256(await response.content.readexactly(1000))
            begun.release()
            await others_served.wait()
            async for block in response.content.iter_any():
                hashed.update(block)
            assert f"sha256:{hashed.hexdigest()}" == artifact.digest

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http, asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(load(http))
        for _ in range(200):
            await begun.acquire()
        assert await world.status("/") == 200
        assert files(await world.fetcher.fetch(small)) == {"a": "1"}
        others_served.set()


async def test_who_knows_the_new_address_waits_for_nobody_at_the_old_one(world):
    """A source-controller that was started again may serve the same artifact elsewhere."""
    artifact = await world.publish({"a.txt": "one"})
    patient = Fetcher(world.root / "patient", retries=9, wait=(60.0, 60.0))
    lost = msgspec.structs.replace(artifact, url="http://127.0.0.1:1/gone.tar.gz")
    waiting = asyncio.create_task(patient.fetch(lost))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        with pytest.raises(ArtifactError):
            await patient.fetch(lost, retries=0)
        found = await patient.fetch(artifact)
    assert (found / "a.txt").read_text() == "one"
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await patient.close()


async def test_one_digest_is_fetched_once_whoever_asks(world):
    artifact = await world.publish({"a": "1"})
    requests = 0

    async def counted(request):
        nonlocal requests
        requests += 1
        await asyncio.sleep(0.05)
        return web.FileResponse(world.root / "data" / artifact.path)

    async with serving(counted) as base:
        other = Artifact(**{**_fields(artifact), "url": f"{base}/x"})
        found = await asyncio.gather(*(world.fetcher.fetch(other) for _ in range(20)))
        assert len(set(found)) == 1
        await world.fetcher.fetch(other)
    assert requests == 1


async def test_the_first_fetches_after_a_start_come_all_at_once_and_what_was_left_is_gone(world):
    for number in range(100):
        (world.root / "cache" / f"left-{number}").mkdir(parents=True)
    artifacts = [await world.publish({"a": str(number)}, name=str(number)) for number in range(8)]
    found = await asyncio.gather(*(world.fetcher.fetch(artifact) for artifact in artifacts))
    assert [files(root) for root in found] == [{"a": str(number)} for number in range(8)]
    assert sorted(names(world.root / "cache")) == sorted(root.name for root in found)


async def test_one_who_leaves_does_not_take_the_others_along(world):
    artifact = await world.publish({"a": "1"})
    gate = asyncio.Event()

    async def slow(request):
        await gate.wait()
        return web.FileResponse(world.root / "data" / artifact.path)

    async with serving(slow) as base:
        other = Artifact(**{**_fields(artifact), "url": f"{base}/x"})
        leaving, staying = (asyncio.create_task(world.fetcher.fetch(other)) for _ in range(2))
        await asyncio.sleep(0.05)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        alone = asyncio.create_task(world.fetcher.fetch(other))
        gate.set()
        assert files(await staying) == files(await alone) == {"a": "1"}


async def test_the_last_who_leaves_ends_the_download(world):
    artifact = await world.publish({"a": "1"})
    gone = asyncio.Event()

    async def slow(request):
        try:
            await asyncio.sleep(60)
        finally:
            gone.set()

    async with serving(slow, handler_cancellation=True) as base:
        task = asyncio.create_task(world.fetcher.fetch(Artifact(**{**_fields(artifact), "url": f"{base}/x"})))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait_for(gone.wait(), 10)
    assert files(await world.fetcher.fetch(artifact)) == {"a": "1"}


async def test_a_missing_artifact_is_not_tried_again(world):
    artifact = await world.publish({"a": "1"})
    artifact.url += "x"
    began = time.monotonic()
    with pytest.raises(ArtifactNotFound, match="not found"):
        await Fetcher(world.root / "c", retries=5, wait=(30, 30)).fetch(artifact)
    assert time.monotonic() - began < 10


async def test_other_bytes_are_refused(world):
    artifact = await world.publish({"a": "1"})
    artifact.digest = "sha256:" + "0" * 64
    with pytest.raises(ArtifactError, match="but the source says sha256:000"):
        await world.fetcher.fetch(artifact)
    assert [name for name in names(world.root / "cache") if not name.startswith(".")] == []


async def test_a_server_that_fails_is_asked_again(world):
    artifact = await world.publish({"a": "1"})
    answers = [503, 429, 200]

    async def flaky(request):
        status = answers.pop(0)
        if status == 200:
            return web.FileResponse(world.root / "data" / artifact.path)
        return web.Response(status=status)

    async with serving(flaky) as base:
        assert files(await world.fetcher.fetch(Artifact(**{**_fields(artifact), "url": f"{base}/x"}))) == {"a": "1"}


async def test_a_server_that_keeps_failing_or_cuts_is_an_error(world):
    artifact = await world.publish({"a": "1"})

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.close()
        return response

    async def failing(request):
        return web.Response(status=500)

    for handler, message in ((cut, "can't fetch"), (failing, "answers 500")):
        async with serving(handler) as base:
            with pytest.raises(ArtifactError, match=message):
                await world.fetcher.fetch(Artifact(**{**_fields(artifact), "url": f"{base}/x"}))
    with pytest.raises(ArtifactError, match="can't fetch"):
        await world.fetcher.fetch(Artifact(**{**_fields(artifact), "url": "http://127.0.0.1:1/x"}))
    with pytest.raises(ArtifactError, match="no URL"):
        await world.fetcher.fetch(Artifact(**{**_fields(artifact), "url": "nonsense"}))


async def test_a_tarball_with_bad_content_is_refused_although_its_digest_is_right(world):
    artifact = await world.store.publish(OWNER, "bad.tar.gz", "r", lambda out: out.write(b"no tarball"))
    with pytest.raises(ArtifactError, match=r"can't be unpacked: .*no gzip"):
        await world.fetcher.fetch(artifact)


async def test_the_cache_keeps_to_its_size_but_not_at_the_cost_of_holders(world, monkeypatch):
    monkeypatch.setattr("shared.artifact.fetch._GRACE", 0.0)
    fetcher = Fetcher(world.root / "small", max_bytes=150)
    made = [await world.publish({"a": str(number) * 100}, f"r{number}") for number in range(3)]
    async with fetcher.hold(made[0]) as first:
        second = await fetcher.fetch(made[1])
        third = await fetcher.fetch(made[2])
        assert files(first) == {"a": "0" * 100}
        assert not second.exists()
    assert files(third) == {"a": "2" * 100}
    await fetcher.close()


async def test_an_artifact_that_is_no_tree_is_downloaded(world):
    artifact = await world.store.publish(OWNER, "chart.tgz", "1.0.0", lambda out: out.write(b"chart"))
    await world.fetcher.download(artifact, world.root / "chart.tgz")
    assert (world.root / "chart.tgz").read_bytes() == b"chart"


def test_the_host_can_be_overridden_for_development(monkeypatch):
    monkeypatch.setenv("SOURCE_CONTROLLER_LOCALHOST", "localhost:9090")
    url = "http://source-controller.flux-system.svc.cluster.local./gitrepository/ns/n/sha256:ab.tar.gz"
    assert str(overridden(url)) == "http://localhost:9090/gitrepository/ns/n/sha256:ab.tar.gz"
    assert str(overridden("http://x/externalartifact/a/b/c")) == "http://x/externalartifact/a/b/c"


def _fields(artifact: Artifact) -> dict:
    return {name: getattr(artifact, name) for name in artifact.__struct_fields__}


class serving:  # noqa: N801 (reads as a statement)
    def __init__(self, handler, **options):
        self._app, self._options = web.Application(), options
        self._app.router.add_get("/x", handler)

    async def __aenter__(self) -> str:
        self._runner = web.AppRunner(self._app, shutdown_timeout=0.1, **self._options)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *exc):
        await self._runner.cleanup()
