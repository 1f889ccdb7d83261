"""What many sources cost the controller and the remotes: artifacts of one registry, and of one large Git repository.

    python -m tests.bench.sources [N] [--runs 3] [--oci N] [--git N/2] [--files 20N] [--api real|embedded|KUBECONFIG]

Each OCIRepository is of a repository of its own in one registry. The GitRepositories are all of one repository, each of
another directory (`sparseCheckout`) as the teams of a monorepo have it, or with --whole of all its files. Printed are,
of the first round and of one in which nothing changed: seconds, CPU and peak memory of source-controller, and the
requests that reached the remote. In the end DOWNLOADS clients fetch one large artifact at the same time, and somebody
asks meanwhile whether the controller is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp

from tests.bench import command, usage
from tests.bench.client import MERGE, BenchFailed, Client, Collection, connected
from tests.bench.kustomizations import CORE, NAMESPACE, is_ready
from tests.bench.meter import FLAGS, Figures
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation
from tests.kit.registry import Registry

NAME = "source-controller"
COLUMNS = {
    "seconds": "seconds",
    "CPU, ms each": "cpu",
    "requests to the remote": "requests",
    "peak memory, MiB": "peak",
    "MB/s": "rate",
    "/readyz, ms": "ready",
}
TEAMS = 200
"""Directories of the monorepo; several sources take the same one when there are more of them."""
DOWNLOADS, LARGE = 200, 16 << 20
"""So many downloads of so many bytes."""
GROUP = "source.toolkit.fluxcd.io/v1"


def monorepo(repo: Repo, files: int) -> None:
    """Fill the repository with `files` files of half a kibibyte in TEAMS directories, as one commit."""
    for number in range(files):
        path = repo.work / f"team-{number % TEAMS}" / f"{number:05}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" + f"key: {number:040}\n" * 10)
    repo.git("add", "--all")
    repo.git("commit", "-q", "-m", f"{files} files")
    repo.git("push", "-q", "origin", "main")


def git_source(index: int, url: str, *, whole: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"url": url, "ref": {"branch": "main"}, "interval": "60m"}
    if not whole:
        spec["sparseCheckout"] = [f"team-{index % TEAMS}"]
    return _object("GitRepository", f"git-{index}", spec)


def oci_source(index: int, registry: Registry) -> dict[str, Any]:
    url = f"oci://{registry.host}/app-{index}"
    spec = {"url": url, "ref": {"tag": "v1"}, "interval": "60m", "insecure": True}
    return _object("OCIRepository", f"oci-{index}", spec)


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": GROUP, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


class Sources:
    """One kind's sources: made, and then asked to look again while nothing changed."""

    def __init__(self, client: Client, plural: str, objects: Sequence[dict[str, Any]], timeout: float) -> None:
        self._client, self._objects, self._timeout = client, objects, timeout
        self._path = f"/apis/{GROUP}/namespaces/{NAMESPACE}/{plural}"
        self._live: Collection

    async def first(self) -> None:
        self._live = await self._client.watch(self._path)
        await asyncio.gather(*(self._client.send("POST", self._path, one) for one in self._objects))
        await self._live.until_all(len(self._objects), is_ready, "first", self._timeout)

    async def again(self) -> None:
        token = str(time.time_ns())
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        await asyncio.gather(
            *(
                self._client.send("PATCH", f"{self._path}/{one['metadata']['name']}", patch, kind=MERGE)
                for one in self._objects
            )
        )

        def handled(obj: dict[str, Any]) -> bool:
            return bool(obj["status"].get("lastHandledReconcileAt") == token)

        await self._live.until_all(len(self._objects), handled, "again", self._timeout)

    def close(self) -> None:
        self._live.close()


async def measured(
    name: str, installation: Installation, count: int, requests: Callable[[], int], run: Callable[[], Awaitable[None]]
) -> Figures:
    """Run one round: what it cost, which is printed, too."""
    before, start, asked = usage.of(installation.pids), time.monotonic(), requests()
    await run()
    figures = _spent(installation, before, start, count) | {"requests": requests() - asked}
    print(
        f"{name:24}{figures['seconds']:8.1f} s {figures['cpu']:8.1f} ms CPU each "
        f"{figures['requests']:7} requests to the remote   peak {figures['peak']:.0f} MiB",
        flush=True,
    )
    return figures


def _spent(installation: Installation, before: dict[str, usage.Usage], start: float, count: int) -> Figures:
    after = usage.of(installation.pids)
    cpu = usage.cpu_between(before, after)[NAME]
    return {"seconds": time.monotonic() - start, "cpu": 1000 * cpu / count, "peak": after[NAME].peak}


