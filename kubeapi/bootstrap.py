"""What every cluster has from its first moment: the system namespaces, the default roles, the Service of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.errors import StatusError
from kubeapi.roles import default_bindings, default_roles
from kubeapi.validation.kinds.policy import SYSTEM_PRIORITIES
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


_PRIORITIES = {
    "system-node-critical": "Used for system critical pods that must not be moved from their current node.",
    "system-cluster-critical": "Used for system critical pods that must run in the cluster, but can be moved to "
    "another node if necessary.",
}


def _priority(name: str, description: str) -> Manifest:
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
    return {**kind, "value": SYSTEM_PRIORITIES[name], "description": description}


def create(cluster: Cluster) -> None:
    """Create what isn't there yet; what somebody changed stays as it is."""
    for name in NAMESPACES:
        _ensure(cluster, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "10.96.0.1",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }
    _ensure(cluster, "default", service)
    for manifest in (*default_roles(), *default_bindings(), *(_priority(*one) for one in _PRIORITIES.items())):
        _ensure(cluster, manifest["metadata"].get("namespace", ""), manifest)


def _ensure(cluster: Cluster, namespace: str, manifest: Manifest) -> None:
    resource = cluster.resource(manifest["apiVersion"], manifest["kind"])
    if cluster.entry(resource, namespace, manifest["metadata"]["name"]) is not None:
        return
    try:
        writes.create(cluster, resource, namespace, manifest, Options(field_manager="kube-apiserver"))
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
