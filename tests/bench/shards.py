"""What each of two replicas has to do that share a fleet by labels, beside the one that does it all.

    python -m tests.bench.shards N [--api embedded|real|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects are applied and deleted: by one kustomize-controller, and then, in a new cluster, by
two with --watch-label-selector, each of which has half of them. Printed are seconds, and CPU of each replica. Where
there are fewer cores than processes, seconds tell little: CPU says how long a replica would take on cores of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from tests.bench import usage
from tests.bench.client import BenchFailed, Client
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
from tests.bench.meter import FLAGS
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.kit.registry import Registry
from tests.upstream.controlplane import build

NAME = "kustomize-controller"
SHARDS = ("a", "b")


async def measure(installation: Installation, options: argparse.Namespace) -> float:
    """Apply and delete all; the CPU seconds of the busiest replica."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    with Registry() as registry:
        content = Content(registry)
        content.publish("1")
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            client = Client(installation.api, session)
            await make_tenant(client, NAMESPACE)
            await client.send("POST", sources_path(NAMESPACE), source(0, content.url, NAMESPACE))
            apps = await client.watch(apps_path(NAMESPACE))
            before, start = usage.of(installation.pids), time.monotonic()
            path = apps_path(NAMESPACE)
            await asyncio.gather(*(client.send("POST", path, app(index)) for index in range(options.count)))
            await apps.until_all(options.count, is_ready, "apply", options.timeout)
            await asyncio.gather(*(client.send("DELETE", f"{path}/app-{index}") for index in range(options.count)))
            await apps.until_all(0, is_ready, "delete", options.timeout)
            apps.close()
    seconds, cpu = time.monotonic() - start, usage.cpu_between(before, usage.of(installation.pids))
    replicas = {name: spent for name, spent in cpu.items() if name.startswith(NAME)}
    said = "  ".join(f"{name} {spent:.2f} s CPU" for name, spent in replicas.items())
    print(f"{len(replicas)} replica(s) {seconds:8.1f} s   {said}", flush=True)
    return max(replicas.values())


def app(index: int) -> dict[str, object]:
    """One Kustomization, of the shard that it belongs to."""
    made = kustomization(index, NAMESPACE)
    made["metadata"]["labels"] = {"shard": SHARDS[index % len(SHARDS)]}
    made["spec"]["sourceRef"]["name"] = "app-0"
    return made


def run(options: argparse.Namespace, *, sharded: bool) -> float:
    """Install, and measure; the CPU seconds of the busiest replica."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    one, other = (f"--watch-label-selector=shard={shard}" for shard in SHARDS)
    flags = {NAME: (*FLAGS, one) if sharded else FLAGS}
    with Installation.start(options.api, folder, flags=flags) as installation:
        if sharded:
            installation.add_replica(NAME, f"{NAME}-2", other)
        spent = asyncio.run(measure(installation, options))
    shutil.rmtree(folder, ignore_errors=True)
    return spent


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shards", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    parser.add_argument("--api", default="embedded", help="embedded (default), real, or the path of a kubeconfig")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a phase may take (default 900)")
    options = parser.parse_args(argv)
    print(f"{options.count} Kustomizations, {options.api} API, {os.cpu_count()} cores", flush=True)
    try:
        whole, half = run(options, sharded=False), run(options, sharded=True)
    except (BenchFailed, ProcessFailed, build.BuildFailed) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    print(f"the busier of two has {half / whole:.2f} of the work of one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
