"""Stand-ins for the controllers that run workloads: nothing runs, but everything becomes what it would be.

Deployments make ReplicaSets, those make pods, pods become ready after a settable delay; an annotation makes them fail
(see `base.FAIL`, `base.DELAY`). Clients that wait for health see what they would see on a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.workloads.base import DELAY, FAIL, Tools
from kubeapi.workloads.budgets import Budgets
from kubeapi.workloads.claims import Claims
from kubeapi.workloads.cronjobs import CronJobs
from kubeapi.workloads.daemonsets import DaemonSets
from kubeapi.workloads.deployments import Deployments
from kubeapi.workloads.jobs import Jobs
from kubeapi.workloads.pods import ADDRESS, NODE, Pods
from kubeapi.workloads.replicasets import ReplicaSets, ReplicationControllers
from kubeapi.workloads.services import Services
from kubeapi.workloads.statefulsets import StatefulSets
from kubeapi.writes import Options
from shared import schema

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.controllers.garbage import GarbageCollector
    from kubeapi.controllers.queue import Controller

__all__ = ["DELAY", "FAIL", "controllers", "create_node"]


def controllers(cluster: Cluster, garbage: GarbageCollector, delay: float) -> list[Controller[Any]]:
    """All stand-ins; `delay` is the time in seconds until something is ready."""
    tools = Tools(cluster, garbage, delay)
    return [
        kind(tools)
        for kind in (
            Deployments,
            ReplicaSets,
            ReplicationControllers,
            StatefulSets,
            DaemonSets,
            Jobs,
            CronJobs,
            Pods,
            Claims,
            Services,
            Budgets,
        )
    ]


def create_node(cluster: Cluster) -> None:
    """The node that all pods are on."""
    resource = cluster.resource("v1", "Node")
    if cluster.entry(resource, "", NODE) is None:
        labels = {
            "kubernetes.io/hostname": NODE,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node-role.kubernetes.io/control-plane": "",
        }
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}, "spec": {}}
        writes.create(cluster, resource, "", node, Options(field_manager="kubelet"))
    now = cluster.clock.stamp()
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "pods are run by stand-ins",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    capacity = {"cpu": "64", "memory": "256Gi", "pods": "100000", "ephemeral-storage": "1Ti"}

    def running(live: dict[str, Any]) -> dict[str, Any] | None:
        if (live.get("status") or {}).get("conditions"):
            return None
        live["status"] = {
            "addresses": [{"type": "InternalIP", "address": ADDRESS}, {"type": "Hostname", "address": NODE}],
            "allocatable": capacity,
            "capacity": capacity,
            "conditions": [ready],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "kubeapi://1",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": schema.release(),
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "",
                "systemUUID": "",
            },
        }
        return live

    writes.change(cluster, resource, "", NODE, running, subresource="status", manager="kubelet")
