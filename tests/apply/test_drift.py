"""The ledger hears what became of what we applied, and tells drift from noise."""

from __future__ import annotations

import asyncio

import pytest

from shared import apply
from tests.apply.world import MANAGER, World, config_map, definition, deployment, digest, gizmo, service


async def settled(world: World, manifest: dict) -> None:
    """Until the watch has seen the live object as it is now."""
    live = await world.live(manifest)
    assert live is not None
    await world.seen(manifest, live["metadata"]["resourceVersion"])


async def test_our_own_writes_are_no_drift(world: World) -> None:
    for value in ("blue", "green", "yellow"):
        await world.apply(config_map(data={"key": value}))
        await settled(world, config_map())
    assert world.woken == []


async def test_a_changed_field_wakes_the_owner_once_and_is_put_back_with_one_call(world: World) -> None:
    await world.apply(config_map())
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.woken)
    with world.counting() as calls:
        await world.apply(config_map())
    assert calls == {"apply": 1}
    assert await world.data() == {"key": "blue"}
    await settled(world, config_map())
    assert world.woken == [world.owner]


async def test_a_removed_field_is_drift(world: World) -> None:
    await world.apply(config_map(data={"key": "blue", "more": "x"}))
    await world.edit(config_map(), {"data": {"more": None}})
    await world.until(lambda: world.woken)
    await world.apply(config_map(data={"key": "blue", "more": "x"}))
    assert await world.data() == {"key": "blue", "more": "x"}


@pytest.mark.usefixtures("exact")
async def test_a_deleted_object_wakes_the_owner_and_is_created_with_one_call(world: World) -> None:
    await world.apply(config_map(), service())
    await world.delete(config_map())
    await world.until(lambda: world.woken)
    assert list(world.ledger.drifted(world.owner).values()) == ["deleted"]
    with world.counting() as calls:
        changes = await world.apply(config_map(), service())
    assert calls == {"apply": 1}
    assert [change.action for change in changes] == ["created", "unchanged"]


async def test_a_job_that_goes_when_it_has_finished_wakes_nobody_and_is_made_again_with_the_next_pass(
    world: World,
) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "work"}]}
    spec = {"ttlSecondsAfterFinished": 0, "template": {"spec": pod}}
    once = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": spec}
    await world.apply(once, config_map())
    job = apply.ObjectId.of(world.here(once))
    record = world.ledger.record(world.owner, job)
    assert record is not None
    await world.until(lambda: record.has_expired, 20)
    assert world.woken == []
    assert world.ledger.drifted(world.owner) == {}
    assert [str(change) for change in (await world.apply(once, config_map())).made] == [f"{job} created"]


async def test_an_object_that_was_deleted_and_made_again_by_others_is_drift(world: World) -> None:
    await world.apply(config_map())
    await world.delete(config_map())
    labelled = config_map(data={"key": "red"})
    labelled["metadata"]["labels"] = world.owner.labels
    await world.have(labelled, manager="somebody")
    await world.until(lambda: world.woken)
    await world.apply(config_map())
    assert await world.data() == {"key": "blue"}


async def test_a_lost_owner_label_is_drift(world: World) -> None:
    await world.apply(config_map())
    await world.edit(config_map(), {"metadata": {"labels": dict.fromkeys(world.owner.labels)}})
    await world.until(lambda: world.woken)
    await world.apply(config_map())
    live = await world.live(config_map())
    assert live is not None
    assert live["metadata"]["labels"] == world.owner.labels


async def test_foreign_fields_and_status_are_no_drift(world: World) -> None:
    await world.apply(config_map(), deployment())
    await world.edit(config_map(), {"data": {"foreign": "x"}, "metadata": {"annotations": {"seen": "1"}}})
    status = {"status": {"observedGeneration": 1, "replicas": 1}}
    await world.edit(deployment(), status, subresource="status", manager="kubelet")
    await settled(world, config_map())
    await settled(world, deployment())
    assert world.woken == []
    with world.counting() as calls:
        await world.apply(config_map(), deployment())
    assert not calls


async def test_a_value_that_another_manager_applies_too_is_no_drift(world: World) -> None:
    await world.apply(config_map())
    await world.client.apply(world.here(config_map()), field_manager="other", force=False)
    await settled(world, config_map())
    assert world.woken == []


