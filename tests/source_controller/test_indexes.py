"""Indexes of Helm repositories cost little memory, and some are kept for the charts that ask next."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from shared.api.meta import Artifact, ObjectMeta
from shared.api.source import HelmRepository, HelmRepositorySpec
from shared.loop import metrics
from source_controller.charts import indexes
from tests.bench import usage
from tests.kit.charts import ChartRepository
from tests.kit.processes import Processes
from tests.source_controller.conftest import GROUP

ROOT = Path(__file__).parents[2]
MOST = 150
"""MiB above an idle process that an index of 50 MB may cost."""
VERSION = """\
  - apiVersion: v2
    created: "2026-05-01T16:10:43.000000Z"
    dependencies:
    - name: common
      repository: oci://registry.example.com/charts
      version: 2.x.x
    description: A tool to write, schedule and watch workflows – as graphs of tasks
      that depend on each other. It has a scheduler, workers and a web interface.
    digest: {digest}
    home: https://example.com
    keywords:
    - workflow
    - tasks
    maintainers:
    - name: The maintainers
      url: https://example.com/team
    name: {name}
    urls:
    - {name}-{number}.0.0.tgz
    version: {number}.0.0
"""


def large(size, package):
    """An index of about so many bytes. The last chart is the one that there is."""
    digest = hashlib.sha256(package).hexdigest()
    parts, total = ["apiVersion: v1\nentries:\n"], 0
    while total < size:
        name = "demo" if total + 60_000 > size else f"chart-{len(parts):05}"
        versions = "".join(VERSION.format(name=name, number=number, digest=digest) for number in range(80))
        parts.append(f"  {name}:\n{versions}")
        total += len(parts[-1])
    return "".join(parts).encode()


def spec(version="*"):
    return {"chart": "demo", "version": version, "sourceRef": {"kind": "HelmRepository", "name": "charts"}}


@pytest.fixture
def charts():
    with ChartRepository() as made:
        made.add("demo", "1.0.0")
        yield made


async def test_an_index_of_fifty_megabytes_costs_little_memory(world, charts):
    charts.index = large(49 << 20, charts.packages["demo-1.0.0.tgz"])
    charts.packages["demo-79.0.0.tgz"] = charts.packages["demo-1.0.0.tgz"]
    env = {**os.environ, "KUBECONFIG": str(world.kubeconfig), "PYTHONPATH": str(ROOT)}
    with Processes(world.folder) as processes:
        processes.start("controller", [sys.executable, "-m", "source_controller", *world.flags], env)
        await world.put("other", {"url": f"{charts.url}/none"}, "HelmRepository")
        await world.failed("other", "Failed", "HelmRepository")
        idle = usage.of(processes.pids)["controller"].peak
        await world.put("charts", {"url": charts.url, "timeout": "5m"}, "HelmRepository")
        await world.ready("charts", kind="HelmRepository")
        repository = usage.of(processes.pids)["controller"].peak
        for name in ("c", "d"):
            await world.put(name, spec(version="79.x"), "HelmChart")
            await world.ready(name, "1.0.0", "HelmChart")
        chart = usage.of(processes.pids)["controller"].peak
    print(f"{idle:.0f} MiB when idle, {repository:.0f} with the repository, {chart:.0f} with its charts")
    assert repository - idle < MOST
    assert chart - idle < MOST


def lookups(name, namespace="default"):
    """Hits and misses so far."""
    return [metrics.cache_events.labels(what, name, namespace)._value.get() for what in ("cache_hit", "cache_miss")]


async def test_charts_take_the_index_that_is_kept(world, charts):
    await world.start("--helm-cache-max-size=1")
    await world.put("charts", {"url": charts.url}, "HelmRepository")
    await world.ready("charts", kind="HelmRepository")
    await world.put("c", spec(), "HelmChart")
    await world.ready("c", "1.0.0", "HelmChart")
    assert lookups("charts") == [1, 0]
    charts.add("demo", "1.1.0")
    await world.ask("charts", "HelmRepository")
    await world.ready("c", "1.1.0", "HelmChart")
    assert lookups("charts") == [2, 0]
    await world.kube.delete(GROUP, "HelmRepository", "charts", world.namespace)
    await world.until("charts", lambda obj: obj is None, "HelmRepository")
    assert b'name="charts"' not in metrics.expose()


async def test_no_index_is_kept_unless_it_is_asked_for(controller, charts):
    await controller.put("charts", {"url": charts.url}, "HelmRepository")
    await controller.put("c", spec(), "HelmChart")
    await controller.ready("c", "1.0.0", "HelmChart")
    assert lookups("charts") == [0, 0]


class Told:
    """Stands in for an attempt: remembers events."""

    def __init__(self):
        self.events = []

    def event(self, reason, message, severity):
        self.events.append((reason, message, severity))


def repository(name, digest):
    artifact = Artifact(path="p", url="u", revision="r", digest=digest, last_update_time="t")
    found = HelmRepository(
        metadata=ObjectMeta(name=name, namespace="default"), spec=HelmRepositorySpec(url="https://x")
    )
    found.status.artifact = artifact
    return found


@pytest.fixture
def stored(tmp_path):
    file = tmp_path / "index.yaml"
    file.write_bytes(b'{"apiVersion":"v1","entries":{"demo":[{"name":"demo","version":"1.0.0"}]}}')
    return file


async def test_an_index_is_kept_until_its_time_is_over(stored, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(indexes, "monotonic", lambda: now)
    kept, source, told = indexes.Indexes(1, 60), repository("timed", "sha256:1"), Told()
    first = await kept.stored(source, stored, told)
    now += 59
    assert await kept.stored(source, stored, told) is first, "and each use prolongs it"
    now += 59
    kept.extend(source)
    now += 59
    assert await kept.stored(source, stored, told) is first
    now += 61
    assert await kept.stored(source, stored, told) is not first
    assert lookups("timed") == [2, 2]


async def test_an_index_is_not_taken_for_a_later_artifact(stored):
    kept, told = indexes.Indexes(1, 60), Told()
    first = await kept.stored(repository("changed", "sha256:1"), stored, told)
    assert await kept.stored(repository("changed", "sha256:2"), stored, told) is not first
    assert told.events == []


async def test_a_full_cache_is_told_and_does_no_harm(stored):
    kept, told = indexes.Indexes(1, 60), Told()
    await kept.stored(repository("one", "sha256:1"), stored, told)
    found = await kept.stored(repository("two", "sha256:2"), stored, told)
    assert found.find("demo", "*").version == "1.0.0"
    assert told.events == [("CacheOperationFailed", "failed to cache index: the cache is full", "trace")]
    kept.forget(repository("one", "sha256:1"))
    await kept.stored(repository("two", "sha256:2"), stored, told)
    assert len(told.events) == 1


async def test_what_is_over_makes_room(stored, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(indexes, "monotonic", lambda: now)
    kept, told = indexes.Indexes(1, 60), Told()
    await kept.stored(repository("one", "sha256:1"), stored, told)
    now += 61
    purging = asyncio.create_task(kept.purge(0.001))
    while True:
        told.events.clear()
        await kept.stored(repository("two", "sha256:2"), stored, told)
        if not told.events:
            break
        await asyncio.sleep(0.001)
    purging.cancel()
