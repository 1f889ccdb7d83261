"""What a fleet costs that is at rest, and what one change in it costs the others.

    python -m tests.bench.fleet [N] [--api real|embedded|KUBECONFIG] [--drifts 100] [--idle 30] [--json FILE]

N Kustomizations of four objects each build a directory of their own of one GitRepository, a monorepo:

apply     all are created                              → all Ready
idle      nothing happens for a while                  what that costs
one       a commit that changes one directory          → all Ready at that revision
drift     Services' ports changed by hand, in turn     how long until each is as it was: median, p99
restart   the controllers killed and started again     how long until they are ready, and what they write then

Printed are seconds, CPU of each controller and the writes and reads that it sent to the API.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import requests

from tests.bench import usage
from tests.bench.client import JSON_PATCH, MERGE, BenchFailed, Client, Collection
from tests.bench.kustomizations import APP, CORE, NAMESPACE, apps_path, is_ready, kustomization, make_tenant
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build

FLAGS = ("--concurrent=20", "--kube-api-qps=1000", "--kube-api-burst=2000")
CONTROLLERS = ("source-controller", "kustomize-controller")
SOURCES = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories"
_CALLS = re.compile(
    r'^fluvial_api_requests_total\{controller="[^"]*",resource="[^"]*",verb="([^"]*)"\} (\S+)', re.MULTILINE
)
_READS = {"GET", "LIST", "WATCH", "DISCOVER", "REVIEW"}


def files(count: int) -> dict[str, str | bytes | None]:
    """The monorepo: a directory for each application."""
    return {f"apps/{index}/app.yaml": APP.replace("${VERSION}", "v1") for index in range(count)}


def app(index: int) -> dict[str, Any]:
    """The Kustomization of one directory."""
    made = kustomization(index, NAMESPACE)
    made["spec"] |= {"path": f"./apps/{index}", "sourceRef": {"kind": "GitRepository", "name": "monorepo"}}
    return made


class Meter:
    """What the controllers spent since `begin`, in CPU seconds and in calls of the API."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.begin()

    def begin(self) -> None:
        """Count from here."""
        self._start, self._used, self._calls = time.monotonic(), usage.of(self._installation.pids), self._asked()

    def spent(self) -> dict[str, Any]:
        """Seconds, and of each controller CPU seconds, writes and reads."""
        seconds = time.monotonic() - self._start
        cpu = usage.cpu_between(self._used, usage.of(self._installation.pids))
        figures: dict[str, Any] = {"seconds": round(seconds, 2)}
        for name, calls in self._asked().items():
            new = calls - self._calls[name]
            reads = sum(count for verb, count in new.items() if verb in _READS)
            figures[name] = {"cpu": round(cpu[name], 2), "writes": new.total() - reads, "reads": reads}
        return figures

    def _asked(self) -> dict[str, Counter[str]]:
        asked = {}
        for name in CONTROLLERS:
            calls: Counter[str] = Counter()
            for verb, count in _CALLS.findall(_metrics(self._installation.addresses.metrics[name])):
                calls[verb.upper()] += int(float(count))
            asked[name] = calls
        return asked


def _metrics(address: str) -> str:
    answer = requests.get(f"http://{address}/metrics", timeout=60, proxies={"http": ""})
    answer.raise_for_status()
    return answer.text


