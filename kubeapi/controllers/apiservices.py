"""APIServices: one for each group and version that is served here, and whether those that name a Service are available.

A group that an APIService says another server serves is part of discovery and answers 503: there is no network to reach
that server by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change, Storage
from kubeapi.workloads.base import with_condition
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

STORAGE: Storage = ("apiregistration.k8s.io", "apiservices")
SERVICES: Storage = ("", "services")
_DEFINITIONS: Storage = ("apiextensions.k8s.io", "customresourcedefinitions")
_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
_ALL = ""
_PRIORITIES = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
}
_VERSIONS = {("", "v1"): 1, ("autoscaling", "v2"): 30, ("flowcontrol.apiserver.k8s.io", "v1"): 21}
_VERSIONS[("resource.k8s.io", "v1")] = 21
_OWN = "apiregistration.k8s.io"


class APIServices(Controller[str]):
    """Keys are names of APIServices; the empty one is all that are served here."""

    name = "apiservice-controller"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._known: set[str] = set()
        """The names of those served here that have been there once: who deletes one means it."""

    def keys(self, change: Change) -> list[str]:
        if change.storage == STORAGE:
            return [change.entry.name]
        if change.storage == _DEFINITIONS:
            return [_ALL]
        if change.storage == SERVICES:
            return [entry.name for entry in self.cluster.store.entries(STORAGE) if entry.name not in self._known]
        return []

    def initial(self) -> list[str]:
        return [_ALL, *(entry.name for entry in self.cluster.store.entries(STORAGE))]

    def act(self, key: str) -> None:
        if key == _ALL:
            self._register()
            return
        entry = self.cluster.store.get(STORAGE, "", key)
        version, _, group = key.partition(".")
        if entry is None:
            self.cluster.registry.withdraw(group, version)
            return
        spec = entry.manifest().get("spec") or {}
        service = spec.get("service")
        if service is None:
            self.cluster.registry.withdraw(group, version)
            self._report(key, True, "Local", "Local APIServices are always available")
        else:
            self.cluster.registry.promise(group, version)
            self._report(key, False, *self._missing(service))

    def _register(self) -> None:
        """Make the APIServices of what is served here, and take away those of what no longer is."""
        served = {(one.group, one.version): one.custom for one in self.cluster.registry.served() if one.group != _OWN}
        for (group, version), custom in served.items():
            name = f"{version}.{group}"
            if name not in self._known:
                self._known.add(name)
                if self.cluster.store.get(STORAGE, "", name) is None:
                    self._create(name, group, version, custom)
        for name in self._known - {f"{version}.{group}" for group, version in served}:
            self._known.discard(name)
            entry = self.cluster.store.get(STORAGE, "", name)
            if entry is not None and entry.labels.get(_MANAGED) == "true":
                resource = self.cluster.resource(f"{_OWN}/v1", "APIService")
                writes.delete(self.cluster, resource, "", name, writes.DeleteOptions(uid=entry.uid))

    def _create(self, name: str, group: str, version: str, custom: bool) -> None:
        manifest: Manifest = {
            "apiVersion": f"{_OWN}/v1",
            "kind": "APIService",
            "metadata": {"name": name, "labels": {_MANAGED: "true" if custom else "onstart"}},
            "spec": {
                **({"group": group} if group else {}),
                "version": version,
                "groupPriorityMinimum": 1000 if custom else _PRIORITIES.get(group, 15000),
                "versionPriority": 100 if custom else _VERSIONS.get((group, version), 15),
            },
        }
        resource = self.cluster.resource(f"{_OWN}/v1", "APIService")
        writes.create(self.cluster, resource, "", manifest, Options(field_manager="kube-aggregator"))

    def _missing(self, service: Manifest) -> tuple[str, str]:
        """Why the server behind a Service can't be reached."""
        namespace, name, port = service.get("namespace", ""), service.get("name", ""), service.get("port", 443)
        entry = self.cluster.store.get(SERVICES, namespace, name)
        told = f'service/{name} in "{namespace}"'
        if entry is None:
            return "ServiceNotFound", f"{told} is not present"
        spec = entry.manifest().get("spec") or {}
        if spec.get("type") == "ExternalName":
            return "FailedDiscoveryCheck", "the embedded Kubernetes API passes no requests on to other API servers"
        if port not in [one.get("port") for one in spec.get("ports") or ()]:
            return "ServicePortError", f"{told} is not listening on port {port}"
        return "EndpointsNotFound", f"cannot find endpointslices for {told}"

    def _report(self, name: str, available: bool, reason: str, message: str) -> None:
        now = self.cluster.clock.stamp()

        def reported(live: Manifest) -> Manifest:
            known = (live.get("status") or {}).get("conditions") or ()
            value = "True" if available else "False"
            live["status"] = {"conditions": with_condition(known, "Available", value, reason, message, now)}
            return live

        resource = self.cluster.resource(f"{_OWN}/v1", "APIService")
        writes.change(self.cluster, resource, "", name, reported, subresource="status", manager="kube-apiserver")
