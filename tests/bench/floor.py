"""The floor: the writes that no controller can avoid, sent by a bare client in the same run, right before the phase
that they are compared with. Controllers run meanwhile, and hear of nothing but the sources, which are watched whole.

A phase's own request by its user (an object created, a reconcile requested, an object deleted) is part of the floor too
where FLOORS says so. As beside the phases, one watch follows the Kustomizations. The writes hold what a controller's
would (tests/bench/contents.py), and the user's are of another field manager, as theirs are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.bench import contents
from tests.bench.client import APPLY, MERGE, Client, Collection
from tests.bench.contents import NAMESPACE
from tests.bench.kustomizations import CORE, REQUESTED, apps_path, kustomization, make_tenant, source, sources_path

TENANT = f"system:serviceaccount:{NAMESPACE}:tenant"
FLOORS = {
    "sources": "a source created, its finalizer, 1 status write, 1 event",
    "apply": "a Kustomization created, its finalizer, 2 status writes, 4 applies, 1 event",
    "noop": "1 status write",
    "noop with its request": "1 annotation, 1 status write",
    "update": "4 applies, 1 status write, 1 event",
    "update with its sources": "of a source 1 annotation, 1 status write, 1 event; then the same as update",
    "update with its rollout": "the same as update with its sources; it ends when all Deployments have rolled out",
    "delete": "a Kustomization deleted, 4 deletes, 1 event, its finalizer",
}
"""What each floor sends for one application. A floor named `<phase> with …` is one more of that phase."""
_PLURALS = {
    "ServiceAccount": f"{CORE}/namespaces/{NAMESPACE}/serviceaccounts",
    "Service": f"{CORE}/namespaces/{NAMESPACE}/services",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
    "Ingress": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses",
}
_FINALIZER = {"metadata": {"finalizers": ["bench.example.com/floor"]}}
_AGENT = "floor"
"""The user agent, and so the field manager, of what a controller would send."""
_OPPOSITE = {"apply": "delete", "delete": "apply"}
_NO_FINALIZER = {"metadata": {"finalizers": None}}
_EVENTS = f"{CORE}/namespaces/{NAMESPACE}/events"
_WITHIN = 1800.0
"""Seconds within which all Deployments must have rolled out."""
_SOURCES, _APPS = sources_path(NAMESPACE), apps_path(NAMESPACE)


def of(phase: str) -> list[str]:
    """A phase's floors by name, the barest first."""
    return [name for name in FLOORS if name == phase or name.startswith(f"{phase} with")]


