"""What a workload's pods add to what it says itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.api.meta import Manifest
from shared.health import Health, newest_failure, with_pods

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
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


def test_a_crash_looping_pod_fails_its_workload() -> None:
    pods = [pod("a", FINE), pod("b", waiting("CrashLoopBackOff", "back-off 5m0s"))]
    assert with_pods(WAITING, pods, NOW) == Health(
        "Failed", "1 pods have failed (pod b, container app: CrashLoopBackOff: back-off 5m0s)"
    )


@pytest.mark.parametrize(
    "item",
    [
        pod("p", waiting("ErrImagePull")),
        pod("p", phase="Pending", conditions=UNSCHEDULABLE),
    ],
)
def test_what_may_still_heal_is_told_but_does_not_fail_the_workload(item: Manifest) -> None:
    assert with_pods(WAITING, [item], NOW) == Health("InProgress", f"Available: 0/1 ({newest_failure([item])})")


def test_pods_of_the_last_rollout_do_not_count() -> None:
    leaving = pod("p", waiting("CrashLoopBackOff"), metadata={"deletionTimestamp": "2026-01-31T11:30:00Z"})
    assert with_pods(WAITING, [leaving], NOW) == WAITING


@pytest.mark.parametrize("health", [Health("Current", "fine"), Health("Failed", "deadline"), Health("Unknown", "?")])
def test_pods_change_nothing_of_what_is_decided(health: Health) -> None:
    assert with_pods(health, [pod("p", waiting("CrashLoopBackOff"))], NOW) == health
