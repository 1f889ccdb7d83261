"""What each of two replicas has to do that share a fleet by labels, beside the one that does it all.

    python -m tests.bench.shards N [--runs 3] [--api embedded|real|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects are applied and deleted: by one kustomize-controller, and then, in a new cluster, by
two with --watch-label-selector, each of which has half of them. Printed are seconds, and CPU of each replica. Where
there are fewer cores than processes, seconds tell little: CPU says how long a replica would take on cores of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from tests.bench import command, usage
from tests.bench.client import connected
from tests.bench.kustomizations import (
    NAMESPACE,
    Content,
    apps_path,
    is_ready,
    kustomization,
    make_tenant,
    source,
    sources_path,
)
from tests.bench.meter import FLAGS, Figures
from tests.kit.installation import Installation
from tests.kit.registry import Registry

COLUMNS = {"seconds": "seconds", "CPU seconds of the busier": "cpu", "of the CPU of one": "share"}
NAME = "kustomize-controller"
SHARDS = ("a", "b")


async def measure(installation: Installation, options: argparse.Namespace) -> Figures:
    """Apply and delete all: seconds, and the CPU seconds of the busiest replica."""
    path = apps_path(NAMESPACE)
    with Registry() as registry:
        content = Content(registry)
        content.publish("1")
        async with connected(installation.api) as client:
            await make_tenant(client, NAMESPACE)
            await client.send("POST", sources_path(NAMESPACE), source(0, content.url, NAMESPACE))
            apps = await client.watch(path)
            before, start = usage.of(installation.pids), time.monotonic()
            await asyncio.gather(*(client.send("POST", path, app(index)) for index in range(options.count)))
            await apps.until_all(options.count, is_ready, "apply", options.timeout)
            await asyncio.gather(*(client.send("DELETE", f"{path}/app-{index}") for index in range(options.count)))
            await apps.until_all(0, is_ready, "delete", options.timeout)
            apps.close()
    seconds, cpu = time.monotonic() - start, usage.cpu_between(before, usage.of(installation.pids))
    replicas = {name: spent for name, spent in cpu.items() if name.startswith(NAME)}
    said = "  ".join(f"{name} {spent:.2f} s CPU" for name, spent in replicas.items())
    print(f"{len(replicas)} replica(s) {seconds:8.1f} s   {said}", flush=True)
    return {"seconds": seconds, "cpu": max(replicas.values())}


def app(index: int) -> dict[str, object]:
    """One Kustomization, of the shard that it belongs to."""
    made = kustomization(index, NAMESPACE)
    made["metadata"]["labels"] = {"shard": SHARDS[index % len(SHARDS)]}
    made["spec"]["sourceRef"]["name"] = "app-0"
    return made


def one_or_two(options: argparse.Namespace, *, sharded: bool) -> Figures:
    """Install one replica or two, and measure."""
    one, other = (f"--watch-label-selector=shard={shard}" for shard in SHARDS)
    with command.installed(options.api, {NAME: (*FLAGS, one) if sharded else FLAGS}) as installation:
        if sharded:
            installation.add_replica(NAME, f"{NAME}-2", other)
        return asyncio.run(measure(installation, options))


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("shards", __doc__, api="embedded", timeout=900, runs=3)
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    options = parser.parse_args(argv)

    def once() -> dict[str, Figures]:
        print(f"{options.count} Kustomizations, {options.api} API, {os.cpu_count()} cores", flush=True)
        whole, half = one_or_two(options, sharded=False), one_or_two(options, sharded=True)
        return {"one replica": whole, "two replicas": half | {"share": half["cpu"] / whole["cpu"]}}

    return command.run(lambda: command.repeat(options, once, COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
