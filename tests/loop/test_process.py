"""A controller's process on an embedded API: probes, metrics, logs, leader election, shards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import pytest

from fluvial.processes import free_ports
from shared.api import crd
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.kube import config
from shared.kube.client import Client
from shared.loop import flags, logs
from shared.loop.attempt import Attempt
from shared.loop.kinds import Kind
from shared.loop.metrics import expose
from shared.loop.process import Runtime, running
from shared.loop.verdict import Ready

QUIET = ["--health-addr=0", "--metrics-addr=0"]
ELECTION = ["--enable-leader-election", "--leader-election-retry-period=50ms"]


class World:
    """An API server, and controllers that say of each Kustomization who worked on it."""

    def __init__(self, client: Client, connection: config.Connection) -> None:
        self.client, self._connection = client, connection
        self.worked: list[tuple[str, str]] = []
        """The controller and the name of the object, for each attempt."""
        self.found: dict[tuple[str, str], str] = {}
        """What the newest of those attempts found the object's Ready condition to say."""
        self.runtimes: dict[str, Runtime] = {}
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def controller(self, name: str, *arguments: str, serves_always: bool = False) -> AsyncIterator[asyncio.Event]:
        async def reconcile(ks: Kustomization, attempt: Attempt[Kustomization]) -> Ready:
            self.worked.append((name, ks.metadata.name))
            self.found[self.worked[-1]] = next((one.reason for one in ks.status.conditions if one.type == "Ready"), "")
            self._changed.set()
            return Ready("Done", "done")

        async def finalize(ks: Kustomization, attempt: Attempt[Kustomization]) -> None: ...

        async def build(runtime: Runtime) -> Sequence[Kind[Any]]:
            self.runtimes[name] = runtime
            return [Kind(type=Kustomization, reconcile=reconcile, finalize=finalize)]

        options = flags.parse("test-controller", "Tests.", (), [*QUIET, *arguments])
        connection = self._connection
        async with running("test-controller", connection, options, build, serves_always=serves_always) as broken:
            yield broken

    async def define(self) -> None:
        await self.client.apply(crd.definition(Kustomization), field_manager="tests")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
        await self.client.apply(namespace, field_manager="tests")

    async def have(self, name: str, **labels: str) -> None:
        manifest: Manifest = {
            "apiVersion": Kustomization.resource.api_version,
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "flux-system", "labels": labels},
            "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}},
        }
        while True:
            with contextlib.suppress(Exception):
                await self.client.apply(manifest, field_manager="tests")
                return
            await asyncio.sleep(0.05)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def world(api: Client) -> World:
    return World(api, api.transport.connection)


async def answer(address: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}") as response:
        return response.status, await response.text()


async def test_it_is_ready_once_its_kinds_are_served_and_counts_what_it_does(world):
    health, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
    async with world.controller("one", f"--health-addr={health}", f"--metrics-addr={metrics}"):
        assert await answer(f"{health}/healthz") == (200, "ok")
        assert (await answer(f"{health}/readyz"))[0] == 503
        await world.define()
        await world.have("app")
        await world.until(lambda: bool(world.worked))
        async with asyncio.timeout(20):
            while (await answer(f"{health}/readyz"))[0] != 200:
                await asyncio.sleep(0.02)
        status, text = await answer(f"{metrics}/metrics")
        assert status == 200
        labels = '{kind="Kustomization",name="app",namespace="flux-system"}'
        assert f"gotk_reconcile_duration_seconds_count{labels} 1.0" in text
        assert 'fluvial_api_requests_total{controller="test-controller",resource="kustomizations",verb="patch"}' in text
        kind = 'controller="kustomization"'
        for figure in (
            f'controller_runtime_reconcile_total{{{kind},result="requeue_after"}} 1.0',
            f'controller_runtime_reconcile_total{{{kind},result="error"}} 0.0',
            f"controller_runtime_reconcile_errors_total{{{kind}}} 0.0",
            f"controller_runtime_reconcile_time_seconds_count{{{kind}}} 1.0",
            f"controller_runtime_max_concurrent_reconciles{{{kind}}} 4.0",
            f"controller_runtime_active_workers{{{kind}}} 0.0",
            f'workqueue_depth{{{kind},name="kustomization"}} 0.0',
            f'workqueue_adds_total{{{kind},name="kustomization"}} 1.0',
            f'workqueue_work_duration_seconds_count{{{kind},name="kustomization"}} 1.0',
            f'workqueue_longest_running_processor_seconds{{{kind},name="kustomization"}} 0.0',
        ):
            assert f"\n{figure}\n" in text, figure
        host = world.client.server.removeprefix("http://")
        assert f'\nrest_client_requests_total{{code="200",host="{host}",method="PATCH"}} ' in text


