"""Fields of others, and what an object's annotations ask for, in the source and in the cluster."""

from __future__ import annotations

import pytest

from shared import apply
from shared.apply.takeover import LAST_APPLIED
from tests.apply.world import MANAGER, World, config_map, service


def managers(live: dict) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in live["metadata"]["managedFields"]}


async def only(changes: apply.ChangeSet) -> str:
    [change] = changes
    return change.action


async def test_a_foreign_field_is_kept(world: World) -> None:
    await world.apply(config_map())
    await world.edit(config_map(), {"data": {"key": "red", "foreign": "x"}, "metadata": {"labels": {"mine": "1"}}})
    await world.until(lambda: world.woken)
    assert await only(await world.apply(config_map())) == "configured"
    live = await world.live(config_map())
    assert live is not None
    assert live["data"] == {"key": "blue", "foreign": "x"}
    assert live["metadata"]["labels"]["mine"] == "1"


async def test_what_kubectl_applied_becomes_ours(world: World) -> None:
    theirs = config_map(data={"key": "red", "old": "x"})
    theirs["metadata"]["annotations"] = {LAST_APPLIED: "{}"}
    await world.have(theirs)
    with world.counting() as calls:
        assert await only(await world.apply(config_map())) == "configured"
    assert calls == {"apply": 2, "get": 2, "patch": 1}
    live = await world.live(config_map())
    assert live is not None
    assert live["data"] == {"key": "blue"}
    assert managers(live) == {(MANAGER, "Apply")}
    assert "annotations" not in live["metadata"]
    with world.counting() as calls:
        await world.apply(config_map())
    assert not calls


async def test_what_kubectl_adds_is_removed_at_once(world: World) -> None:
    await world.apply(config_map())
    await world.edit(config_map(), {"data": {"edited": "x"}}, manager="kubectl-edit")
    await world.until(lambda: world.woken)
    await world.apply(config_map())
    live = await world.live(config_map())
    assert live is not None
    assert live["data"] == {"key": "blue"}
    assert managers(live) == {(MANAGER, "Apply")}


async def test_managers_of_the_users_choice_are_overridden(world: World) -> None:
    world.ledger = apply.Ledger(world.client, field_manager=MANAGER, overrides=["legacy"])
    await world.have(config_map(data={"key": "red", "old": "x"}), manager="legacy-tool")
    await world.apply(config_map())
    assert await world.data() == {"key": "blue"}


async def test_another_managers_fields_stay_on_an_adopted_object(world: World) -> None:
    await world.have(config_map(data={"key": "red", "old": "x"}), manager="operator")
    assert await only(await world.apply(config_map())) == "configured"
    assert await world.data() == {"key": "blue", "old": "x"}


async def test_merge_takes_nothing_from_kubectl(world: World) -> None:
    await world.have(config_map(data={"key": "red", "edited": "x"}))
    await world.apply(config_map(ssa="Merge"))
    assert await world.data() == {"key": "blue", "edited": "x"}
    with world.counting() as calls:
        await world.apply(config_map(ssa="Merge"))
    assert not calls


async def test_if_not_present_only_creates(world: World) -> None:
    assert await only(await world.apply(config_map(ssa="IfNotPresent"))) == "created"
    live = await world.live(config_map())
    assert live is not None
    await world.seen(config_map(), live["metadata"]["resourceVersion"])
    changed = config_map(data={"key": "green"}, ssa="IfNotPresent")
    assert await only(await world.apply(changed)) == "skipped"
    with world.counting() as calls:
        assert await only(await world.apply(changed)) == "skipped"
    assert not calls
    assert await world.data() == {"key": "blue"}
    await world.delete(config_map())
    await world.until(lambda: world.woken)
    assert await only(await world.apply(changed)) == "created"
    assert await world.data() == {"key": "green"}


async def test_if_not_present_leaves_somebody_elses_object_alone(world: World) -> None:
    await world.have(config_map(data={"key": "red"}))
    assert await only(await world.apply(config_map(ssa="IfNotPresent"))) == "skipped"
    live = await world.live(config_map())
    assert live is not None
    assert live["data"] == {"key": "red"}
    assert "labels" not in live["metadata"]


async def test_ignore_is_not_applied_at_all(world: World) -> None:
    with world.counting() as calls:
        assert await only(await world.apply(config_map(ssa="Ignore"))) == "skipped"
        assert await only(await world.apply(config_map(ssa="Ignore"))) == "skipped"
    assert not calls
    assert await world.data() is None


@pytest.mark.parametrize("annotation", [{"reconcile": "disabled"}, {"ssa": "ignore"}])
async def test_the_live_object_may_ask_to_be_left_alone(world: World, annotation: dict[str, str]) -> None:
    await world.apply(config_map())
    key, value = next(iter(annotation.items()))
    name = f"kustomize.toolkit.fluxcd.io/{key}"
    edited = await world.edit(config_map(), {"metadata": {"annotations": {name: value}}, "data": {"key": "red"}})
    await world.seen(config_map(), edited["metadata"]["resourceVersion"])
    assert world.woken == []
    await world.apply(config_map())
    await world.apply(config_map(), audit=True)
    await world.apply(config_map(data={"key": "green"}))
    assert await world.data() == {"key": "red"}
    await world.edit(config_map(), {"metadata": {"annotations": {name: None}}})
    await world.until(lambda: world.woken)
    await world.apply(config_map(data={"key": "green"}))
    assert await world.data() == {"key": "green"}


async def test_an_unlabelled_object_that_asks_to_be_left_alone_is_not_touched(world: World) -> None:
    theirs = config_map(data={"key": "red"}, reconcile="disabled")
    before = await world.have(theirs)
    assert await only(await world.apply(config_map())) == "skipped"
    live = await world.live(config_map())
    assert live is not None
    assert live["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    await world.edit(config_map(), {"metadata": {"annotations": None}})
    assert await only(await world.apply(config_map())) == "configured"
    assert await world.data() == {"key": "blue"}


async def test_a_renumbered_port_is_put_back(world: World) -> None:
    await world.apply(service())
    patch = [{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]
    await world.edit(service(), patch, type="json")
    await world.until(lambda: world.woken)
    await world.apply(service())
    live = await world.live(service())
    assert live is not None
    assert [port["port"] for port in live["spec"]["ports"]] == [80]
