"""What the server says it serves: group and resource lists, aggregated or one by one.

Documents are made again when the registry has changed."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson

from kubeapi.resources import Registry, Resource, SubresourceKind

Manifest = dict[str, Any]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_SCALE = SubresourceKind("autoscaling", "v1", "Scale", ("get", "patch", "update"))


def _hash(resource: Resource) -> str:
    group = resource.storage[0]
    text = f"{group}/{resource.storage_version or resource.version}/{resource.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def subresource_kind(resource: Resource, name: str) -> SubresourceKind:
    """The kind of a subresource's body."""
    known = resource.subresource_kinds.get(name)
    if known is not None:
        return known
    if name == "scale":
        return _SCALE
    return SubresourceKind(resource.group, resource.version, resource.kind, ("get", "patch", "update"))


class Discovery:
    """The discovery documents of a registry, as JSON."""

    def __init__(self, registry: Registry):
        self._registry = registry
        self._revision = -1
        self._documents: dict[str, bytes] = {}

    def _cached(self, key: str) -> bytes | None:
        if self._revision != self._registry.revision:
            self._documents.clear()
            self._revision = self._registry.revision
        return self._documents.get(key)

    def api(self, *, aggregated: bool) -> bytes:
        """/api"""
        if aggregated:
            return self._aggregated("core", core=True)
        return orjson.dumps(
            {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }
        )

    def apis(self, *, aggregated: bool) -> bytes:
        """/apis"""
        if aggregated:
            return self._aggregated("groups", core=False)
        known = self._cached("apis")
        if known is None:
            groups = [self._group(group) for group in self._ordered()]
            known = orjson.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
            self._documents["apis"] = known
        return known

    def group(self, name: str) -> bytes | None:
        """/apis/<group>; None when it isn't served."""
        if name not in self._registry.groups() or not name:
            return None
        return orjson.dumps({"kind": "APIGroup", "apiVersion": "v1", **self._group(name)})

    def version(self, group: str, version: str) -> bytes | None:
        """/api/v1 or /apis/<group>/<version>; None when it isn't served."""
        key = f"version/{group}/{version}"
        known = self._cached(key)
        if known is not None:
            return known
        resources = self._registry.in_version(group, version)
        if not resources:
            return None
        listed: list[Manifest] = []
        for resource in resources:
            listed.append(_legacy(resource))
            listed.extend(_legacy_subresource(resource, name) for name in sorted(resource.subresources))
        known = orjson.dumps(
            {
                "kind": "APIResourceList",
                **({"apiVersion": "v1"} if group else {}),
                "groupVersion": f"{group}/{version}" if group else version,
                "resources": listed,
            }
        )
        self._documents[key] = known
        return known

    def etag(self, body: bytes) -> str:
        return '"' + hashlib.sha256(body).hexdigest().upper() + '"'

    def _ordered(self) -> list[str]:
        return [group for group in self._registry.groups() if group]

    def _group(self, name: str) -> Manifest:
        versions = [
            {"groupVersion": f"{name}/{version}", "version": version} for version in self._registry.groups()[name]
        ]
        return {"name": name, "versions": versions, "preferredVersion": versions[0]}

    def _aggregated(self, key: str, *, core: bool) -> bytes:
        known = self._cached(key)
        if known is None:
            items = []
            for group, versions in self._registry.groups().items():
                if (group == "") is not core:
                    continue
                listed = [self._aggregated_version(group, version) for version in versions]
                metadata = {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None}
                items.append({"metadata": metadata, "versions": listed})
            body = {
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": items,
            }
            known = self._documents[key] = orjson.dumps(body)
        return known

    def _aggregated_version(self, group: str, version: str) -> Manifest:
        if self._registry.is_elsewhere(group, version):
            return {"version": version, "freshness": "Stale"}
        resources = [_aggregated(resource) for resource in self._registry.in_version(group, version)]
        return {"version": version, "resources": resources, "freshness": "Current"}


def _legacy(resource: Resource) -> Manifest:
    entry: Manifest = {
        "name": resource.plural,
        "singularName": resource.singular_name,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        entry["storageVersionHash"] = _hash(resource)
    return entry


def _legacy_subresource(resource: Resource, name: str) -> Manifest:
    kind = subresource_kind(resource, name)
    entry: Manifest = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind.kind,
        "verbs": sorted(kind.verbs),
    }
    if (kind.group, kind.version) != (resource.group, resource.version):
        entry["group"] = kind.group
        entry["version"] = kind.version
    return entry


def _aggregated(resource: Resource) -> Manifest:
    entry: Manifest = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular_name,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = []
        for name in sorted(resource.subresources):
            kind = subresource_kind(resource, name)
            entry["subresources"].append(
                {
                    "subresource": name,
                    "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                    "verbs": sorted(kind.verbs),
                }
            )
    return entry
