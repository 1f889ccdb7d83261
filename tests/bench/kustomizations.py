"""N Kustomizations of four objects each, from N GitRepositories of one Git repository: what each phase does.

sources   N GitRepository created                        → all Ready
apply     N Kustomization created, wait on               → all Ready
noop      a reconcile requested on all                   → all handled; nothing had changed
update    a commit that changes every object             → all Ready at that revision
drift     a managed Service's port changed by hand       → as it was
delete    all Kustomizations deleted                     → gone, with their objects
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.bench.client import JSON_PATCH, MERGE, BenchFailed, Client, Collection
from tests.kit.gitserver import Repo

NAMESPACE = "bench"
TENANT = f"system:serviceaccount:{NAMESPACE}:tenant"
APP = Path(__file__).with_name("app.yaml").read_text()
AFTER = """apiVersion: v1
kind: ConfigMap
metadata: {name: "after-${INDEX}"}
data: {version: "${VERSION}"}
"""
CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"


def sources_path(namespace: str) -> str:
    return f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/gitrepositories"


def apps_path(namespace: str) -> str:
    return f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations"


def source(index: int, url: str) -> dict[str, Any]:
    """The GitRepository of one application."""
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": f"app-{index}", "namespace": NAMESPACE},
        "spec": {"url": url, "ref": {"branch": "main"}, "interval": "60m"},
    }


def kustomization(index: int, namespace: str, *, suspend: bool = False) -> dict[str, Any]:
    """The Kustomization of one application."""
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": f"app-{index}", "namespace": namespace},
        "spec": {
            "sourceRef": {"kind": "GitRepository", "name": f"app-{index}"},
            "interval": "60m",
            "retryInterval": "2m",
            "timeout": "3m",
            "prune": True,
            "wait": True,
            "serviceAccountName": "tenant",
            "targetNamespace": namespace,
            "path": "./app",
            "postBuild": {"substitute": {"INDEX": str(index)}},
            "suspend": suspend,
        },
    }


def files(version: str) -> dict[str, str | bytes | None]:
    """What the Git repository holds at one version: the application, and what comes after it; each fills in its own
    index."""
    return {
        "app/app.yaml": APP.replace("${VERSION}", f"v{version}"),
        "after/after.yaml": AFTER.replace("${VERSION}", f"v{version}"),
    }


def is_ready(obj: dict[str, Any]) -> bool:
    """Ready at its present generation."""
    status = obj.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
    return ready and status.get("observedGeneration") == obj["metadata"]["generation"]


async def make_tenant(client: Client, namespace: str) -> None:
    """A namespace in which the tenant may do everything."""
    await client.send("POST", f"{CORE}/namespaces", {"metadata": {"name": namespace}})
    binding = {
        "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": NAMESPACE}],
    }
    await client.send("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)


class Phases:
    """The phases in order; each returns when its state is reached, or raises BenchFailed after `timeout` seconds."""

    def __init__(self, client: Client, repo: Repo, count: int, timeout: float) -> None:
        self.client, self.repo, self.count, self.timeout = client, repo, count, timeout
        self._sources: Collection
        self._apps: Collection

    async def prepare(self) -> None:
        """What has to be there before the first phase; not measured."""
        await asyncio.to_thread(self.repo.commit, files("1"))
        await make_tenant(self.client, NAMESPACE)
        await self.client.send(
            "POST", f"{CORE}/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": "tenant"}}
        )
        self._sources = await self.client.watch(sources_path(NAMESPACE))
        self._apps = await self.client.watch(apps_path(NAMESPACE))

    async def sources(self) -> None:
        path = sources_path(NAMESPACE)
        await asyncio.gather(
            *(self.client.send("POST", path, source(index, self.repo.url)) for index in range(self.count))
        )
        await self._sources.until_all(self.count, is_ready, "sources", self.timeout)

    async def apply(self) -> None:
        path = apps_path(NAMESPACE)
        await asyncio.gather(
            *(self.client.send("POST", path, kustomization(index, NAMESPACE)) for index in range(self.count))
        )
        await self._apps.until_all(self.count, is_ready, "apply", self.timeout)

    async def noop(self) -> None:
        token = f"noop-{time.time()}"
        await self._request(apps_path(NAMESPACE), token)

        def handled(app: dict[str, Any]) -> bool:
            return is_ready(app) and app["status"].get("lastHandledReconcileAt") == token

        await self._apps.until_all(self.count, handled, "noop", self.timeout)

    async def update(self) -> None:
        commit = await asyncio.to_thread(self.repo.commit, files("2"))
        await self._request(sources_path(NAMESPACE), f"update-{time.time()}")

        def updated(app: dict[str, Any]) -> bool:
            return is_ready(app) and app["status"].get("lastAppliedRevision", "").endswith(commit)

        await self._apps.until_all(self.count, updated, "update", self.timeout)

    async def drift(self) -> None:
        path = f"{CORE}/namespaces/{NAMESPACE}/services/app-0"
        edit = [{"op": "replace", "path": "/spec/ports/0/port", "value": 9897}]
        await self.client.send("PATCH", path, edit, kind=JSON_PATCH)
        deadline = time.monotonic() + 30
        while (await self.client.send("GET", path))["spec"]["ports"][0]["port"] != 9898:
            if time.monotonic() > deadline:
                raise BenchFailed("drift: the Service's port isn't corrected after 30 s")
            await asyncio.sleep(0.02)

    async def delete(self) -> None:
        path = apps_path(NAMESPACE)
        await asyncio.gather(*(self.client.send("DELETE", f"{path}/app-{index}") for index in range(self.count)))
        await self._apps.until_all(0, is_ready, "delete", self.timeout)
        left = await self.client.send("GET", f"{CORE}/namespaces/{NAMESPACE}/services")
        if left["items"]:
            raise BenchFailed(f"delete: {len(left['items'])} Services are left behind")

    def close(self) -> None:
        self._sources.close()
        self._apps.close()

    async def _request(self, path: str, token: str) -> None:
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        await asyncio.gather(
            *(self.client.send("PATCH", f"{path}/app-{index}", patch, kind=MERGE) for index in range(self.count))
        )
