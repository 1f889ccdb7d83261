"""How fast the embedded Kubernetes API is, beside a real kube-apiserver with etcd.

    python -m tests.bench.kubeapi [--objects 10000] [--requests 1000] [--more 50000] [--json FILE]

Starts the embedded API in memory, the embedded API on disk, and a real API server with its etcd, all without
controllers; fills each with ConfigMaps; then sends the same requests to one after the other, kind by kind, so that all
meet the same moments of a busy machine. A row has requests per second, and the server's CPU milliseconds per request
(the real one's with etcd's). Compare within a row; the client, which runs on the same machine, is part of each figure.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.bench import usage
from tests.bench.wire import Pool, request
from tests.kit.processes import Processes, ProcessFailed
from tests.kubeapi.differential.subjects import ServerOnly
from tests.upstream.controlplane import build

CLIENTS = (1, 32)
WATCHERS = 100
_ROOT = Path(__file__).parents[2]
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass
class Server:
    """A running API server, and what was measured of it."""

    name: str
    url: str
    token: str
    ca: Path
    pids: Callable[[], dict[str, int]]
    stop: Callable[[], None]
    begin: Callable[[], float]
    """Start it, or start it again after stop(), and give the seconds until it is ready."""
    ready_cpu: float = 0.0
    """CPU seconds until then."""
    kept: bool = False
    """Whether its objects are there again after a kill."""
    started: float = 0.0
    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    def cpu(self) -> float:
        """CPU seconds of its processes so far."""
        return sum(used.cpu for used in usage.of(self.pids()).values())

    def memory(self) -> float:
        """MiB of resident memory of its processes now."""
        return sum(usage.resident(pid) for pid in self.pids().values())


def embedded(folder: Path, *options: str) -> Server:
    """Start the embedded API as its users do."""
    kubeconfig, ca = folder / "kubeconfig", folder / "ca.crt"
    processes = Processes(folder / "logs")
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    line = [sys.executable, "-m", "kubeapi.command", f"--kubeconfig-out={kubeconfig}", "--no-workloads", *options]

    def begin() -> float:
        kubeconfig.unlink(missing_ok=True)
        began = time.monotonic()
        processes.start("kubeapi", line, env)
        processes.wait_until(kubeconfig.exists, "kubeapi")
        return time.monotonic() - began

    took = begin()
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    token = config["users"][0]["user"]["token"]
    name = "embedded, on disk" if options else "embedded"
    return Server(
        name,
        cluster["server"],
        token,
        ca,
        lambda: processes.pids,
        processes.stop,
        begin,
        kept=bool(options),
        started=took,
    )


def real(folder: Path) -> Server:
    """Start etcd and kube-apiserver."""
    began = time.monotonic()
    plane = ServerOnly.start(folder)

    def begin() -> float:
        since = time.monotonic()
        plane._start(90)
        return time.monotonic() - since

    took = time.monotonic() - began
    return Server(
        "real", plane.url, plane.token, plane.ca, lambda: plane.pids, plane.stop, begin, kept=True, started=took
    )


# -- what is sent


def config_map(number: int, prefix: str = "cm") -> tuple[str, Any]:
    """Its collection's path and manifest; a hundred to a namespace."""
    namespace = f"bench-{number // 100 % 100}"
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{prefix}-{number}", "labels": {"app": f"app-{number % 10}"}},
        "data": {"settings.yaml": "key: value\n" * 40, "number": str(number)},
    }
    return f"/api/v1/namespaces/{namespace}/configmaps", body