async def test_drift_while_a_call_is_under_way_is_not_lost(world: World) -> None:
    await world.apply(config_map())
    for number in range(20):
        first, second = asyncio.create_task(world.apply(config_map(data={"key": f"v{number}"}))), None
        second = asyncio.create_task(world.edit(config_map(), {"data": {"key": "red"}}))
        await asyncio.gather(first, second)
        await settled(world, config_map())
        if await world.data() == {"key": "red"}:
            await world.until(lambda: world.ledger.drifted(world.owner))
            await world.apply(config_map(data={"key": f"v{number}"}))
        assert await world.data() == {"key": f"v{number}"}


async def test_two_owners_of_one_object_do_not_wake_each_other(world: World) -> None:
    await world.apply(config_map())
    other = apply.Owner(world.namespace, "other")
    await world.apply(config_map(), owner=other)
    await settled(world, config_map())
    await asyncio.sleep(0.05)
    assert world.woken == []
    assert dict(world.ledger.drifted(world.owner)) == {apply.ObjectId.of(world.here(config_map())): "taken"}


async def test_a_fight_slows_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.apply.waking.FREE_STRIKES", 2)
    await world.apply(config_map())
    for _ in range(2):
        world.woken.clear()
        await world.edit(config_map(), {"data": {"key": "red"}})
        await world.until(lambda: world.woken)
        await world.apply(config_map())
    world.woken.clear()
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.ledger.drifted(world.owner))
    await asyncio.sleep(0.2)
    assert world.woken == []
    await world.until(lambda: world.woken)


async def test_a_forgotten_owner_is_not_woken_and_its_watches_end(world: World) -> None:
    await world.apply(config_map())
    assert world.ledger.follows(("v1", "ConfigMap"))
    world.ledger.forget(world.owner)
    assert not world.ledger.follows(("v1", "ConfigMap"))
    await world.delete(config_map())
    await asyncio.sleep(0.1)
    assert world.woken == []
    assert not world.ledger.in_sync(world.owner, digest([world.here(config_map())]))


async def test_a_pass_over_the_very_manifests_costs_nothing_until_one_drifts(world: World) -> None:
    await world.apply(config_map())
    with world.counting() as calls:
        await world.apply(config_map())
    assert not calls
    with world.counting() as calls:
        await world.apply(config_map(), config_map("two"))
    assert calls["apply"] == 1
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.ledger.drifted(world.owner))
    with world.counting() as calls:
        await world.apply(config_map(), config_map("two"))
    assert calls == {"apply": 1}


async def test_where_watching_is_forbidden_every_pass_looks(world: World) -> None:
    tenant = await world.tenant("get", "create", "patch", "delete")
    await world.ledger.close()
    world.ledger = apply.Ledger(tenant, field_manager=MANAGER)
    await world.apply(config_map(), client=tenant)
    with world.counting() as calls:
        [change] = await world.apply(config_map(), client=tenant)
    assert change.action == "unchanged"
    assert calls["get"] == 1
    assert calls["apply"] == 0
    await world.edit(config_map(), {"data": {"key": "red"}})
    [change] = await world.apply(config_map(), client=tenant)
    assert change.action == "configured"
    assert await world.data() == {"key": "blue"}


async def test_a_kind_that_gets_defined_wakes_who_waits_for_it(world: World) -> None:
    group = f"{world.namespace}.example.com"
    changes = await world.apply(config_map(), gizmo(group, size=1))
    assert len(changes.of("parked")) == 1
    await asyncio.sleep(0.2)
    assert world.woken == []
    assert len(world.ledger.parked) == 1
    assert await world.data() == {"key": "blue"}
    await world.client.create(definition(group))
    async with asyncio.timeout(10):
        while True:
            await world.wake.wait()
            world.wake.clear()
            if not (await world.apply(config_map(), gizmo(group, size=1))).of("parked"):
                break
    assert len(world.ledger.parked) == 0
    live = await world.live(gizmo(group))
    assert live is not None
    assert live["spec"] == {"size": 1}


async def test_a_definition_that_comes_before_anybody_watches_for_it_is_not_missed(world: World) -> None:
    group = f"{world.namespace}.example.com"
    changes = await world.apply(gizmo(group, size=1))
    assert changes.of("parked")
    world.ledger.parked.park(world.owner, ())
    await world.client.create(definition(group))
    world.woken.clear()
    world.ledger.parked.park(world.owner, [f"{group}/v1"])  # as an apply does that has just failed to find it
    await world.until(lambda: world.woken)
    other = apply.Owner(world.namespace, "other")
    world.ledger.parked.park(other, [f"{group}/v1"])  # the watch runs already
    await world.until(lambda: other in world.woken)
