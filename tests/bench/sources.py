"""What many sources cost the controller and the remotes: artifacts of one registry, and of one large Git repository.

    python -m tests.bench.sources [N] [--oci N] [--git N/2] [--files 20N] [--api real|embedded|KUBECONFIG]

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
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench import usage
from tests.bench.client import MERGE, BenchFailed, Client, Collection
from tests.bench.kustomizations import CORE, NAMESPACE, is_ready
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.kit.registry import Registry
from tests.upstream.controlplane import build

FLAGS = ("--concurrent=20", "--kube-api-qps=1000", "--kube-api-burst=2000")
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
) -> None:
    """Run one round and print what it cost."""
    before, start, asked = usage.of(installation.pids), time.monotonic(), requests()
    await run()
    seconds = time.monotonic() - start
    after = usage.of(installation.pids)
    cpu = usage.cpu_between(before, after)["source-controller"]
    print(
        f"{name:24}{seconds:8.1f} s {1000 * seconds / count:8.1f} ms each {1000 * cpu / count:8.1f} ms CPU each "
        f"{requests() - asked:7} requests to the remote   peak {after['source-controller'].peak:.0f} MiB",
        flush=True,
    )


async def downloads(installation: Installation, client: Client, timeout: float) -> None:
    """Fetch one artifact many times at once, print what it cost, and how long /readyz took meanwhile."""
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
    ready = f"http://{installation.addresses.health['source-controller']}/readyz"
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
    seconds, after = time.monotonic() - start, usage.of(installation.pids)
    cpu = usage.cpu_between(before, after)["source-controller"]
    print(
        f"{DOWNLOADS} downloads at once  {seconds:8.1f} s {DOWNLOADS * artifact['size'] / seconds / 1e6:8.0f} MB/s "
        f"{1000 * cpu / DOWNLOADS:8.1f} ms CPU each   /readyz within {1000 * max(answers):.0f} ms   "
        f"peak {after['source-controller'].peak:.0f} MiB",
        flush=True,
    )


async def measure(installation: Installation, folder: Path, arguments: argparse.Namespace) -> None:
    """Both kinds of sources, one after the other."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        client = Client(installation.api, session)
        await client.send("POST", f"{CORE}/namespaces", {"metadata": {"name": NAMESPACE}})
        if arguments.oci:
            with Registry() as registry:
                for index in range(arguments.oci):
                    registry.push_files(f"app-{index}", "v1", {"app.yaml": f"number: {index}\n" * 100})
                objects = [oci_source(index, registry) for index in range(arguments.oci)]
                sources = Sources(client, "ocirepositories", objects, arguments.timeout)
                for name, run in (("first", sources.first), ("nothing changed", sources.again)):
                    await measured(f"oci, {name}", installation, len(objects), lambda: len(registry.requests), run)
                sources.close()
        if arguments.git:
            with GitServer(folder / "git") as server:
                repo = server.create("mono")
                await asyncio.to_thread(monorepo, repo, arguments.files)
                objects = [git_source(index, repo.url, whole=arguments.whole) for index in range(arguments.git)]
                sources = Sources(client, "gitrepositories", objects, arguments.timeout)
                for name, run in (("first", sources.first), ("nothing changed", sources.again)):
                    await measured(f"git, {name}", installation, len(objects), lambda: len(server.requests), run)
                sources.close()
        await downloads(installation, client, arguments.timeout)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.sources", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, nargs="?", default=1000, metavar="N", help="the size of it (default 1000)")
    parser.add_argument("--oci", type=int, help="how many OCIRepositories (default N)")
    parser.add_argument("--git", type=int, help="how many GitRepositories (default N/2)")
    parser.add_argument("--files", type=int, help="files of the Git repository (default 20 N)")
    parser.add_argument("--whole", action="store_true", help="each GitRepository takes all files, not a directory")
    parser.add_argument("--api", default="real", help="real (default), embedded, or the path of a kubeconfig")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds that a round may take (default 1800)")
    arguments = parser.parse_args(argv)
    for name, default in (("oci", arguments.count), ("git", arguments.count // 2), ("files", 20 * arguments.count)):
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Installation.start(arguments.api, folder, flags={"source-controller": FLAGS}) as installation:
            print(f"{installation.kind} API; source-controller runs with {' '.join(FLAGS)}", flush=True)
            asyncio.run(measure(installation, folder, arguments))
    except (BenchFailed, ProcessFailed, build.BuildFailed, subprocess.CalledProcessError) as failure:
        print(f"bench: {failure}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