async def downloads(installation: Installation, client: Client, timeout: float) -> Figures:
    """Fetch one artifact many times at once: what it cost, and how long /readyz took meanwhile."""
    with Registry() as registry:
        registry.push_files("large", "v1", {"random": os.urandom(LARGE)})
        spec = {"url": f"oci://{registry.host}/large", "ref": {"tag": "v1"}, "interval": "60m", "insecure": True}
        path = f"/apis/{GROUP}/namespaces/{NAMESPACE}/ocirepositories"
        source = await client.send("POST", path, _object("OCIRepository", "large", spec))
        deadline = time.monotonic() + timeout
        while not is_ready(source):
            if time.monotonic() > deadline:
                raise BenchFailed(f"the large artifact is not there: {source.get('status')}")
            await asyncio.sleep(0.2)
            source = await client.send("GET", f"{path}/large")
    artifact = source["status"]["artifact"]
    ready = f"http://{installation.addresses.health[NAME]}/readyz"
    answers: list[float] = []

    async def fetch(session: aiohttp.ClientSession) -> None:
        size = 0
        async with session.get(artifact["url"]) as answer:
            async for block in answer.content.iter_any():
                size += len(block)
        if size != artifact["size"]:
            raise BenchFailed(f"an artifact of {artifact['size']} bytes came with {size}")

    async def probe(session: aiohttp.ClientSession) -> None:
        while True:
            start = time.monotonic()
            async with session.get(ready) as answer:
                if answer.status != 200:
                    raise BenchFailed(f"/readyz answers {answer.status}")
            answers.append(time.monotonic() - start)
            await asyncio.sleep(0.02)

    before, start = usage.of(installation.pids), time.monotonic()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        probing = asyncio.create_task(probe(session))
        await asyncio.gather(*(fetch(session) for _ in range(DOWNLOADS)))
        probing.cancel()
    figures = _spent(installation, before, start, DOWNLOADS)
    figures |= {"rate": DOWNLOADS * artifact["size"] / figures["seconds"] / 1e6, "ready": 1000 * max(answers)}
    print(
        f"{DOWNLOADS} downloads at once  {figures['seconds']:8.1f} s {figures['cpu']:8.1f} ms CPU each "
        f"{figures['rate']:8.0f} MB/s   /readyz within {figures['ready']:.0f} ms   peak {figures['peak']:.0f} MiB",
        flush=True,
    )
    return figures


async def measure(installation: Installation, options: argparse.Namespace) -> dict[str, Figures]:
    """Both kinds of sources, one after the other, and the downloads."""
    found: dict[str, Figures] = {}
    print(f"{installation.kind} API; source-controller runs with {' '.join(FLAGS)}", flush=True)
    async with connected(installation.api) as client:
        await client.send("POST", f"{CORE}/namespaces", {"metadata": {"name": NAMESPACE}})
        if options.oci:
            with Registry() as registry:
                for index in range(options.oci):
                    registry.push_files(f"app-{index}", "v1", {"app.yaml": f"number: {index}\n" * 100})
                objects = [oci_source(index, registry) for index in range(options.oci)]
                sources = Sources(client, "ocirepositories", objects, options.timeout)
                for name, run in (("first", sources.first), ("nothing changed", sources.again)):
                    found[f"oci, {name}"] = await measured(
                        f"oci, {name}", installation, len(objects), lambda: len(registry.requests), run
                    )
                sources.close()
        if options.git:
            with GitServer(installation.directory / "git") as server:
                repo = server.create("mono")
                await asyncio.to_thread(monorepo, repo, options.files)
                objects = [git_source(index, repo.url, whole=options.whole) for index in range(options.git)]
                sources = Sources(client, "gitrepositories", objects, options.timeout)
                for name, run in (("first", sources.first), ("nothing changed", sources.again)):
                    found[f"git, {name}"] = await measured(
                        f"git, {name}", installation, len(objects), lambda: len(server.requests), run
                    )
                sources.close()
        found[f"{DOWNLOADS} downloads"] = await downloads(installation, client, options.timeout)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("sources", __doc__, timeout=1800, runs=3)
    parser.add_argument("count", type=int, nargs="?", default=1000, metavar="N", help="the size of it (default 1000)")
    parser.add_argument("--oci", type=int, help="how many OCIRepositories (default N)")
    parser.add_argument("--git", type=int, help="how many GitRepositories (default N/2)")
    parser.add_argument("--files", type=int, help="files of the Git repository (default 20 N)")
    parser.add_argument("--whole", action="store_true", help="each GitRepository takes all files, not a directory")
    options = parser.parse_args(argv)
    for name, default in (("oci", options.count), ("git", options.count // 2), ("files", 20 * options.count)):
        if getattr(options, name) is None:
            setattr(options, name, default)

    def once() -> dict[str, Figures]:
        with command.installed(options.api, {NAME: FLAGS}) as installation:
            return asyncio.run(measure(installation, options))

    return command.run(lambda: command.repeat(options, once, COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
