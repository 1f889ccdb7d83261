"""What is stale goes, what is not ours or asks to be spared stays, and the inventory knows which."""

from __future__ import annotations

import asyncio

import pytest

from shared import apply
from tests.apply.world import World, config_map, definition, deployment, gizmo, service


def names(inventory: apply.Inventory) -> list[str]:
    return [id.name for id in inventory]


def said(changes: apply.ChangeSet) -> list[tuple[str, str]]:
    return [(change.id.name, change.action) for change in changes]


async def test_a_stale_object_goes_with_one_call(world: World) -> None:
    await world.apply(config_map("one"), config_map("two"))
    live = await world.live(config_map("two"))
    assert live is not None
    await world.seen(config_map("two"), live["metadata"]["resourceVersion"])
    with world.counting() as calls:
        changes = await world.reconcile(config_map("one"))
    assert calls == {"delete": 1}
    assert said(changes) == [("one", "unchanged"), ("two", "deleted")]
    assert str(changes.of("deleted")) == f"ConfigMap/{world.namespace}/two deleted"
    assert names(world.recorded) == ["one"]
    assert await world.data("two") is None
    assert world.woken == []


async def test_without_prune_it_stays_and_leaves_the_inventory(world: World) -> None:
    await world.apply(config_map())
    with world.counting() as calls:
        changes = await world.prune(world.recorded, enabled=False)
    assert not calls
    assert said(changes) == [("settings", "skipped")]
    assert len(world.recorded) == 0
    assert await world.data() == {"key": "blue"}


@pytest.mark.parametrize("annotation", [{"prune": "Disabled"}, {"reconcile": "disabled"}, {"ssa": "Ignore"}])
async def test_an_object_that_asks_to_be_spared_stays(world: World, annotation: dict[str, str]) -> None:
    await world.apply(config_map())
    key, value = next(iter(annotation.items()))
    patch = {"metadata": {"annotations": {f"kustomize.toolkit.fluxcd.io/{key}": value}}}
    await world.edit(config_map(), patch)
    changes = await world.reconcile()
    assert said(changes) == [("settings", "skipped")]
    assert len(world.recorded) == 0
    assert await world.data() == {"key": "blue"}


async def test_an_object_that_moved_to_another_owner_stays(world: World) -> None:
    await world.apply(config_map())
    await world.apply(config_map(), owner=apply.Owner(world.namespace, "other"))
    assert said(await world.reconcile()) == [("settings", "skipped")]
    assert await world.data() == {"key": "blue"}


async def test_an_object_without_our_labels_stays(world: World) -> None:
    await world.have(config_map())
    world.recorded |= apply.Inventory.of([world.here(config_map())])
    assert said(await world.reconcile()) == [("settings", "skipped")]
    assert await world.data() == {"key": "blue"}


async def test_what_is_gone_already_is_settled(world: World) -> None:
    await world.apply(config_map())
    await world.delete(config_map())
    await world.reconcile()
    assert len(world.recorded) == 0


async def test_what_nobody_serves_any_more_is_settled(world: World) -> None:
    world.recorded |= apply.Inventory.of([world.here(gizmo("nowhere.example.com"))])
    await world.reconcile()
    assert len(world.recorded) == 0


async def test_an_object_with_a_finalizer_stays_recorded_until_it_is_gone(world: World) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.apply(held)
    assert said(await world.reconcile()) == [("settings", "deleted")]
    assert names(world.recorded) == ["settings"]
    with world.counting() as calls:
        assert said(await world.reconcile()) == [("settings", "terminating")]
    assert not calls
    assert world.woken == []
    await world.edit(config_map(), {"metadata": {"finalizers": None}})
    await world.until(lambda: world.woken)
    assert said(await world.reconcile()) == [("settings", "terminating")]
    assert len(world.recorded) == 0


async def test_all_failures_are_named_and_stay_recorded(world: World) -> None:
    if world.faults is None:
        pytest.skip("only the embedded API fails on demand")
    await world.apply(config_map("one"), config_map("two"), config_map("three"))
    for name in ("one", "two"):
        world.faults.fail(verb="delete", name=name, code=403, reason="Forbidden", message="no", nth=0)
    with pytest.raises(apply.PruneError) as failure:
        await world.reconcile()
    assert str(failure.value).startswith("delete failed, errors: ")
    assert {error.id.name for error in failure.value.errors} == {"one", "two"}
    world.recorded -= failure.value.changes
    assert names(world.recorded) == ["one", "two"]
    world.faults.clear()
    await world.reconcile()
    assert len(world.recorded) == 0


async def test_definitions_go_last(world: World) -> None:
    group = f"{world.namespace}.example.com"
    await world.apply(definition(group), gizmo(group))
    changes = await world.reconcile()
    assert [change.id.kind for change in changes] == ["Gizmo", "CustomResourceDefinition"]
    await apply.wait_gone(world.client, changes, ledger=world.ledger, seconds=20)
    assert await world.live(definition(group)) is None


async def test_a_termination_is_waited_for(world: World) -> None:
    held = config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.apply(held, service())
    changes = await world.reconcile()
    with pytest.raises(apply.TerminationError, match=f"ConfigMap/{world.namespace}/settings"):
        await apply.wait_gone(world.client, changes, ledger=world.ledger, seconds=0.3)
    wait = asyncio.create_task(apply.wait_gone(world.client, changes, ledger=world.ledger, seconds=10))
    await asyncio.sleep(0.1)
    assert not wait.done()
    await world.edit(config_map(), {"metadata": {"finalizers": None}})
    async with asyncio.timeout(5):
        await wait


async def test_what_others_write_while_we_delete_does_not_save_it(world: World) -> None:
    await world.apply(deployment())
    await world.edit(deployment(), {"metadata": {"annotations": {"n": "1"}}})
    await world.reconcile()
    assert await world.live(deployment()) is None
