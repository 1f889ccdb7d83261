"""What the tests of apply are written with: a cluster, an owner, a ledger, and a count of the calls."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

from shared import apply
from shared.api.meta import Manifest
from shared.kube.client import Client
from shared.kube.errors import NotFound

MANAGER = "kustomize-controller"
_UNCOUNTED = ("watch", "discover")
_names = itertools.count()


def config_map(name: str = "settings", data: dict[str, Any] | None = None, **annotations: str) -> Manifest:
    metadata: Manifest = {"name": name}
    if annotations:
        metadata["annotations"] = {f"kustomize.toolkit.fluxcd.io/{key}": text for key, text in annotations.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {"key": "blue"}}


def secret(name: str = "token", **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def deployment(name: str = "web", replicas: int = 1, image: str = "nginx") -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": image,
                            "ports": [{"containerPort": 80}],
                            "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}},
                        }
                    ]
                },
            },
        },
    }


def service(name: str = "web", port: int = 80) -> Manifest:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def account(name: str = "web") -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def definition(group: str, scope: str = "Namespaced") -> Manifest:
    """Of Gizmos, with a status."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gizmos.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": "Gizmo", "plural": "gizmos"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }


def gizmo(group: str, name: str = "g", **spec: Any) -> Manifest:
    return {"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": name}, "spec": spec}


def digest(manifests: Iterable[Manifest]) -> str:
    """Equal for equal manifests, as the digest of a build is."""
    return hashlib.sha256(orjson.dumps(list(manifests), option=orjson.OPT_SORT_KEYS)).hexdigest()


class World:
    """A namespace of a cluster, for one owner."""

    def __init__(self, client: Client, ledger: apply.Ledger, namespace: str, faults: Any) -> None:
        self.client, self.ledger, self.namespace = client, ledger, namespace
        self.owner = apply.Owner(namespace, "app")
        self.recorded = apply.Inventory.of([])
        self.faults = faults
        """Of the embedded API; None on a real one."""
        self.woken: list[apply.Owner] = []
        self.wake = asyncio.Event()
        ledger.on_drift(self._woken)

    def _woken(self, owner: apply.Owner) -> None:
        self.woken.append(owner)
        self.wake.set()

    @staticmethod
    def unique() -> str:
        return f"u{next(_names)}"

    def here(self, manifest: Manifest) -> Manifest:
        """A copy in the namespace, if it belongs into one."""
        manifest = copy.deepcopy(manifest)
        if manifest["kind"] not in ("CustomResourceDefinition", "Namespace", "ClusterRole"):
            manifest["metadata"].setdefault("namespace", self.namespace)
        return manifest

    async def apply(self, *manifests: Manifest, **options: Any) -> apply.ChangeSet:
        desired = [self.here(manifest) for manifest in manifests]
        self.recorded |= apply.Inventory.of(desired)
        options.setdefault("owner", self.owner)
        options.setdefault("digest", digest(desired))
        return await apply.staged(options.pop("client", self.client), desired, ledger=self.ledger, **options)

    async def reconcile(self, *manifests: Manifest, **options: Any) -> apply.ChangeSet:
        """Apply and prune, as a Kustomization does."""
        desired = apply.Inventory.of(self.here(manifest) for manifest in manifests)
        stale = self.recorded - desired
        changes = await self.apply(*manifests, **options)
        pruned = await self.prune(stale)
        return changes | pruned

    async def prune(self, stale: apply.Inventory, **options: Any) -> apply.ChangeSet:
        pruned = await apply.prune(self.client, stale, owner=self.owner, ledger=self.ledger, **options)
        self.recorded -= pruned
        return pruned

    async def have(self, manifest: Manifest, *, manager: str = "kubectl-client-side-apply") -> Manifest:
        """Somebody else's object."""
        return await self.client.create(self.here(manifest), field_manager=manager)

    async def edit(self, manifest: Manifest, patch: Any, *, manager: str = "somebody", **options: Any) -> Manifest:
        metadata = manifest["metadata"]
        return await self.client.patch(
            manifest["apiVersion"],
            manifest["kind"],
            metadata["name"],
            metadata.get("namespace", self.namespace),
            patch,
            field_manager=manager,
            **options,
        )

    async def live(self, manifest: Manifest) -> Manifest | None:
        metadata = manifest["metadata"]
        try:
            return await self.client.get(
                manifest["apiVersion"], manifest["kind"], metadata["name"], metadata.get("namespace", self.namespace)
            )
        except NotFound:
            return None

    async def data(self, name: str = "settings") -> dict[str, str] | None:
        found = await self.live(config_map(name))
        return None if found is None else found["data"]

    async def delete(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        await self.client.delete(manifest["apiVersion"], manifest["kind"], metadata["name"], self.namespace)

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """Counts calls by verb (without watches and discovery) while inside."""
        before, counted = Counter(self.client.calls), Counter[str]()
        yield counted
        for (verb, _), number in (self.client.calls - before).items():
            if verb not in _UNCOUNTED:
                counted[verb] += number

    async def until(self, condition: Callable[[], Any], seconds: float = 5.0) -> Any:
        """Until the condition, which watches move, holds."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                await asyncio.sleep(0.01)
        return found

    async def seen(self, manifest: Manifest, version: str) -> None:
        """Until the ledger's watch has seen a resourceVersion of an object."""
        id = apply.ObjectId.of(self.here(manifest))

        def is_seen() -> bool:
            live = self.ledger.live(id, manifest["apiVersion"])
            return live is not None and live.version >= int(version)

        await self.until(is_seen)

    async def tenant(self, *verbs: str, resources: tuple[str, ...] = ("configmaps",)) -> Client:
        """A client that may do only this in the namespace, and nothing elsewhere."""
        rbac, user = "rbac.authorization.k8s.io", f"tenant-of-{self.namespace}"
        metadata = {"name": "tenant", "namespace": self.namespace}
        rule = {"apiGroups": ["", "apps"], "resources": list(resources), "verbs": list(verbs)}
        role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
        binding = {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "subjects": [{"kind": "User", "name": user, "apiGroup": rbac}],
            "roleRef": {"kind": "Role", "name": "tenant", "apiGroup": rbac},
        }
        await self.client.create(role)
        await self.client.create(binding)
        tenant = self.client.impersonate(user)
        async with asyncio.timeout(5):
            while not await tenant.review_access(verbs[0], "v1", "ConfigMap", self.namespace):
                await asyncio.sleep(0.05)
        return tenant

    def again(self) -> apply.Ledger:
        """A new process: what was known is not known any more."""
        self.ledger = apply.Ledger(self.client, field_manager=MANAGER)
        self.ledger.on_drift(self._woken)
        return self.ledger
