"""What `kubectl get` prints: the columns and cells of Tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeapi import ages, tables
from kubeapi.resources import Registry, built_in
from tests.kubeapi.server_kit import Api

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REGISTRY = Registry(built_in())


def row(api_version: str, kind: str, **manifest: Any) -> dict[str, Any]:
    """The cells of an object of this kind, by column."""
    resource = REGISTRY.of_kind(api_version, kind)
    assert resource is not None
    layout = tables.layout(resource)
    created = (NOW - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": "x", "creationTimestamp": created, **manifest.pop("metadata", {})}
    cells = layout.cells({"metadata": metadata, **manifest}, NOW)
    return dict(zip((column.name for column in layout.columns), cells, strict=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (599, "9m59s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11400, "3h10m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (183600, "2d3h"),
        (86400 * 8, "8d"),
        (86400 * 729, "729d"),
        (86400 * 800, "2y70d"),
        (86400 * 365 * 9, "9y"),
        (-1, "0s"),
        (-5, "<invalid>"),
    ],
)
def test_an_age_has_at_most_two_units(seconds: int, text: str):
    assert ages.duration(seconds) == text


def container(state: dict | None = None, *, ready: bool = False, restarts: int = 0) -> dict:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": state or {}}


def pod(phase: str, *statuses: dict, **more: Any) -> dict[str, Any]:
    status = {"phase": phase, "containerStatuses": list(statuses), **more.pop("status", {})}
    spec = {"containers": [{"name": "c"}], **more.pop("spec", {})}
    return row("v1", "Pod", spec=spec, status=status, **more)


@pytest.mark.parametrize(
    ("cells", "ready", "status"),
    [
        (pod("Pending"), "0/1", "Pending"),
        (pod("Running", container({"running": {}}, ready=True)), "1/1", "Running"),
        (pod("Pending", container({"waiting": {"reason": "ImagePullBackOff"}})), "0/1", "ImagePullBackOff"),
        (pod("Succeeded", container({"terminated": {"reason": "Completed"}})), "0/1", "Completed"),
        (pod("Failed", container({"terminated": {"exitCode": 3}})), "0/1", "ExitCode:3"),
        (pod("Failed", container({"terminated": {"exitCode": 137, "signal": 9}})), "0/1", "Signal:9"),
        (pod("Failed", status={"reason": "Evicted"}), "0/1", "Evicted"),
        (
            pod(
                "Running",
                container({"running": {}}, ready=True),
                metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"},
            ),
            "1/1",
            "Terminating",
        ),
        (
            pod(
                "Pending",
                spec={"initContainers": [{"name": "i"}, {"name": "j"}]},
                status={"initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
            ),
            "0/1",
            "Init:0/2",
        ),
        (
            pod(
                "Pending",
                spec={"initContainers": [{"name": "i"}]},
                status={"initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
            ),
            "0/1",
            "Init:CrashLoopBackOff",
        ),
    ],
)
def test_a_pods_row_says_what_it_does(cells: dict, ready: str, status: str):
    assert (cells["Ready"], cells["Status"], cells["Age"]) == (ready, status, "5m")


def test_restarts_say_when_the_last_one_was():
    ended = {"terminated": {"finishedAt": "2025-12-31T23:58:00Z"}}
    status = {**container({"running": {}}, ready=True, restarts=3), "lastState": ended}
    assert pod("Running", status)["Restarts"] == "3 (2m ago)"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (
            row("apps/v1", "Deployment", spec={"replicas": 3}, status={"readyReplicas": 2, "updatedReplicas": 3}),
            {"Ready": "2/3", "Up-to-date": 3, "Available": 0},
        ),
        (row("apps/v1", "StatefulSet", spec={"replicas": 2}, status={}), {"Ready": "0/2"}),
        (
            row("apps/v1", "ReplicaSet", spec={"replicas": 2}, status={"replicas": 1}),
            {"Desired": 2, "Current": 1, "Ready": 0},
        ),
        (
            row(
                "batch/v1",
                "Job",
                spec={"completions": 1},
                status={
                    "succeeded": 1,
                    "startTime": "2025-12-31T23:00:00Z",
                    "completionTime": "2025-12-31T23:00:07Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                },
            ),
            {"Status": "Complete", "Completions": "1/1", "Duration": "7s"},
        ),
        (
            row("v1", "Service", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]}),
            {"Type": "ClusterIP", "External-IP": "<none>", "Port(s)": "80:30080/TCP"},
        ),
        (row("v1", "Service", spec={"type": "LoadBalancer"}), {"External-IP": "<pending>", "Cluster-IP": "<none>"}),
        (row("v1", "ConfigMap", data={"a": "1"}, binaryData={"b": "Mg=="}), {"Data": 2}),
        (row("v1", "Secret", type="Opaque", data={"a": "1"}), {"Type": "Opaque", "Data": 1}),
        (
            row(
                "v1",
                "PersistentVolumeClaim",
                spec={"volumeName": "v"},
                status={"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
            ),
            {"Status": "Bound", "Capacity": "1Gi", "Access Modes": "RWO", "VolumeAttributesClass": "<unset>"},
        ),
        (
            row(
                "v1",
                "Event",
                involvedObject={"kind": "Pod", "name": "p"},
                type="Warning",
                reason="BackOff",
                message="again\n",
                count=4,
                lastTimestamp="2025-12-31T23:59:00Z",
            ),
            {"Last Seen": "60s", "Object": "pod/p", "Message": "again", "Count": "4"},
        ),
        (
            row("networking.k8s.io/v1", "Ingress", spec={"rules": [{"host": h} for h in "abcde"], "tls": [{}]}),
            {"Hosts": "a,b,c + 2 more...", "Ports": "80, 443", "Class": "<none>"},
        ),
        (
            row(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                roleRef={"kind": "ClusterRole", "name": "view"},
                subjects=[{"kind": "ServiceAccount", "namespace": "a", "name": "b"}, {"kind": "User", "name": "jane"}],
            ),
            {"Role": "ClusterRole/view", "Users": "jane", "ServiceAccounts": "a/b"},
        ),
        (
            row("policy/v1", "PodDisruptionBudget", spec={"minAvailable": "50%"}, status={"disruptionsAllowed": 1}),
            {"Min Available": "50%", "Max Unavailable": "N/A", "Allowed Disruptions": 1},
        ),
    ],
)
def test_a_row_has_the_cells_of_its_kind(cells: dict, expected: dict):
    assert {name: cells[name] for name in expected} == expected


async def test_every_built_in_list_can_be_a_table(api: Api):
    for resource in REGISTRY.served():
        if "list" in resource.verbs and resource.plural != "componentstatuses":
            base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
            table = await api.get(f"{base}/{resource.plural}", accept=TABLE)
            assert table["kind"] == "Table"
            width = len(table["columnDefinitions"])
            assert all(len(one["cells"]) == width for one in table["rows"] or ()), resource.plural


async def test_a_table_carries_as_much_of_the_objects_as_is_asked_for(api: Api):
    path = "/api/v1/namespaces/default/configmaps"
    await api.post(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}})
    found = {}
    for include in ("None", "Metadata", "Object"):
        table = await api.get(f"{path}?includeObject={include}&fieldSelector=metadata.name%3Da", accept=TABLE)
        (found[include],) = table["rows"]
    assert found["None"].get("object") is None
    assert found["Metadata"]["object"]["kind"] == "PartialObjectMetadata"
    assert found["Object"]["object"]["data"] == {"x": "1"}


async def test_a_table_watch_names_its_columns_once(api: Api):
    path = "/api/v1/namespaces/default/configmaps"
    async with api.raw("GET", f"{path}?watch=1", headers={"Accept": TABLE}) as response:
        first = json.loads(await response.content.readline())
        await api.post(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
        second = json.loads(await response.content.readline())
    assert first["object"]["columnDefinitions"]
    assert second["object"]["columnDefinitions"] is None
    assert second["object"]["rows"][0]["cells"][0] == "a"
