"""The floor: the same writes that no controller can avoid, sent by a bare client in the same run.

Per application: its Kustomization created (suspended, so that no controller looks at it), one finalizer, four applies
as the tenant, two status writes and one event to apply it; one status write for a pass in which nothing changed; four
applies, one status write and one event to update it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import yaml

from tests.bench.client import APPLY, MERGE, Client
from tests.bench.kustomizations import APP, CORE, NAMESPACE, TENANT, apps_path, kustomization, make_tenant

FLOOR = f"{NAMESPACE}-floor"
PLURALS = {
    "ServiceAccount": f"{CORE}/namespaces/{FLOOR}/serviceaccounts",
    "Service": f"{CORE}/namespaces/{FLOOR}/services",
    "Deployment": f"/apis/apps/v1/namespaces/{FLOOR}/deployments",
    "Ingress": f"/apis/networking.k8s.io/v1/namespaces/{FLOOR}/ingresses",
}


class Floor:
    """The floor's phases, with the names of those that they are the floor of."""

    def __init__(self, client: Client, count: int) -> None:
        self.client, self.count = client, count

    async def prepare(self) -> None:
        """Make the namespace and the objects in memory; not measured."""
        await make_tenant(self.client, FLOOR)
        self._objects = {version: [_objects(i, version) for i in range(self.count)] for version in ("1", "2")}

    async def apply(self) -> None:
        path = apps_path(FLOOR)
        await self._each(lambda i: self.client.send("POST", path, kustomization(i, FLOOR, suspend=True)))
        await self._each(self._first)

    async def noop(self) -> None:
        handled = {"status": {"lastHandledReconcileAt": str(time.time())}}
        await self._each(lambda i: self._status(i, handled))

    async def update(self) -> None:
        await self._each(lambda i: self._applied(i, "2"))

    async def clean(self) -> None:
        """Remove all of it and wait until it is gone: what is being deleted costs the server. Not measured."""
        off = {"metadata": {"finalizers": None}}
        await self._each(lambda i: self.client.send("PATCH", f"{apps_path(FLOOR)}/app-{i}", off, kind=MERGE))
        path = f"{CORE}/namespaces/{FLOOR}"
        await self.client.send("DELETE", path)
        while (await self.client.send("GET", path, fine=404)).get("kind") == "Namespace":
            await asyncio.sleep(0.5)

    async def _first(self, index: int) -> None:
        on = {"metadata": {"finalizers": ["bench.example.com/floor"]}}
        await self.client.send("PATCH", f"{apps_path(FLOOR)}/app-{index}", on, kind=MERGE)
        await self._status(index, {"status": {"observedGeneration": 1}})
        await self._applied(index, "1")

    async def _applied(self, index: int, version: str) -> None:
        await asyncio.gather(*(self._apply(obj) for obj in self._objects[version][index]))
        await self._status(index, _status(index, version))
        event = {
            "metadata": {"generateName": "floor-"},
            "type": "Normal",
            "reason": "ReconciliationSucceeded",
            "message": f"Applied revision: {version}",
            "involvedObject": {"kind": "Kustomization", "namespace": FLOOR, "name": f"app-{index}"},
            "source": {"component": "floor"},
        }
        await self.client.send("POST", f"{CORE}/namespaces/{FLOOR}/events", event)

    async def _apply(self, obj: dict[str, Any]) -> None:
        path = f"{PLURALS[obj['kind']]}/{obj['metadata']['name']}?fieldManager=floor&force=true"
        await self.client.send("PATCH", path, obj, kind=APPLY, user=TENANT)

    async def _status(self, index: int, patch: dict[str, Any]) -> None:
        await self.client.send("PATCH", f"{apps_path(FLOOR)}/app-{index}/status", patch, kind=MERGE)

    async def _each(self, call: Any) -> None:
        await asyncio.gather(*(call(index) for index in range(self.count)))


def _objects(index: int, version: str) -> list[dict[str, Any]]:
    text = APP.replace("${VERSION}", f"v{version}").replace("${INDEX}", str(index))
    objects = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    for obj in objects:
        obj["metadata"]["namespace"] = FLOOR
        obj["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = f"app-{index}"
        obj["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = FLOOR
    return objects


def _status(index: int, version: str) -> dict[str, Any]:
    kinds = ("_ServiceAccount", "_Service", "apps_Deployment", "networking.k8s.io_Ingress")
    condition = {
        "type": "Ready",
        "status": "True",
        "reason": "ReconciliationSucceeded",
        "message": f"Applied revision: {version}",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return {
        "status": {
            "observedGeneration": 1,
            "lastAppliedRevision": version,
            "lastAttemptedRevision": version,
            "conditions": [condition],
            "inventory": {"entries": [{"id": f"{FLOOR}_app-{index}_{kind}", "v": "v1"} for kind in kinds]},
        }
    }