class Floor:
    """The floors, in the order of FLOORS; those of one phase need what the ones before have made."""

    def __init__(self, client: Client, count: int) -> None:
        self._client, self._count = client, count
        self._watched: Collection

    async def prepare(self) -> None:
        """Make the namespace; not measured. As many applications come and go as will be measured: a fresh API server
        takes a seventh less for its first ones than for any later, for its garbage collector finds less to look at."""
        await make_tenant(self._client, NAMESPACE)
        self._watched = await self._client.watch(_APPS)
        await self.make()
        for name in ("update", "delete"):
            await self.run(name)
        await self.take_back("sources")

    async def make(self) -> None:
        """Have the applications that the floors of what is there need; not measured."""
        for name in ("sources", "apply"):
            await self.run(name)

    async def take_back(self, name: str) -> None:
        """Undo what the floor of this name has done, where it made objects come or go; not measured."""
        if name == "sources":
            await self._each(self._forget_source)
        elif name in _OPPOSITE:
            await self.run(_OPPOSITE[name])

    async def run(self, name: str) -> None:
        """One floor, of all applications."""
        if name == "update with its rollout":
            await self._roll_out(name)
            return
        await self._each(
            {
                "sources": self._source,
                "apply": self._first,
                "noop": self._noop,
                "noop with its request": self._requested_noop,
                "update": lambda index: self._applied(index, "2"),
                "update with its sources": lambda index: self._update(index, "3"),
                "delete": self._delete,
            }[name]
        )

    async def clean(self) -> None:
        """Remove what is left, and wait until it is gone; not measured."""
        self._watched.close()
        await self.run("delete")
        await self.take_back("sources")
        path = f"{CORE}/namespaces/{NAMESPACE}"
        await self._client.send("DELETE", path)
        while (await self._client.send("GET", path, fine=404)).get("kind") == "Namespace":
            await asyncio.sleep(0.5)

    async def _source(self, index: int) -> None:
        await self._client.send("POST", _SOURCES, source(index, "oci://registry.example.org/apps", NAMESPACE))
        await self._patch(f"{_SOURCES}/app-{index}", _FINALIZER)
        await self._stored(index, "1")

    async def _stored(self, index: int, version: str) -> None:
        await self._patch(f"{_SOURCES}/app-{index}/status", contents.source_status(index, version))
        await self._post(contents.stored(index, version))

    async def _first(self, index: int) -> None:
        await self._client.send("POST", _APPS, kustomization(index, NAMESPACE))
        await self._patch(f"{_APPS}/app-{index}", _FINALIZER)
        await self._patch(f"{_APPS}/app-{index}/status", contents.inventory(index))
        await self._applied(index, "1")

    async def _noop(self, index: int) -> None:
        await self._patch(f"{_APPS}/app-{index}/status", contents.handled(str(time.time())))

    async def _requested_noop(self, index: int) -> None:
        await self._request(f"{_APPS}/app-{index}")
        await self._noop(index)

    async def _update(self, index: int, version: str) -> None:
        await self._request(f"{_SOURCES}/app-{index}")
        await self._stored(index, version)
        await self._applied(index, version)

    async def _roll_out(self, name: str) -> None:
        deployments = await self._client.watch(_PLURALS["Deployment"])
        await self._each(lambda index: self._update(index, "4"))
        await deployments.until_all(self._count, is_rolled_out, name, _WITHIN)
        deployments.close()

    async def _delete(self, index: int) -> None:
        await self._client.send("DELETE", f"{_APPS}/app-{index}")
        paths = (f"{path}/app-{index}" for path in _PLURALS.values())
        background = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        await asyncio.gather(*(self._client.send("DELETE", path, background, user=TENANT) for path in paths))
        await self._post(contents.deleted(index))
        await self._patch(f"{_APPS}/app-{index}", _NO_FINALIZER)

    async def _forget_source(self, index: int) -> None:
        await self._patch(f"{_SOURCES}/app-{index}", _NO_FINALIZER)
        await self._client.send("DELETE", f"{_SOURCES}/app-{index}")

    async def _applied(self, index: int, version: str) -> None:
        await asyncio.gather(*(self._apply(obj) for obj in contents.objects(index, version)))
        await self._patch(f"{_APPS}/app-{index}/status", contents.status(index, version))
        await self._post(contents.applied(index, version))

    async def _apply(self, obj: dict[str, Any]) -> None:
        path = f"{_PLURALS[obj['kind']]}/{obj['metadata']['name']}?fieldManager=floor&force=true"
        await self._client.send("PATCH", path, obj, kind=APPLY, user=TENANT)

    async def _request(self, path: str) -> None:
        patch = {"metadata": {"annotations": {REQUESTED: str(time.time())}}}
        await self._client.send("PATCH", path, patch, kind=MERGE)

    async def _patch(self, path: str, patch: dict[str, Any]) -> None:
        await self._client.send("PATCH", path, patch, kind=MERGE, agent=_AGENT)

    async def _post(self, event: dict[str, Any]) -> None:
        await self._client.send("POST", _EVENTS, event, agent=_AGENT)

    async def _each(self, call: Callable[[int], Awaitable[None]]) -> None:
        await asyncio.gather(*(call(index) for index in range(self._count)))


def is_rolled_out(deployment: dict[str, Any]) -> bool:
    """What `wait: true` waits for: Kubernetes' Deployment controller has done its work on the newest spec."""
    status = deployment.get("status", {})
    reasons = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}
    return (
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and reasons.get("Progressing") == ("True", "NewReplicaSetAvailable")
        and reasons.get("Available", ("False", ""))[0] == "True"
    )
