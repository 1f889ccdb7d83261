"""What a workload's pods add to what it says itself."""

from __future__ import annotations

from typing import Any

import pytest

from shared.api.meta import Manifest
from shared.health import Health, Status, newest_failure, with_pods

WAITING = Health("InProgress", "Available: 0/1")


def pod(name: str, *containers: Manifest, created: str = "11:00", phase: str = "Running", **rest: Any) -> Manifest:
    metadata = {"name": name, "creationTimestamp": f"2026-01-31T{created}:00Z"} | rest.pop("metadata", {})
    status = {"phase": phase, "containerStatuses": list(containers)} | rest
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def container(name: str = "app", /, last: Manifest | None = None, **state: Any) -> Manifest:
    return {"name": name, "state": state} | ({"lastState": last} if last else {})


def waiting(reason: str, message: str = "", last: Manifest | None = None) -> Manifest:
    return container(waiting={"reason": reason, "message": message}, last=last)


FINE = container(running={})
OUT_OF_MEMORY = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
NO_SECRET = [waiting("CreateContainerConfigError", "no such secret")]
UNREADY = [
    {
        "type": "Ready",
        "status": "False",
        "reason": "ContainersNotReady",
        "message": "containers with unready status: [app]",
    }
]
UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node has room"}]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (pod("p", FINE), None),
        (pod("p"), None),
        (pod("p", waiting("ContainerCreating")), None),
        (pod("p", waiting("PodInitializing")), None),
        (pod("p", container(terminated={"exitCode": 0, "reason": "Completed"})), None),
        (pod("p", container(running={}, last={"terminated": {"exitCode": 1}})), None),
        (
            pod("p", waiting("ImagePullBackOff", 'Back-off pulling image "x"')),
            'pod p, container app: ImagePullBackOff: Back-off pulling image "x"',
        ),
        (pod("p", waiting("ErrImagePull")), "pod p, container app: ErrImagePull"),
        (
            pod(
                "p",
                waiting("CrashLoopBackOff", "back-off 10s", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            ),
            "pod p, container app: CrashLoopBackOff: back-off 10s; it ended with exit code 137 (OOMKilled)",
        ),
        (
            pod("p", container(terminated={"exitCode": 2, "message": "password=hunter2"})),
            "pod p, container app: Error: exit code 2",
        ),
        (
            pod(
                "p",
                waiting("PodInitializing"),
                initContainerStatuses=NO_SECRET,
            ),
            "pod p, container app: CreateContainerConfigError: no such secret",
        ),
        (pod("p", phase="Pending", conditions=UNSCHEDULABLE), "pod p: Unschedulable: no node has room"),
        (pod("p", phase="Failed", reason="Evicted", message="low on\nmemory"), "pod p: Evicted: low on memory"),
        (pod("p", phase="Failed"), "pod p: Failed"),
        (pod("p", waiting("ErrImagePull"), metadata={"deletionTimestamp": "2026-01-31T11:30:00Z"}), None),
        (pod("p", conditions="odd", containerStatuses="odd"), None),
        ({}, None),
    ],
)
def test_why_a_pod_fails(item: Manifest, said: str | None) -> None:
    failure = newest_failure([item])
    assert (failure and str(failure)) == said


def test_the_newest_failing_pod_speaks() -> None:
    pods = [
        pod("b", waiting("ErrImagePull"), created="11:10"),
        pod("c", FINE, created="11:30"),
        pod("a", waiting("CrashLoopBackOff"), created="11:20"),
        pod("d", waiting("CreateContainerError"), created="11:10"),
    ]
    for order in (pods, pods[::-1]):
        failure = newest_failure(order)
        assert failure is not None
        assert (failure.pod, failure.reason) == ("a", "CrashLoopBackOff")


def test_a_long_message_is_cut() -> None:
    failure = newest_failure([pod("p", waiting("ErrImagePull", "x" * 5000))])
    assert failure is not None
    assert len(failure.message) == 300


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([pod("p", waiting("ErrImagePull"))], "pod p, container app: ErrImagePull"),
        ([pod("p", phase="Pending", conditions=UNSCHEDULABLE)], "pod p: Unschedulable: no node has room"),
        (
            [pod("a", FINE), pod("b", waiting("CrashLoopBackOff", "back-off"))],
            "pod b, container app: CrashLoopBackOff: back-off",
        ),
        ([pod("p", waiting("ContainerCreating"), phase="Pending")], "pod p, container app: ContainerCreating"),
        ([pod("p", FINE, conditions=UNREADY)], "pod p: ContainersNotReady: containers with unready status: [app]"),
        (
            [pod("old", waiting("Error")), pod("new", waiting("ContainerCreating"), created="11:50")],
            "pod old, container app: Error",
        ),
    ],
)
@pytest.mark.parametrize("status", ["InProgress", "Failed"])
def test_a_workload_says_what_its_newest_pod_is_at(items: list[Manifest], said: str, status: Status) -> None:
    assert with_pods(Health(status, "Available: 0/1"), items) == Health(status, f"Available: 0/1 ({said})")


@pytest.mark.parametrize(
    "item",
    [
        pod("p", waiting("CrashLoopBackOff"), metadata={"deletionTimestamp": "2026-01-31T11:30:00Z"}),
        pod("p", FINE, conditions=[{"type": "Ready", "status": "True"}]),
        pod("p", phase="Succeeded", conditions=[{"type": "Ready", "status": "False", "reason": "PodCompleted"}]),
        pod("p", conditions="odd", containerStatuses="odd"),
        {},
    ],
)
def test_a_pod_that_works_or_is_leaving_says_nothing(item: Manifest) -> None:
    assert with_pods(WAITING, [item]) == WAITING


@pytest.mark.parametrize("health", [Health("Current", "fine"), Health("Unknown", "?"), Health("NotFound", "?")])
def test_pods_add_nothing_to_what_they_are_no_reason_for(health: Health) -> None:
    assert with_pods(health, [pod("p", waiting("CrashLoopBackOff"))]) == health