async def test_of_two_replicas_one_works_and_the_other_takes_over_when_it_stops(world):
    await world.define()
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(world.controller("first", *ELECTION))
        await world.have("app")
        await world.until(lambda: world.worked == [("first", "app")])
        assert '\nleader_election_master_status{name="test-controller-leader-election"} 1.0\n' in expose().decode()
        async with world.controller("second", *ELECTION):
            await world.have("more")
            await world.until(lambda: ("first", "more") in world.worked)
            await first.aclose()
            await world.until(lambda: {("second", "app"), ("second", "more")} <= set(world.worked))
    workers = [who for who, _ in world.worked]
    assert workers == sorted(workers), "both worked at the same time"


async def test_a_leader_lets_go_when_the_writes_that_it_sent_are_done(world, server):
    await world.define()
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(world.controller("first", *ELECTION))
        await world.have("other")
        await world.until(lambda: bool(world.worked))
        async with world.controller("second", *ELECTION):
            slow = server.faults.add("delay", verb="patch", subresource="status", name="app", seconds=0.5)
            await world.have("app")
            async with asyncio.timeout(20):
                while not slow.seen:
                    await asyncio.sleep(0.01)
            await first.aclose()
            await world.until(lambda: ("second", "app") in world.worked)
    assert world.found["second", "app"] == "Done", "the outcome came after the next leader had looked"


async def test_a_leader_whose_requests_all_wait_keeps_its_lease(world, server):
    short = ["--leader-election-lease-duration=3s", "--leader-election-renew-deadline=2s"]
    await world.define()
    await world.have("app")
    async with world.controller("first", *ELECTION, *short) as lost:
        await world.until(lambda: bool(world.worked))
        server.faults.add("delay", verb="get", resource="secrets", seconds=4.0, count=0)
        client = world.runtimes["first"].client
        asked = (client.get("v1", "Secret", f"none-{number}", "default") for number in range(40))
        await asyncio.gather(*asked, return_exceptions=True)
        assert not lost.is_set()


async def test_who_waits_for_the_lease_takes_over_long_before_the_next_try(world):
    patient = ["--enable-leader-election", "--leader-election-lease-duration=10m"]
    patient += ["--leader-election-renew-deadline=9m", "--leader-election-retry-period=5m"]
    await world.define()
    await world.have("app")
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(world.controller("first", *patient))
        await world.until(lambda: world.worked == [("first", "app")])
        async with world.controller("second", *patient):
            await first.aclose()
            await world.until(lambda: world.worked == [("first", "app"), ("second", "app")])


async def test_a_replica_that_serves_always_knows_all_and_works_on_none(world):
    await world.define()
    await world.have("app")
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(world.controller("first", *ELECTION, serves_always=True))
        await world.until(lambda: world.worked == [("first", "app")])
        async with world.controller("second", *ELECTION, serves_always=True):
            async with asyncio.timeout(20):
                while "second" not in world.runtimes or not world.runtimes["second"].known(Kustomization):
                    await asyncio.sleep(0.01)
            await world.runtimes["second"].working.wait()
            await world.have("more")
            await world.until(lambda: ("first", "more") in world.worked)
            assert "second" not in {who for who, _ in world.worked}
            await first.aclose()
            await world.until(lambda: {("second", "app"), ("second", "more")} <= set(world.worked))


async def test_a_shard_works_on_what_carries_its_label_only(world):
    await world.define()
    await world.have("mine", shard="a")
    await world.have("theirs", shard="b")
    await world.have("nobodys")
    async with (
        world.controller("a", "--watch-label-selector=shard=a"),
        world.controller("b", "--watch-label-selector=shard=b"),
    ):
        await world.until(lambda: len(world.worked) == 2)
        await world.have("late", shard="b")
        await world.until(lambda: len(world.worked) == 3)
    assert sorted(world.worked) == [("a", "mine"), ("b", "late"), ("b", "theirs")]


def test_a_log_line_has_the_keys_that_flux_logs_reads(capsys):
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        logs.configure("info", "json")
        logging.getLogger("x").info("hello %s", "there")
        written = capsys.readouterr()
    finally:
        root.handlers, root.level = before[0], before[1]
    line = json.loads((written.out + written.err).strip().splitlines()[-1])
    assert (line["level"], line["msg"]) == ("info", "hello there")
    assert line["ts"].endswith("Z")
