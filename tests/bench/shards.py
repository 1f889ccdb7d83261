"""How long each of two replicas takes that share a fleet by labels, beside the one that does it all.

    python -m tests.bench.shards N [--runs 3] [--api embedded|real|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects are applied and deleted: by one kustomize-controller, and then, in a new cluster, by
two with --watch-label-selector, each of which has half of them. On two cores two replicas and an API server would share
what each should have for itself, so the halves come one after the other: while one replica works, the other only hears
of it, as it would at any time. Printed are the seconds of the slower half, and the CPU that the busier replica spent
on its own half and on hearing of the other.
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
from tests.bench.kustomizations import NAMESPACE, Content, apps_path, have_one_source, is_ready, of_one_source
from tests.bench.meter import FLAGS, Figures
from tests.kit.installation import Installation
from tests.kit.registry import Registry

COLUMNS = {
    "seconds of the slower": "seconds",
    "of the time of one": "time",
    "CPU seconds of the busier": "cpu",
    "of the CPU of one": "share",
}
NAME = "kustomize-controller"
SHARDS = ("a", "b")


async def measure(installation: Installation, options: argparse.Namespace, parts: int) -> Figures:
    """Apply and delete all in so many parts: the seconds of the slowest, and the CPU seconds of the busiest replica."""
    path = apps_path(NAMESPACE)
    seconds = [0.0] * parts
    with Registry() as registry:
        content = Content(registry)
        content.publish("1")
        async with connected(installation.api) as client:
            await have_one_source(client, content.url)
            apps = await client.watch(path)
            before, there = usage.of(installation.pids), 0
            for what, more in (("apply", 1), ("delete", -1)):
                for part in range(parts):
                    start, mine = time.monotonic(), range(part, options.count, parts)
                    if what == "apply":
                        calls = (client.send("POST", path, app(index)) for index in mine)
                    else:
                        calls = (client.send("DELETE", f"{path}/app-{index}") for index in mine)
                    await asyncio.gather(*calls)
                    there += more * len(mine)
                    await apps.until_all(there, is_ready, what, options.timeout)
                    seconds[part] += time.monotonic() - start
            apps.close()
    spent = usage.cpu_between(before, usage.of(installation.pids))
    replicas = [cpu for name, cpu in spent.items() if name.startswith(NAME)]
    took, cpu = (" and ".join(f"{each:.2f}" for each in found) for found in (seconds, replicas))
    print(f"{len(replicas)} replica(s): {took} s, {cpu} s of CPU", flush=True)
    return {"seconds": max(seconds), "cpu": max(replicas)}


def app(index: int) -> dict[str, object]:
    """One Kustomization, of the shard that it belongs to."""
    made = of_one_source(index)
    made["metadata"]["labels"] = {"shard": SHARDS[index % len(SHARDS)]}
    return made


def one_or_two(options: argparse.Namespace, *, sharded: bool) -> Figures:
    """Install one replica or two, and measure."""
    one, other = (f"--watch-label-selector=shard={shard}" for shard in SHARDS)
    with command.installed(options.api, {NAME: (*FLAGS, one) if sharded else FLAGS}) as installation:
        if sharded:
            installation.add_replica(NAME, f"{NAME}-2", other)
        return asyncio.run(measure(installation, options, len(SHARDS) if sharded else 1))


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("shards", __doc__, api="embedded", timeout=900, runs=3)
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    options = parser.parse_args(argv)

    def once() -> dict[str, Figures]:
        print(f"{options.count} Kustomizations, {options.api} API, {os.cpu_count()} cores", flush=True)
        whole, half = one_or_two(options, sharded=False), one_or_two(options, sharded=True)
        ratios = {"time": half["seconds"] / whole["seconds"], "share": half["cpu"] / whole["cpu"]}
        return {"one replica": whole, "two replicas": half | ratios}

    return command.run(lambda: command.repeat(options, once, COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
