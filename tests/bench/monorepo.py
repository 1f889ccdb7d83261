"""What a commit to a repository costs the Kustomizations that it doesn't concern.

    python -m tests.bench.monorepo N [--api real|embedded|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects each build from one GitRepository: each from a directory of its own, which changes the
name of what a shared base has. Four commits follow: one that concerns nobody, one that concerns one of them, one to the
base, which concerns all, and one that concerns nobody again. Printed is CPU per Kustomization of each process.
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
from typing import Any

import aiohttp

from tests.bench import report
from tests.bench.client import MERGE, BenchFailed, Client, Collection
from tests.bench.kustomizations import APP, NAMESPACE, REQUESTED, apps_path, is_ready, kustomization, make_tenant
from tests.bench.meter import CONTROLLERS, FLAGS, Meter
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build

_SOURCES = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories"


def repository(url: str) -> dict[str, Any]:
    """The source of all."""
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "apps", "namespace": NAMESPACE},
        "spec": {"url": url, "ref": {"branch": "main"}, "interval": "60m"},
    }


def overlay(index: int, *more: str) -> str:
    """The kustomization of one directory."""
    return "\n".join(["resources: [../../base]", f"nameSuffix: -{index}", *more]) + "\n"


def base(version: str) -> str:
    """What all directories build on."""
    return APP.replace("-${INDEX}", "").replace("${INDEX}", "app").replace("${VERSION}", version)


def of_directory(index: int) -> dict[str, Any]:
    """The Kustomization of one directory."""
    made = kustomization(index, NAMESPACE)
    made["spec"] |= {"sourceRef": {"kind": "GitRepository", "name": "apps"}, "path": f"./apps/app-{index}"}
    del made["spec"]["postBuild"]
    return made


class Monorepo:
    """The repository, and the Kustomizations of it."""

    def __init__(self, client: Client, repo: Repo, count: int, timeout: float) -> None:
        self._client, self._repo, self._count, self._timeout = client, repo, count, timeout
        self._apps: Collection

    async def prepare(self) -> None:
        """All of them, Ready; not measured."""
        files: dict[str, str | bytes | None] = {
            "base/kustomization.yaml": "resources: [app.yaml]\n",
            "base/app.yaml": base("v1"),
            **{f"apps/app-{index}/kustomization.yaml": overlay(index) for index in range(self._count)},
        }
        await asyncio.to_thread(self._repo.commit, files)
        await make_tenant(self._client, NAMESPACE)
        await self._client.send("POST", _SOURCES, repository(self._repo.url))
        self._apps = await self._client.watch(apps_path(NAMESPACE))
        path = apps_path(NAMESPACE)
        await asyncio.gather(*(self._client.send("POST", path, of_directory(index)) for index in range(self._count)))
        await self._apps.until_all(self._count, is_ready, "prepare", self._timeout)

    async def nobody(self) -> None:
        await self._commit({"README.md": f"{time.time()}\n"})

    async def one(self) -> None:
        await self._commit({"apps/app-0/kustomization.yaml": overlay(0, "commonAnnotations: {changed: 'yes'}")})

    async def all(self) -> None:
        await self._commit({"base/app.yaml": base("v2")})

    def close(self) -> None:
        self._apps.close()

    async def _commit(self, files: dict[str, str | bytes | None]) -> None:
        commit = await asyncio.to_thread(self._repo.commit, files)
        patch = {"metadata": {"annotations": {REQUESTED: commit}}}
        await self._client.send("PATCH", f"{_SOURCES}/apps", patch, kind=MERGE)

        def is_there(app: dict[str, Any]) -> bool:
            return is_ready(app) and app["status"].get("lastAppliedRevision", "").endswith(commit)

        await self._apps.until_all(self._count, is_there, "commit", self._timeout)


async def measure(installation: Installation, folder: Path, count: int, timeout: float) -> None:
    """Run all phases, and print what each costs."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    with GitServer(folder / "git") as server:
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            monorepo = Monorepo(Client(installation.api, session), server.create("apps"), count, timeout)
            await monorepo.prepare()
            meter = Meter(installation, count)
            try:
                for name in ("nobody", "one", "all", "nobody"):
                    print(report.line(name, await meter.phase(name, getattr(monorepo, name))), flush=True)
            finally:
                monorepo.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.monorepo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    parser.add_argument("--api", default="real", help="real (default), embedded, or the path of a kubeconfig")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a phase may take (default 900)")
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Installation.start(arguments.api, folder, flags=dict.fromkeys(CONTROLLERS, FLAGS)) as installation:
            print(
                f"{arguments.count} Kustomizations of one repository, {installation.kind} API, {os.cpu_count()} cores"
            )
            print("commit to                         time   CPU, ms per Kustomization", flush=True)
            asyncio.run(measure(installation, folder, arguments.count, arguments.timeout))
    except (BenchFailed, ProcessFailed, build.BuildFailed) as failure:
        print(f"bench: {failure}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
