"""N Kustomizations of four objects each, from N OCIRepositories of one registry: what each phase does.

sources   N OCIRepository created                        → all Ready
apply     N Kustomization created, wait on               → all Ready
noop      a reconcile requested on all                   → all handled; nothing had changed
update    an artifact that changes every object, and     → all Ready at that revision
          a reconcile of each source requested
delete    all Kustomizations deleted                     → gone, with their objects

Whoever waits watches: lists of all objects, asked for again and again, would cost the API server more than its work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.bench.client import MERGE, BenchFailed, Client, Collection
from tests.kit.registry import Registry

NAMESPACE = "bench"
APP = Path(__file__).with_name("app.yaml").read_text()
AFTER = """apiVersion: v1
kind: ConfigMap
metadata: {name: "after-${INDEX}"}
data: {version: "${VERSION}"}
"""
TAG = "latest"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
FLEET = "bench.example.org/fleet"
"""The label of sources and Kustomizations, whose value is their namespace: controllers that select it look on at no
other fleet."""
CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"


def sources_path(namespace: str) -> str:
    return f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{namespace}/ocirepositories"


def apps_path(namespace: str) -> str:
    return f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{namespace}/kustomizations"


def _metadata(index: int, namespace: str) -> dict[str, Any]:
    return {"name": f"app-{index}", "namespace": namespace, "labels": {FLEET: namespace}}


def source(index: int, url: str, namespace: str) -> dict[str, Any]:
    """The OCIRepository of one application."""
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": _metadata(index, namespace),
        "spec": {"url": url, "ref": {"tag": TAG}, "interval": "60m", "insecure": True},
    }


def kustomization(index: int, namespace: str) -> dict[str, Any]:
    """The Kustomization of one application."""
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": _metadata(index, namespace),
        "spec": {
            "sourceRef": {"kind": "OCIRepository", "name": f"app-{index}"},
            "interval": "60m",
            "retryInterval": "2m",
            "timeout": "3m",
            "prune": True,
            "wait": True,
            "serviceAccountName": "tenant",
            "targetNamespace": namespace,
            "path": "./app",
            "postBuild": {"substitute": {"INDEX": str(index)}},
        },
    }


class Content:
    """What all sources read: one repository of a registry. Each version takes the place of the one before."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.url = registry.url("apps")

    def publish(self, version: str) -> str:
        """Store a version: the application, and what comes after it; each fills in its own index. What the revision
        ends with."""
        files: dict[str, str | bytes] = {
            "app/app.yaml": APP.replace("${VERSION}", f"v{version}"),
            "after/after.yaml": AFTER.replace("${VERSION}", f"v{version}"),
        }
        origin = {"org.opencontainers.image.revision": f"main@sha1:{version:0>40}"}
        return self._registry.push_files("apps", TAG, files, **origin)


def is_ready(obj: dict[str, Any]) -> bool:
    """Ready at its present generation."""
    status = obj.get("status", {})
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions", []))
    return ready and status.get("observedGeneration") == obj["metadata"]["generation"]


def is_applied(revision: str) -> Callable[[dict[str, Any]], bool]:
    """Ready at a revision that ends so?"""
    return lambda app: is_ready(app) and app["status"].get("lastAppliedRevision", "").endswith(revision)


async def make_tenant(client: Client, namespace: str) -> None:
    """A namespace in which its tenant may do everything."""
    await client.send("POST", f"{CORE}/namespaces", {"metadata": {"name": namespace}})
    binding = {
        "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}],
    }
    await client.send("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)
    await client.send("POST", f"{CORE}/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "tenant"}})


async def have_one_source(client: Client, url: str) -> None:
    """The tenant's namespace, and in it the one source that `of_one_source` is of."""
    await make_tenant(client, NAMESPACE)
    await client.send("POST", sources_path(NAMESPACE), source(0, url, NAMESPACE))


def of_one_source(index: int) -> dict[str, Any]:
    """The Kustomization of one application, where all are of the same source."""
    made = kustomization(index, NAMESPACE)
    made["spec"]["sourceRef"]["name"] = "app-0"
    return made


class Phases:
    """The phases in order; each returns when its state is reached, or raises BenchFailed after `timeout` seconds."""

    def __init__(self, client: Client, content: Content, count: int, timeout: float) -> None:
        self.client, self.content, self.count, self.timeout = client, content, count, timeout
        self._sources: Collection
        self._apps: Collection

    async def prepare(self) -> None:
        """What has to be there before the first phase; not measured."""
        self.content.publish("1")
        await make_tenant(self.client, NAMESPACE)
        self._sources = await self.client.watch(sources_path(NAMESPACE))
        self._apps = await self.client.watch(apps_path(NAMESPACE))

    async def sources(self) -> None:
        url, path = self.content.url, self._sources.path
        await self._each(lambda index: self.client.send("POST", path, source(index, url, NAMESPACE)))
        await self._sources.until_all(self.count, is_ready, "sources", self.timeout)

    async def apply(self) -> None:
        await self._each(lambda index: self.client.send("POST", self._apps.path, kustomization(index, NAMESPACE)))
        await self._apps.until_all(self.count, is_ready, "apply", self.timeout)

    async def noop(self) -> None:
        token = await self._request(self._apps.path)

        def handled(app: dict[str, Any]) -> bool:
            return is_ready(app) and app["status"].get("lastHandledReconcileAt") == token

        await self._apps.until_all(self.count, handled, "noop", self.timeout)

    async def update(self) -> None:
        revision = self.content.publish("2")
        await self._request(self._sources.path)
        await self._apps.until_all(self.count, is_applied(revision), "update", self.timeout)

    async def delete(self) -> None:
        await self._each(lambda index: self.client.send("DELETE", f"{self._apps.path}/app-{index}"))
        await self._apps.until_all(0, is_ready, "delete", self.timeout)
        left = await self.client.send("GET", f"{CORE}/namespaces/{NAMESPACE}/services")
        if left["items"]:
            raise BenchFailed(f"delete: {len(left['items'])} Services are left behind")

    def close(self) -> None:
        self._sources.close()
        self._apps.close()

    async def _request(self, path: str) -> str:
        token = str(time.time())
        patch = {"metadata": {"annotations": {REQUESTED: token}}}
        await self._each(lambda index: self.client.send("PATCH", f"{path}/app-{index}", patch, kind=MERGE))
        return token

    async def _each(self, call: Callable[[int], Awaitable[None]]) -> None:
        await asyncio.gather(*(call(index) for index in range(self.count)))