def deployment(name: str, image: str) -> Any:
    labels = {"app": name}
    container = {
        "name": "main",
        "image": image,
        "ports": [{"containerPort": 80}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


_DEPLOYMENTS = "/apis/apps/v1/namespaces/bench-0/deployments"
_MANAGER = "?fieldManager=bench&force=true"


def phases(objects: int, count: int, run: str) -> dict[str, Iterable[bytes]]:
    """By name, the requests of each phase."""
    some = [i * 7919 % objects for i in range(count)]
    return {
        "create": [_post(*config_map(i, f"new-{run}")) for i in range(count)],
        "apply, new": [_apply(f"{run}-{i}", "app:1") for i in range(count)],
        "apply, no change": [_apply(f"{run}-{i}", "app:1") for i in range(count)],
        "apply, change": [_apply(f"{run}-{i}", "app:2") for i in range(count)],
        "merge patch": [_merge(i, f"{run}-{n}") for n, i in enumerate(some)],
        "get": [request("GET", _path_of(i)) for i in some],
        "list of 100": [request("GET", config_map(i)[0]) for i in some[: count // 5]],
        "delete": [request("DELETE", f"{config_map(i)[0]}/new-{run}-{i}") for i in range(count)],
    }


def _path_of(number: int) -> str:
    return f"{config_map(number)[0]}/cm-{number}"


def _post(path: str, body: Any) -> bytes:
    return request("POST", path, body)


def _apply(name: str, image: str) -> bytes:
    return request("PATCH", f"{_DEPLOYMENTS}/{name}{_MANAGER}", deployment(name, image), _APPLY)


def _merge(number: int, text: str) -> bytes:
    return request("PATCH", _path_of(number), {"data": {"number": text}}, _MERGE)


# -- measuring


async def measured(server: Server, name: str, clients: int, requests: Iterable[bytes]) -> None:
    """Send requests over so many connections and note the rate and the server's CPU."""
    requests = list(requests)
    async with Pool(server.url, server.token, server.ca, clients) as pool:
        before, began = server.cpu(), time.monotonic()
        await pool.send_all(requests)
        seconds, cpu = time.monotonic() - began, server.cpu() - before
    server.figures[f"{name}, {clients}"] = {
        "per_second": round(len(requests) / seconds, 1),
        "cpu_ms": round(1000 * cpu / len(requests), 3),
    }


async def fill(server: Server, start: int, end: int) -> None:
    """Store ConfigMaps `start` to `end`."""
    async with Pool(server.url, server.token, server.ca, 32) as pool:
        if not start:
            names = [f"bench-{number}" for number in range(100)]
            await pool.send_all([request("POST", "/api/v1/namespaces", {"metadata": {"name": name}}) for name in names])
        await pool.send_all([_post(*config_map(number)) for number in range(start, end)])


async def fan_out(server: Server, count: int) -> None:
    """Watches on one namespace, and how fast changes come to all of them."""
    path = "/api/v1/namespaces/bench-0/secrets"
    async with (
        Pool(server.url, server.token, server.ca, WATCHERS) as watchers,
        Pool(server.url, server.token, server.ca, 8) as writers,
    ):
        seen = [asyncio.create_task(one.count_lines(f"{path}?watch=1", count)) for one in watchers.connections]
        await asyncio.gather(*(one.standing.wait() for one in watchers.connections))
        bodies = [{"metadata": {"name": f"watched-{i}"}, "stringData": {"a": "b" * 200}} for i in range(count)]
        before, began = server.cpu(), time.monotonic()
        await writers.send_all([request("POST", path, body) for body in bodies])
        await asyncio.gather(*seen)
        seconds, cpu = time.monotonic() - began, server.cpu() - before
        events = count * WATCHERS
    server.figures[f"watch events, {WATCHERS}"] = {
        "per_second": round(events / seconds, 1),
        "cpu_ms": round(1000 * cpu / events, 4),
    }


async def measure(servers: Sequence[Server], objects: int, count: int, more: int) -> None:
    """Everything, phase by phase, each on one server after the other."""

    async def each(run: Callable[[Server], Awaitable[None]]) -> None:
        for server in servers:
            await run(server)

    _note_memory(servers, 0)
    await each(lambda server: fill(server, 0, objects))
    _note_memory(servers, objects)
    for clients in CLIENTS:
        amount = count if clients > 1 else count // 4
        for name, requests in phases(objects, amount, f"c{clients}").items():
            await each(lambda server: measured(server, name, clients, requests))  # noqa: B023 - awaited here
            _row(servers, f"{name}, {clients}")
    await each(lambda server: fan_out(server, 200))
    _row(servers, f"watch events, {WATCHERS}")
    if more > objects:
        await each(lambda server: fill(server, objects, more))
        _note_memory(servers, more)


def _note_memory(servers: Sequence[Server], objects: int) -> None:
    for server in servers:
        server.figures[f"memory, {objects}"] = {"mib": round(server.memory(), 1)}


def _row(servers: Sequence[Server], name: str) -> None:
    cells = []
    for server in servers:
        figures = server.figures[name]
        cells.append(f"{figures['per_second']:9.0f}/s {figures['cpu_ms']:8.3f} ms")
    ours, theirs = servers[0].figures[name]["per_second"], servers[-1].figures[name]["per_second"]
    ratio = f"{ours / theirs:5.2f} x" if len(servers) > 1 else ""
    print(f"{name:24}{'  '.join(cells)}  {ratio}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when a server couldn't be started or refused a request."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kubeapi", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--objects", type=int, default=10_000, help="objects stored while requests are measured (default %(default)s)")
    add("--requests", type=int, default=1000, help="requests of a kind at 32 clients (default %(default)s)")
    add("--more", type=int, default=0, help="fill to this many at the end, for the memory (default: don't)")
    add("--only", nargs="+", default=["embedded", "disk", "real"], help="which servers (default: all)")
    add("--json", type=Path, help="write all figures here too")
    arguments = parser.parse_args(argv)
    servers: list[Server] = []
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as name:
            folder = Path(name)
            makers = {
                "embedded": lambda: embedded(folder / "memory"),
                "disk": lambda: embedded(folder / "disk", f"--data={folder / 'disk' / 'data'}"),
                "real": lambda: real(folder / "real"),
            }
            for one in ("memory", "disk", "real"):
                (folder / one).mkdir()
            for one in arguments.only:
                server = makers[one]()
                server.ready_cpu = server.cpu()
                servers.append(server)
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {arguments.objects} objects stored")
            print(f"{'request, clients':24}{'  '.join(f'{server.name:>22}' for server in servers)}")
            asyncio.run(measure(servers, arguments.objects, arguments.requests, arguments.more))
            for server in servers:
                used = [
                    f"{k.removeprefix('memory, ')}: {v['mib']:.0f} MiB" for k, v in server.figures.items() if "mib" in v
                ]
                ready = f"ready after {server.started:.2f} s ({server.ready_cpu:.2f} s of CPU)"
                print(f"{server.name}: {ready}; by objects stored {', '.join(used)}")
                if server.kept:
                    server.stop()
                    seconds, cpu = server.begin(), server.cpu()
                    server.figures["killed, and ready again"] = {"seconds": round(seconds, 2), "cpu": round(cpu, 2)}
                    print(f"{server.name}: killed, ready again after {seconds:.2f} s ({cpu:.2f} s of CPU)")
    except (ProcessFailed, build.BuildFailed, OSError) as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    finally:
        for server in servers:
            server.stop()
    if arguments.json:
        figures = {
            server.name: {"ready_seconds": server.started, "ready_cpu": server.ready_cpu, **server.figures}
            for server in servers
        }
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
