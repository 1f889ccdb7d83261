"""Waiting for health: told by watches, free when it is known, and clear about what isn't healthy."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shared import apply, health
from shared.apply.waiting import _Wait
from shared.health import Health
from shared.kube.watch import Cache
from tests.apply.world import World, config_map, definition, deployment, gizmo, service


async def wait(world: World, changes: Any, seconds: float = 10, **options: Any) -> None:
    client = options.pop("client", world.client)
    await apply.wait_healthy(client, changes, owner=world.owner, ledger=world.ledger, seconds=seconds, **options)


def stuck(name: str = "web", replicas: int = 1) -> dict:
    """A Deployment that nobody will ever run."""
    manifest = deployment(name, replicas)
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"nowhere": "none"}
    manifest["spec"]["paused"] = True
    return manifest


def job(name: str, **spec: Any) -> dict:
    """A Job of one pod."""
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "work"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}, **spec},
    }


class ByPhase:
    """What expressions would say of a Gizmo."""

    def assess(self, manifest: dict) -> Health:
        if manifest["kind"] != "Gizmo":
            return health.assess(manifest)
        if manifest["spec"].get("size") == 1:
            return Health("Failed", "it has size 1")
        done = (manifest.get("status") or {}).get("phase") == "Done"
        return Health("Current" if done else "InProgress", "its phase tells")


async def with_gizmos(world: World) -> str:
    group = f"{world.namespace}.example.com"
    await world.apply(definition(group), owner=apply.Owner(world.namespace, "crds"))
    return group


async def test_what_the_answer_shows_to_be_healthy_costs_nothing(world: World) -> None:
    changes = await world.apply(config_map(), service())
    with world.counting() as calls:
        await wait(world, changes)
        await wait(world, await world.apply(config_map(), service()))
    assert not calls


async def test_who_waits_holds_no_answers(world: World) -> None:
    changes = await world.apply(config_map(), stuck())
    waiting = asyncio.create_task(wait(world, changes))
    async with asyncio.timeout(5):
        while any(change.live is not None for change in changes):
            await asyncio.sleep(0.005)
    assert [change.action for change in changes] == ["created", "created"]
    assert not waiting.done()
    waiting.cancel()


async def test_a_deployment_is_waited_for(world: World) -> None:
    changes = await world.apply(config_map(), deployment())
    with world.counting() as calls:
        await wait(world, changes, 30)
    assert not calls
    live = await world.live(deployment())
    assert live is not None
    assert live["status"]["readyReplicas"] == 1


async def test_what_was_healthy_and_did_not_change_is_believed(world: World) -> None:
    changes = await world.apply(deployment())
    await wait(world, changes, 30)
    live = await world.live(deployment())
    assert live is not None
    await world.seen(deployment(), live["metadata"]["resourceVersion"])
    changes = await world.apply(deployment())
    await wait(world, changes, 30)
    before = world.client.calls["watch", "deployments"]
    with world.counting() as calls:
        await wait(world, await world.apply(deployment()))
    assert not calls
    assert world.client.calls["watch", "deployments"] == before


async def test_an_unhealthy_object_fails_when_the_time_is_over(world: World) -> None:
    changes = await world.apply(config_map(), stuck())
    began = time.monotonic()
    with pytest.raises(apply.HealthCheckError) as failure:
        await wait(world, changes, 0.5)
    assert 0.4 < time.monotonic() - began < 3
    assert str(failure.value).startswith("health check failed after ")
    web = f"Deployment/{world.namespace}/web"
    headline, line = str(failure.value).split("\n")
    assert headline.endswith(f"timeout waiting for: [{web} status: 'InProgress']")
    assert line.startswith(f"{web}: ")
    assert [str(id) for id in failure.value.unhealthy] == [web]


async def test_a_new_state_ends_the_wait(world: World) -> None:
    group = await with_gizmos(world)
    changes = await world.apply(gizmo(group, "one"), gizmo(group, "two"))
    waiting = asyncio.create_task(wait(world, changes, checks=ByPhase()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    for name in ("one", "two"):
        await world.edit(gizmo(group, name), {"status": {"phase": "Done"}}, subresource="status")
    async with asyncio.timeout(2):
        await waiting


async def test_a_failed_object_ends_the_wait_at_once(world: World) -> None:
    group = await with_gizmos(world)
    changes = await world.apply(gizmo(group, size=1), stuck())
    began = time.monotonic()
    with pytest.raises(apply.HealthCheckError) as failure:
        await wait(world, changes, checks=ByPhase())
    assert time.monotonic() - began < 5
    assert f"failed early due to stalled resources: [Gizmo/{world.namespace}/g status: 'Failed']" in str(failure.value)


async def test_a_job_that_goes_when_it_has_finished_is_as_good_as_healthy(world: World) -> None:
    once = job("once", ttlSecondsAfterFinished=0)
    changes = await world.apply(once, config_map())
    await wait(world, changes, 20)
    async with asyncio.timeout(20):
        while await world.live(once) is not None:
            await asyncio.sleep(0.05)
    await wait(world, changes, 2)
    nowhere = job("kept", ttlSecondsAfterFinished=0)
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = {"nowhere": "none"}
    with pytest.raises(apply.HealthCheckError, match=f"Job/{world.namespace}/kept status: 'InProgress'"):
        await wait(world, await world.apply(nowhere), 0.5)
    kept = await world.apply(job("gone"))
    await world.client.delete("batch/v1", "Job", "gone", world.namespace)
    with pytest.raises(apply.HealthCheckError, match=f"Job/{world.namespace}/gone status: 'NotFound'"):
        await wait(world, kept, 0.5)


async def test_listed_objects_are_looked_at_and_no_others(world: World) -> None:
    changes = await world.apply(config_map(), stuck("bad"))
    good = SimpleNamespace(api_version="v1", kind="ConfigMap", name="settings", namespace=world.namespace)
    absent = SimpleNamespace(api_version="apps/v1", kind="Deployment", name="absent", namespace=None)
    await wait(world, changes, listed=[good])
    with pytest.raises(apply.HealthCheckError, match=f"Deployment/{world.namespace}/absent status: 'NotFound'"):
        await wait(world, changes, 0.5, listed=[good, absent])


async def test_a_listed_object_of_somebody_else_is_waited_for(world: World) -> None:
    listed = SimpleNamespace(api_version="v1", kind="ConfigMap", name="theirs", namespace=world.namespace)
    waiting = asyncio.create_task(wait(world, apply.ChangeSet(), listed=[listed]))
    await asyncio.sleep(0.2)
    await world.have(config_map("theirs"))
    async with asyncio.timeout(2):
        await waiting


async def test_an_owner_does_not_wait_for_itself(world: World) -> None:
    itself = apply.Change(
        apply.ObjectId(world.owner.group, "Kustomization", world.owner.namespace, world.owner.name), "v1", "configured"
    )
    await wait(world, apply.ChangeSet([itself]), 0.1)


async def test_what_becomes_of_an_object_while_it_is_looked_for_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch has not seen a Job that may have gone, and tells of its end while the server is asked."""
    get, find, late = Cache.get, _Wait._find, [None]

    async def slow(self: Any, target: Any) -> Any:
        live = await find(self, target)
        async with asyncio.timeout(20):
            while health.assess(await world.live(once)).status != "Current":
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        return live

    once = job("once", ttlSecondsAfterFinished=600)
    changes = await world.apply(once)
    monkeypatch.setattr(_Wait, "_find", slow)
    monkeypatch.setattr(Cache, "get", lambda *args: late.pop() if late else get(*args))
    await wait(world, changes, 30)


async def test_many_waits_share_watches(world: World) -> None:
    each = [await world.apply(deployment(f"web-{i}")) for i in range(10)]
    await asyncio.gather(*(wait(world, changes, 30) for changes in each))
    assert world.client.calls["watch", "deployments"] <= 2  # one for the metadata, one in full


async def test_a_new_revision_is_not_taken_for_healthy_by_the_old_state(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch that is behind our own write shows the object as it was."""
    changes = await world.apply(deployment())
    await wait(world, changes, 30)
    old = await world.live(deployment())
    changes = await world.apply(stuck(replicas=2))
    monkeypatch.setattr(Cache, "get", lambda *_: orjson.dumps(old))
    with pytest.raises(apply.HealthCheckError):
        await wait(world, changes, 0.3)


async def test_where_full_watches_are_used_up_objects_are_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.apply.watches.MOST", 0)
    changes = await world.apply(deployment())
    await wait(world, changes, 30)
    assert len(world.ledger.watches) == 0