class Fleet:
    """The phases in order."""

    def __init__(self, client: Client, installation: Installation, repo: Repo, options: argparse.Namespace) -> None:
        self._client, self._installation, self._repo, self._options = client, installation, repo, options
        self.count: int = options.count
        self._apps: Collection

    async def prepare(self) -> None:
        """The repository, the tenant and the source; not measured."""
        await asyncio.to_thread(self._repo.commit, files(self.count))
        await make_tenant(self._client, NAMESPACE)
        await self._client.send(
            "POST", f"{CORE}/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "tenant"}}
        )
        source = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": "monorepo", "namespace": NAMESPACE},
            "spec": {"url": self._repo.url, "ref": {"branch": "main"}, "interval": "60m"},
        }
        await self._client.send("POST", SOURCES, source)
        live = await self._client.watch(SOURCES)
        await live.until_all(1, is_ready, "the source", self._options.timeout)
        live.close()
        self._apps = await self._client.watch(apps_path(NAMESPACE))

    async def apply(self) -> None:
        path = apps_path(NAMESPACE)
        await asyncio.gather(*(self._client.send("POST", path, app(index)) for index in range(self.count)))
        await self._apps.until_all(self.count, is_ready, "apply", self._options.timeout)

    async def idle(self) -> None:
        await asyncio.sleep(self._options.idle)

    async def one(self) -> None:
        changed = {"apps/0/app.yaml": APP.replace("${VERSION}", "v2")}
        commit = await asyncio.to_thread(self._repo.commit, changed)
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(time.time())}}}
        await self._client.send("PATCH", f"{SOURCES}/monorepo", patch, kind=MERGE)

        def has_it(live: dict[str, Any]) -> bool:
            return is_ready(live) and live["status"].get("lastAppliedRevision", "").endswith(commit)

        await self._apps.until_all(self.count, has_it, "one", self._options.timeout)

    async def drift(self) -> list[float]:
        """Seconds that each change by hand lasted."""
        services = await self._client.watch(f"{CORE}/namespaces/{NAMESPACE}/services")
        lasted = []
        for number in range(self._options.drifts):
            name = f"app-{number % self.count}"
            edit = [{"op": "replace", "path": "/spec/ports/0/port", "value": 9897}]
            path = f"{CORE}/namespaces/{NAMESPACE}/services/{name}"
            start = time.monotonic()
            edited = await self._client.send("PATCH", path, edit, kind=JSON_PATCH)
            await services.until(name, _is_restored(edited), f"drift of {name}", 30)
            lasted.append(time.monotonic() - start)
        services.close()
        return lasted

    async def restart(self) -> float:
        """Seconds until the controllers are ready again; returns once they have looked at everything."""
        start = time.monotonic()
        await asyncio.to_thread(self._installation.restart_controllers, *CONTROLLERS)
        return time.monotonic() - start

    async def until_looked_at(self, meter: Meter) -> None:
        """Wait until kustomize-controller uses no CPU to speak of."""
        before = usage.of(self._installation.pids)
        deadline = time.monotonic() + self._options.timeout
        while True:
            await asyncio.sleep(1)
            now = usage.of(self._installation.pids)
            if usage.cpu_between(before, now)["kustomize-controller"] < 0.05:
                return
            if time.monotonic() > deadline:
                raise BenchFailed("restart: kustomize-controller does not come to rest")
            before = now

    def close(self) -> None:
        self._apps.close()


def _is_restored(edited: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
    version = int(edited["metadata"]["resourceVersion"])

    def holds(service: dict[str, Any]) -> bool:
        newer = int(service["metadata"]["resourceVersion"]) > version
        return newer and service["spec"]["ports"][0]["port"] == 9898

    return holds


async def measure(installation: Installation, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run all phases; the figures."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    figures: dict[str, Any] = {"n": options.count}
    with GitServer(folder / "git") as server:
        repo = server.create("monorepo")
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            fleet = Fleet(Client(installation.api, session), installation, repo, options)
            await fleet.prepare()
            meter = Meter(installation)

            async def phase(name: str, run: Callable[[], Awaitable[Any]]) -> None:
                meter.begin()
                await run()
                _show(figures, name, meter.spent())

            for name in ("apply", "idle", "one"):
                await phase(name, getattr(fleet, name))
            meter.begin()
            lasted = sorted(await fleet.drift())
            _show(figures, "drift", meter.spent() | _spread(lasted))
            figures["peak_mib"] = {name: round(used.peak) for name, used in usage.of(installation.pids).items()}
            ready = await fleet.restart()
            meter.begin()
            await fleet.until_looked_at(meter)
            _show(figures, "restart", meter.spent() | {"ready_after": round(ready, 2)})
            fleet.close()
    print(f"peak MiB before the restart: {' '.join(f'{name} {mib}' for name, mib in figures['peak_mib'].items())}")
    return figures


def _spread(lasted: list[float]) -> dict[str, float]:
    at = min(len(lasted) - 1, int(0.99 * len(lasted)))
    return {"median": round(statistics.median(lasted), 3), "p99": round(lasted[at], 3)} if lasted else {}


def _show(figures: dict[str, Any], name: str, spent: dict[str, Any]) -> None:
    figures[name] = spent
    said = [f"{name:8}{spent['seconds']:8.2f} s"]
    said += [f"{what} {spent[what]} s" for what in ("median", "p99", "ready_after") if what in spent]
    for controller in CONTROLLERS:
        one = spent[controller]
        said.append(f"{controller}: {one['cpu']:.2f} s CPU, {one['writes']} writes, {one['reads']} reads")
    print("  ".join(said), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, nargs="?", default=1000, metavar="N", help="applications (default 1000)")
    parser.add_argument("--api", default="real", help="real (default), embedded, or the path of a kubeconfig")
    parser.add_argument("--drifts", type=int, default=100, help="changes by hand (default 100)")
    parser.add_argument("--idle", type=float, default=30, help="seconds of rest (default 30)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a phase may take (default 900)")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Installation.start(options.api, folder, flags=dict.fromkeys(CONTROLLERS, FLAGS)) as installation:
            print(f"{options.count} Kustomizations of one GitRepository, {installation.kind} API", flush=True)
            figures = asyncio.run(measure(installation, folder, options))
    except (BenchFailed, ProcessFailed, build.BuildFailed) as failure:
        print(f"bench: {failure}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
