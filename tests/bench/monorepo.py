"""What a commit to a repository costs the Kustomizations that it doesn't concern.

    python -m tests.bench.monorepo N [--runs 3] [--api real|embedded|KUBECONFIG] [--timeout SECONDS]

N Kustomizations of four objects each build from one GitRepository: each from a directory of its own, which changes the
name of what a shared base has. Four commits follow: one that concerns nobody, one that concerns one of them, one to the
base, which concerns all, and one that concerns nobody again. Printed is CPU of each process, in milliseconds for each
Kustomization.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.bench import command, report
from tests.bench.client import MERGE, Client, Collection, connected
from tests.bench.kustomizations import APP, NAMESPACE, REQUESTED, apps_path, is_ready, kustomization, make_tenant
from tests.bench.meter import CONTROLLERS, FLAGS, Meter
from tests.bench.targets import Fleet
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation

COLUMNS = {
    "seconds": "seconds",
    "kustomize-controller": "cpu kustomize-controller",
    "source-controller": "cpu source-controller",
    "API server": "cpu API server",
    "etcd": "cpu etcd",
}
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


async def measure(installation: Installation, options: argparse.Namespace) -> Fleet:
    """What each commit costs, by whom it concerns."""
    print(f"{options.count} Kustomizations of one repository, {installation.kind} API, {os.cpu_count()} cores")
    with GitServer(installation.directory / "git") as server:
        async with connected(installation.api) as client:
            monorepo = Monorepo(client, server.create("apps"), options.count, options.timeout)
            await monorepo.prepare()
            meter = Meter(installation, options.count)
            commits = {
                "nobody": monorepo.nobody,
                "one": monorepo.one,
                "all": monorepo.all,
                "nobody, again": monorepo.nobody,
            }
            try:
                for name, commit in commits.items():
                    print(report.line(name, await meter.phase(name, commit)), flush=True)
            finally:
                monorepo.close()
    return meter.phases


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("monorepo", __doc__, timeout=900, runs=3)
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    options = parser.parse_args(argv)

    def once() -> Fleet:
        with command.installed(options.api, dict.fromkeys(CONTROLLERS, FLAGS)) as installation:
            return asyncio.run(measure(installation, options))

    return command.run(lambda: command.repeat(options, once, COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
