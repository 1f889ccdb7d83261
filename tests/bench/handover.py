"""How long a fleet is without its controller when one replica takes over from another, and what is lost or done twice.

    python -m tests.bench.handover N [--lease SECONDS] [--runs 3] [--api real|embedded|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects are Ready, and of two kustomize-controllers one holds the lease. A reconcile is
requested on all; when a quarter is done, the leader is stopped as Kubernetes stops it (SIGTERM), and the other one goes
on. Then the same with that one, but killed (SIGKILL): it can't give its lease back, so the other waits until the lease
has ended. Printed are the longest pause in which no Kustomization was done, and how many status writes there were for
each, which is one where nothing is lost and nothing is done twice.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.bench import command
from tests.bench.client import MERGE, Client, Collection, connected
from tests.bench.kustomizations import (
    NAMESPACE,
    REQUESTED,
    Content,
    apps_path,
    have_one_source,
    is_ready,
    of_one_source,
)
from tests.bench.meter import FLAGS, Figures, Meter
from tests.kit.installation import Installation
from tests.kit.registry import Registry

COLUMNS = {"longest pause, seconds": "pause", "seconds": "seconds", "status writes for each": "writes"}
FIRST = "kustomize-controller"
SECOND = "kustomize-controller-2"
SHARE = 0.25
"""How many are done when the leader is ended."""


class Fleet:
    """Kustomizations of one source, all Ready, with a leader that can be ended."""

    def __init__(self, installation: Installation, client: Client, options: argparse.Namespace) -> None:
        self._installation, self._client = installation, client
        self._count, self._timeout = options.count, options.timeout
        self._apps: Collection

    async def prepare(self, url: str) -> None:
        """All of them Ready, and two replicas; not measured."""
        path = apps_path(NAMESPACE)
        await have_one_source(self._client, url)
        self._apps = await self._client.watch(path)
        await asyncio.gather(*(self._client.send("POST", path, of_one_source(index)) for index in range(self._count)))
        await self._apps.until_all(self._count, is_ready, "apply", self._timeout)
        self._installation.add_replica(FIRST, SECOND)

    async def hand_over(self, end: Callable[[], Any]) -> Figures:
        """Request a reconcile on all, and end the leader meanwhile: how long nothing was done, and what was written."""
        token, signalled = str(time.time()), 0.0

        def is_done(app: dict[str, Any]) -> bool:
            return bool(app.get("status", {}).get("lastHandledReconcileAt") == token and is_ready(app))

        async def run() -> None:
            nonlocal signalled
            asking = asyncio.gather(*(self._request(name, token) for name in list(self._apps.objects)))
            while sum(map(is_done, self._apps.objects.values())) < SHARE * self._count:
                await asyncio.sleep(0.01)
            signalled = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(end))
            await asyncio.gather(asking, ending)
            await self._apps.until_all(self._count, is_done, "hand-over", self._timeout)

        meter = Meter(self._installation, self._count)
        figures = await meter.phase("hand-over", run)
        done = sorted(self._apps.came.values())
        gap = max(after - before for before, after in itertools.pairwise(done) if after > signalled)
        writes = figures["calls PATCH kustomizations/status"]
        print(f"  paused for {gap:.2f} s; {figures['seconds']:.1f} s in all, {writes:.3f} writes for each", flush=True)
        return {"pause": gap, "seconds": figures["seconds"], "writes": writes}

    async def _request(self, name: str, token: str) -> None:
        patch = {"metadata": {"annotations": {REQUESTED: token}}}
        await self._client.send("PATCH", f"{apps_path(NAMESPACE)}/{name}", patch, kind=MERGE)

    def close(self) -> None:
        self._apps.close()


async def measure(installation: Installation, options: argparse.Namespace) -> dict[str, Figures]:
    """Both ends of a leader, one after the other."""
    print(f"{options.count} Kustomizations, {installation.kind} API, {os.cpu_count()} cores", flush=True)
    with Registry() as registry:
        content = Content(registry)
        content.publish("1")
        async with connected(installation.api) as client:
            fleet = Fleet(installation, client, options)
            await fleet.prepare(content.url)
            print("the leader is stopped (SIGTERM)", flush=True)
            stopped = await fleet.hand_over(lambda: installation.controllers.terminate(FIRST))
            installation.restart_controllers(FIRST)
            print("the leader is killed (SIGKILL)", flush=True)
            killed = await fleet.hand_over(lambda: installation.controllers.stop(SECOND))
            fleet.close()
    return {"stopped": stopped, "killed": killed}


def election(lease: float) -> list[str]:
    """The flags for a lease that lasts so many seconds, with upstream's proportions."""
    times = {"lease-duration": lease, "renew-deadline": lease * 6 / 7, "retry-period": lease / 7}
    return ["--enable-leader-election", *(f"--leader-election-{name}={of:.3f}s" for name, of in times.items())]


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("handover", __doc__, timeout=900, runs=3)
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    parser.add_argument(
        "--lease", type=float, default=35, help="seconds that the lease lasts (default 35, as upstream's)"
    )
    options = parser.parse_args(argv)

    def once() -> dict[str, Figures]:
        with command.installed(options.api, {FIRST: (*FLAGS, *election(options.lease))}) as installation:
            return asyncio.run(measure(installation, options))

    return command.run(lambda: command.repeat(options, once, COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
