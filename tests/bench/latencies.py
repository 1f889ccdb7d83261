"""How long one change takes to get through, in a fleet that is at rest: each of 100 applications in turn.

artifact      a source's new artifact is seen → its Kustomization Ready at that revision, with `wait`
drift         a Service's port changed by hand is answered → the Service seen as it was
dependency    a Kustomization is seen Ready at a new revision → the change to what a dependent one applies

What is measured is what a client sees that watches: the API server's own delays are in it.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from tests.bench.client import JSON_PATCH, MERGE, Client, Collection
from tests.bench.kustomizations import (
    CORE,
    NAMESPACE,
    REQUESTED,
    Content,
    apps_path,
    is_applied,
    is_ready,
    kustomization,
    sources_path,
)

MOST = 100
"""Applications that are changed, one after the other."""
CAUGHT_UP = 1800.0
"""Seconds that the others may take to follow."""
WITHIN = 60.0
"""Seconds that one change may take."""


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds that half and 99 % of the sample don't exceed, and the largest."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)) - 1)] if len(ordered) > 1 else ordered[0]
    found = {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    return {name: round(1000 * value, 1) for name, value in found.items()}


def dependent(index: int) -> dict[str, Any]:
    """A Kustomization that depends on an application's, and builds one ConfigMap from the same source."""
    made = kustomization(index, NAMESPACE)
    made["metadata"]["name"] = f"after-{index}"
    made["spec"] |= {"path": "./after", "dependsOn": [{"name": f"app-{index}"}]}
    return made


class Latencies:
    """Measures a fleet that the phases have made, up to their `update`; it is at version 2."""

    def __init__(self, client: Client, content: Content, count: int) -> None:
        self._client, self._content, self._all, self._count = client, content, count, min(count, MOST)

    async def measure(self) -> dict[str, dict[str, float]]:
        """The latencies by name, in milliseconds. BenchFailed when a change doesn't get through."""
        paths = [sources_path(NAMESPACE), apps_path(NAMESPACE)]
        paths += [f"{CORE}/namespaces/{NAMESPACE}/{plural}" for plural in ("services", "configmaps")]
        watched = [await self._client.watch(path) for path in paths]
        sources, apps, services, config_maps = watched
        try:
            found = {
                "artifact": quantiles([took async for took in self._updates(sources, apps)]),
                "drift": quantiles([took async for took in self._drifts(services)]),
                "dependency": quantiles([took async for took in self._orders(apps, config_maps)]),
            }
            await self._catch_up(apps)
            return found
        finally:
            for each in watched:
                each.close()

    async def _updates(self, sources: Collection, apps: Collection) -> AsyncIterator[float]:
        revision = self._content.publish("3")
        for index in range(self._count):
            name = f"app-{index}"
            await self._request(name)
            stored = await sources.until(name, _has_artifact(revision), f"artifact of {name}", WITHIN)
            yield await apps.until(name, is_applied(revision), f"update of {name}", WITHIN) - stored

    async def _drifts(self, services: Collection) -> AsyncIterator[float]:
        edit = [{"op": "replace", "path": "/spec/ports/0/port", "value": 9897}]
        for index in range(self._count):
            name = f"app-{index}"
            answer = await self._client.send("PATCH", f"{services.path}/{name}", edit, kind=JSON_PATCH)
            edited, version = time.monotonic(), int(answer["metadata"]["resourceVersion"])

            def is_restored(live: dict[str, Any], version: int = version) -> bool:
                return int(live["metadata"]["resourceVersion"]) > version and live["spec"]["ports"][0]["port"] == 9898

            yield await services.until(name, is_restored, f"drift of {name}", WITHIN) - edited

    async def _orders(self, apps: Collection, config_maps: Collection) -> AsyncIterator[float]:
        made = (self._client.send("POST", apps.path, dependent(index)) for index in range(self._count))
        await asyncio.gather(*made)
        for index in range(self._count):
            await apps.until(f"after-{index}", is_ready, "dependents", WITHIN)
        revision = self._content.publish("4")
        for index in range(self._count):
            first, second = f"app-{index}", f"after-{index}"
            await self._request(first)
            ready = await apps.until(first, is_applied(revision), f"update of {first}", WITHIN)
            applied = await config_maps.until(second, lambda live: live["data"]["version"] == "v4", second, WITHIN)
            yield applied - ready
            await apps.until(second, is_applied(revision), f"update of {second}", WITHIN)
        gone = (self._client.send("DELETE", f"{apps.path}/after-{index}") for index in range(self._count))
        await asyncio.gather(*gone)
        for index in range(self._count):
            await apps.until_gone(f"after-{index}", WITHIN)

    async def _catch_up(self, apps: Collection) -> None:
        """Bring those that weren't changed to what was published last: a restart would, as it looks at all sources."""
        left = [f"app-{index}" for index in range(self._count, self._all)]
        await asyncio.gather(*map(self._request, left))
        await apps.until_all(self._all, is_applied(self._content.publish("4")), "catching up", CAUGHT_UP)

    async def _request(self, name: str) -> None:
        patch = {"metadata": {"annotations": {REQUESTED: str(time.time())}}}
        await self._client.send("PATCH", f"{sources_path(NAMESPACE)}/{name}", patch, kind=MERGE)


def _has_artifact(revision: str) -> Callable[[dict[str, Any]], bool]:
    return lambda live: (live.get("status", {}).get("artifact") or {}).get("revision", "").endswith(revision)
