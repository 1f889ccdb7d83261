"""What an object is called: in the cluster, in messages, in an inventory; who owns it.

`str()` of an object's id is `Kind/namespace/name`; its inventory id is `<namespace>_<name>_<group>_<kind>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from shared.api.meta import Manifest

DEFAULT_GROUP = "kustomize.toolkit.fluxcd.io"
_RBAC = "rbac.authorization.k8s.io"
_RBAC_KINDS = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


@dataclass(frozen=True, slots=True)
class ObjectId:
    """An object whatever API version it is read in."""

    group: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> ObjectId:
        metadata = manifest.get("metadata") or {}
        return cls(
            group=intern(str(manifest.get("apiVersion") or "").rpartition("/")[0]),
            kind=intern(str(manifest.get("kind") or "")),
            namespace=intern(str(metadata.get("namespace") or "")),
            name=metadata.get("name") or "",
        )

    @classmethod
    def parse(cls, text: str) -> ObjectId:
        """From an inventory's id; ValueError when it is none."""
        namespace, _, rest = text.partition("_")
        rest, _, kind = rest.rpartition("_")
        name, separator, group = rest.rpartition("_")
        if not separator or not kind or not name:
            raise ValueError(f'"{text}" is not an inventory id: it must be <namespace>_<name>_<group>_<kind>')
        return cls(group, kind, namespace, name.replace("__", ":"))

    @property
    def inventory_id(self) -> str:
        name = self.name
        if self.group == _RBAC and self.kind in _RBAC_KINDS:
            name = name.replace(":", "__")
        return f"{self.namespace}_{name}_{self.group}_{self.kind}"

    def api_version(self, version: str) -> str:
        return f"{self.group}/{version}" if self.group else version

    def __str__(self) -> str:
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)


@dataclass(frozen=True, slots=True)
class Owner:
    """The object (a Kustomization) that other objects are applied for; two labels say so on each of them."""

    namespace: str
    name: str
    group: str = DEFAULT_GROUP

    @property
    def labels(self) -> dict[str, str]:
        return {f"{self.group}/name": self.name, f"{self.group}/namespace": self.namespace}

    def owns(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.labels.items())

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def version_of(manifest: Mapping[str, Any]) -> str:
    """`apps/v1` → `v1`."""
    return str(manifest.get("apiVersion") or "").rpartition("/")[2]


def labelled(manifest: Manifest, owner: Owner) -> Manifest:
    """The manifest with the owner's labels; nothing of the given one is changed."""
    metadata = dict(manifest.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **owner.labels}
    return {**manifest, "metadata": metadata}
