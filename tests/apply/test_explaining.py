"""Why a workload isn't healthy is told by its newest pod: asked once, when a wait has failed, by who waited."""

from __future__ import annotations

from typing import Any

import pytest

from shared import apply
from shared.api.meta import Manifest
from shared.apply.explaining import label_selector
from shared.health import Health
from tests.apply.world import World, config_map, deployment

PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nginx:absent"'}}
STAYS = {"tests.fluvial/stay": "pending"}
"""No kubelet touches a pod with this."""
CRASH = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ({"matchLabels": {"app": "web", "tier": "front"}}, "app=web,tier=front"),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, "app in (web,api)"),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}, "app notin (db)"),
        (
            {
                "matchLabels": {"app": "web"},
                "matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "b", "operator": "DoesNotExist"}],
            },
            "app=web,a,!b",
        ),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_selector_as_a_list_takes_it(selector: Any, said: str) -> None:
    assert label_selector(selector) == said


async def have_pod(world: World, name: str, state: Manifest, *, last: Manifest | None = None, **metadata: Any) -> None:
    """A pod that stays in this state."""
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": STAYS, **metadata},
        "spec": {"containers": [{"name": "main", "image": "nginx:absent"}]},
    }
    await world.have(pod)
    container = {"name": "main", "image": "nginx:absent", "imageID": "", "ready": False, "restartCount": 3}
    container |= {"state": state} | ({"lastState": last} if last else {})
    status = {"phase": "Pending", "containerStatuses": [container]}
    await world.edit(pod, {"status": status}, subresource="status")


def paused(name: str = "web") -> Manifest:
    """A Deployment that makes no pods of its own."""
    manifest = deployment(name)
    manifest["spec"]["paused"] = True
    return manifest


async def failure(world: World, changes: Any, **options: Any) -> apply.HealthCheckError:
    client = options.pop("client", world.client)
    with pytest.raises(apply.HealthCheckError) as caught:
        await apply.wait_healthy(client, changes, owner=world.owner, ledger=world.ledger, seconds=0.5, **options)
    return caught.value


async def test_a_deployment_says_what_its_pod_waits_for(world: World) -> None:
    changes = await world.apply(paused(), config_map())
    await have_pod(world, "web-1", PULL, labels={"app": "web"})
    await have_pod(world, "other", CRASH, labels={"app": "other"})
    with world.counting() as calls:
        error = await failure(world, changes)
    assert calls == {"list": 1}
    line = str(error).splitlines()[1]
    assert line.startswith(f"Deployment/{world.namespace}/web: ")
    assert 'pod web-1, container main: ImagePullBackOff: Back-off pulling image "nginx:absent"' in line


async def test_a_crash_is_told_with_its_exit_code(world: World) -> None:
    changes = await world.apply(paused())
    ended = {"terminated": {"exitCode": 3, "reason": "Error", "message": "password=hunter2"}}
    await have_pod(world, "web-1", CRASH, last=ended, labels={"app": "web"})
    error = await failure(world, changes)
    assert "CrashLoopBackOff: back-off 5m0s restarting failed container; it ended with exit code 3 (Error)" in str(
        error
    )
    assert "hunter2" not in str(error)


async def test_a_pod_speaks_for_itself_without_a_call(world: World) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "one", "annotations": STAYS},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    }
    changes = await world.apply(pod)
    waiting = [{"name": "main", "image": "nginx", "imageID": "", "ready": False, "restartCount": 0, "state": PULL}]
    await world.edit(pod, {"status": {"phase": "Pending", "containerStatuses": waiting}}, subresource="status")
    with world.counting() as calls:
        error = await failure(world, changes)
    assert not calls
    assert "ImagePullBackOff" in str(error)


class NeverHealthy:
    """What an expression would say of a CronJob whose runs fail."""

    def assess(self, manifest: Manifest) -> Health:
        return Health("InProgress", "its last run failed")


async def test_a_cron_job_says_what_its_newest_job_ran_into(world: World) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "nginx"}]}}
    cron_job = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 0 * * *", "suspend": True, "jobTemplate": {"spec": {"template": template}}},
    }
    changes = await world.apply(cron_job)
    live = await world.live(cron_job)
    assert live is not None
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": live["metadata"]["uid"]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "nightly-1", "ownerReferences": [owner]},
        "spec": {"suspend": True, "template": template},
    }
    made = await world.have(job)
    await have_pod(world, "nightly-1-x", PULL, labels=made["spec"]["selector"]["matchLabels"])
    error = await failure(world, changes, checks=NeverHealthy())
    assert "its last run failed (pod nightly-1-x, container main: ImagePullBackOff" in str(error)


async def test_who_may_not_read_pods_is_told_what_is_known_without(world: World) -> None:
    changes = await world.apply(paused())
    await have_pod(world, "web-1", PULL, labels={"app": "web"})
    tenant = await world.tenant("get", "list", "watch", resources=("configmaps", "deployments"))
    error = await failure(world, changes, client=tenant)
    assert f"Deployment/{world.namespace}/web: " in str(error)
    assert "web-1" not in str(error)


async def test_the_pods_of_a_few_workloads_are_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.apply.explaining.MOST", 2)
    changes = await world.apply(*(paused(f"web-{number}") for number in range(5)))
    with world.counting() as calls:
        error = await failure(world, changes)
    assert calls == {"list": 2}
    assert len(error.unhealthy) == 5
