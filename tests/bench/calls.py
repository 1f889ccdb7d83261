"""What one call of the API costs the controller that makes it, in microseconds of its CPU.

    python -m tests.bench.calls [--rounds 5]

A control plane of its own is started. Eight callers share a client, as a controller's attempts do; an object has 2 KB.
Printed for each kind of call: the least of the rounds, which other work on the machine spoils least, and the median.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from shared.kube import config
from shared.kube.client import Client
from tests.kit.controlplane import ControlPlane

CALLERS, OBJECTS = 8, 400
DEFINITIONS = Path(__file__).parents[2] / "deploy" / "crds" / "kustomize.toolkit.fluxcd.io_kustomizations.yaml"
KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")


async def spent(call: Callable[[int], Awaitable[Any]]) -> float:
    """CPU microseconds of a call, over one of each object."""
    due = iter(range(OBJECTS))

    async def work() -> None:
        for number in due:
            await call(number)

    before = time.process_time()
    await asyncio.gather(*(work() for _ in range(CALLERS)))
    return (time.process_time() - before) / OBJECTS * 1e6


def config_map(number: int, content: int) -> dict[str, Any]:
    metadata = {"name": f"call-{number}", "namespace": "default", "labels": {"app": "bench"}}
    data = {f"key-{line}": f"{content} " * 8 for line in range(15)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def kustomization(number: int) -> dict[str, Any]:
    spec = {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "app"}}
    metadata = {"name": f"call-{number}", "namespace": "default"}
    return {"apiVersion": KUSTOMIZATION[0], "kind": KUSTOMIZATION[1], "metadata": metadata, "spec": spec}


def condition(content: int) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "True", "reason": "Tried", "message": str(content), "lastTransitionTime": at}
    return {"status": {"observedGeneration": 1, "conditions": [ready]}}


async def measure(kubeconfig: Path, rounds: int) -> None:
    client = Client(config.load(kubeconfig), user_agent="bench", qps=-1)
    try:
        await client.apply(yaml.safe_load(DEFINITIONS.read_text()), field_manager="bench")
        async with asyncio.timeout(30):
            while not await client.discovery.resources(KUSTOMIZATION[0]):
                await asyncio.sleep(0.2)
        for number in range(OBJECTS):
            await client.apply(kustomization(number), field_manager="bench")
        content = 0
        calls: dict[str, Callable[[int], Awaitable[Any]]] = {
            "apply": lambda number: client.apply(config_map(number, content), field_manager="bench"),
            "get": lambda number: client.get("v1", "ConfigMap", f"call-{number}", "default"),
            "status patch": lambda number: client.patch(
                *KUSTOMIZATION, f"call-{number}", "default", condition(content), subresource="status"
            ),
        }
        found: dict[str, list[float]] = {name: [] for name in calls}
        for content in range(1, rounds + 1):  # noqa: B007 (the calls read it)
            for name, call in calls.items():
                found[name].append(await spent(call))
        for name, times in found.items():
            print(f"{name:<14}{min(times):6.0f} us at least, {statistics.median(times):6.0f} us in the median")
    finally:
        await client.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.bench.calls", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="fluvial-bench-") as folder, ControlPlane.start(Path(folder)) as plane:
        asyncio.run(measure(plane.kubeconfig, options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
