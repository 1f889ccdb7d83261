"""A process that is killed anywhere while it publishes: nothing half-done is told of or served, and it converges."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import multiprocessing
import os
import random
import time
import zlib

import aiohttp
import pytest

from fluvial.processes import free_ports
from shared.api import crd
from shared.api.source import ArtifactGenerator, ExternalArtifact
from source_controller import __main__ as source_controller
from tests.kit.remotes import bucket, git, oci
from tests.source_controller.conftest import GROUP, condition

KILLS = 50
SIZE = 1_500_000
SOURCES = {"g": "GitRepository", "o": "OCIRepository", "b": "Bucket", "part": "ExternalArtifact"}


class Controller:
    """The controller as a process that is born at once: it comes from one that has everything imported."""

    def __init__(self, flags):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["source_controller.__main__"])
        self._flags = flags
        self.process = None

    def start(self):
        self.process = self._context.Process(target=_run, args=(self._flags,), daemon=True)
        self.process.start()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()


def _run(flags):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    source_controller.main(flags)


class Reader:
    """Fetches what the objects' statuses tell of, as consumers do, over and over."""

    def __init__(self, world):
        self.world, self.good, self.bad = world, 0, []

    async def run(self):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                for artifact in await told(self.world):
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # it is dead: no bytes, no lie
                        async with session.get(artifact["url"]) as answer:
                            if answer.status == 200:
                                self._judge(artifact, await answer.read())
                await asyncio.sleep(0.02)

    def _judge(self, artifact, content):
        if artifact["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}":
            self.good += 1
        else:
            self.bad.append(artifact)


async def told(world):
    """The artifacts that statuses name."""
    found = []
    for kind in SOURCES.values():
        statuses = [obj.get("status") or {} for obj in await world.kube.list(GROUP, kind, world.namespace)]
        found += [status["artifact"] for status in statuses if status.get("artifact")]
    return found


def published(storage):
    """The files that are named as finished ones, and those that aren't."""
    files = [file for file in storage.glob("*/*/*/*") if file.is_file() and not file.is_symlink()]
    return [f for f in files if not f.name.startswith(".part-")], [f for f in files if f.name.startswith(".part-")]


def is_whole(file):
    """Does it end where gzip says it does?"""
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        member.decompress(file.read_bytes())
    except zlib.error:
        return False
    return member.eof and not member.unused_data


@pytest.fixture
async def sources(world, tmp_path):
    """Sources of three kinds and a part of one; gives what changes them all."""
    for kind in (ArtifactGenerator, ExternalArtifact):
        await world.kube.apply(crd.definition(kind), field_manager="test")
    with git(tmp_path) as repository, oci(tmp_path) as image, bucket(tmp_path) as objects:
        remotes = {"g": repository, "o": image, "b": objects}
        for name, remote in remotes.items():
            await world.put(name, {**remote.spec, "interval": "1s"}, remote.kind)
        await world.kube.apply(
            {
                "apiVersion": "source.extensions.fluxcd.io/v1beta1",
                "kind": "ArtifactGenerator",
                "metadata": {"name": "parts", "namespace": world.namespace},
                "spec": {
                    "sources": [{"alias": "repo", "kind": "GitRepository", "name": "g"}],
                    "artifacts": [{"name": "part", "copy": [{"from": "@repo/**", "to": "@artifact/"}]}],
                },
            },
            field_manager="test",
        )

        def change():
            for remote in remotes.values():
                remote.change(SIZE)

        yield change


@pytest.mark.timeout(600)
async def test_a_process_killed_at_any_point_tells_and_serves_nothing_half_done(world, sources):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    [port] = free_ports(1)
    flags = [*world.flags, f"--storage-addr=127.0.0.1:{port}", f"--kubeconfig={world.kubeconfig}"]
    controller, reader = Controller(flags), Reader(world)
    reading = asyncio.create_task(reader.run())
    in_the_middle = 0
    try:
        for number in range(KILLS):
            await asyncio.to_thread(sources)
            await asyncio.to_thread(controller.start)
            if number % 2:  # somewhere in its life
                await asyncio.sleep(chance.uniform(0, 2))
            else:  # somewhere in the writing of an artifact
                await until(lambda: published(world.storage)[1], 20)
                await asyncio.sleep(chance.uniform(0, 0.05))
            await asyncio.to_thread(controller.kill)
            whole, unfinished = published(world.storage)
            in_the_middle += bool(unfinished)
            assert [str(file) for file in whole if not is_whole(file)] == [], f"kill {number} of seed {seed}"
            assert reader.bad == [], f"kill {number} of seed {seed}"
    finally:
        await asyncio.to_thread(controller.kill)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert in_the_middle >= KILLS // 10, "it was killed while it wrote"

    before = [artifact["digest"] for artifact in await told(world)]
    await asyncio.to_thread(sources)
    await world.start(
        f"--storage-addr=127.0.0.1:{port}", "--artifact-retention-ttl=1ms", "--artifact-retention-records=1"
    )
    for name, kind in SOURCES.items():
        after = await world.until(
            name,
            lambda obj: (
                condition(obj, "Ready") == "True"
                and obj["status"]["artifact"]["digest"] not in before
                and world.stored(obj).exists()
            ),
            kind,
        )
        content = world.stored(after).read_bytes()
        assert after["status"]["artifact"]["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert published(world.storage)[1] == [], "what the killed left is swept"
    assert reader.good > 0


async def until(holds, within):
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.002)
