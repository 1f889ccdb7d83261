"""Drift that is corrected, reported or not looked for; fields that others may own: on live objects."""

from __future__ import annotations

from typing import Any

from shared.api.parts import IgnoreRule, Selector
from shared.apply import Drift, Drifted, ObjectId, Rules
from tests.apply.world import World, config_map, deployment, secret, service

WARN, DISABLED = Drift(mode="warn"), Drift(mode="disabled")


def ignoring(*paths: str, mode: Any = "enabled", **target: str) -> Drift:
    return Drift(mode=mode, rules=Rules([IgnoreRule(paths=list(paths), target=Selector(**target))]))


async def drifted(world: World, *manifests: Any, **options: Any) -> list[Drifted]:
    """What a pass reports of drift."""
    changes = await world.apply(*manifests, drift=WARN, **options)
    return [change.drift for change in changes if change.drift is not None]


async def until_noticed(world: World, name: str = "settings") -> None:
    id = ObjectId.of(world.here(config_map(name)))
    await world.until(lambda: world.ledger.drifted(world.owner).get(id))


async def test_with_warn_drift_is_reported_in_three_views_with_who_did_it_and_left(world: World) -> None:
    await world.apply(config_map(), drift=WARN)
    await world.edit(config_map(), {"data": {"key": "red"}}, manager="somebody")
    await world.until(lambda: world.woken)
    [one] = await drifted(world, config_map())
    assert (str(one.id), one.what) == (f"ConfigMap/{world.namespace}/settings", "changed")
    [field] = one.fields
    assert (field.path, field.desired, field.applied, field.live) == (".data.key", '"blue"', '"blue"', '"red"')
    assert (field.author.manager, field.author.operation) == ("somebody", "Update")
    assert field.author.time
    assert await world.data() == {"key": "red"}


async def test_drift_that_was_reported_costs_no_further_call_and_is_told_in_every_pass(world: World) -> None:
    await world.apply(config_map(), drift=WARN)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.woken)
    first = await drifted(world, config_map())
    with world.counting() as calls:
        assert await drifted(world, config_map()) == first
    assert not calls


async def test_another_edit_of_what_had_drifted_is_noticed(world: World) -> None:
    await world.apply(config_map(), drift=WARN)
    for value in ("red", "pink"):
        world.woken.clear()
        await world.edit(config_map(), {"data": {"key": value}})
        await world.until(lambda: world.woken)
        [one] = await drifted(world, config_map())
        assert one.fields[0].live == f'"{value}"'
    world.woken.clear()
    await world.edit(config_map(), {"data": {"key": "blue"}})
    await world.until(lambda: world.woken)
    assert await drifted(world, config_map()) == []
    with world.counting() as calls:
        await drifted(world, config_map())
    assert not calls


async def test_with_warn_a_deleted_object_is_reported_and_stays_deleted(world: World) -> None:
    await world.apply(config_map(), service(), drift=WARN)
    await world.delete(config_map())
    await world.until(lambda: world.woken)
    [one] = await drifted(world, config_map(), service())
    assert str(one) == f"ConfigMap/{world.namespace}/settings was deleted"
    with world.counting() as calls:
        assert len(await drifted(world, config_map(), service())) == 1
    assert not calls
    assert await world.data() is None
    world.woken.clear()
    await world.have(config_map(), manager="somebody")


async def test_with_warn_a_change_in_the_source_is_applied_over_drift(world: World) -> None:
    await world.apply(config_map(), config_map("two"), drift=WARN)
    for name in ("settings", "two"):
        await world.edit(config_map(name), {"data": {"key": "red"}})
        await until_noticed(world, name)
    [one] = await drifted(world, config_map(data={"key": "green"}), config_map("two"))
    assert one.id.name == "two"
    assert (await world.data(), await world.data("two")) == ({"key": "green"}, {"key": "red"})


async def test_with_warn_new_objects_are_created_and_stale_ones_pruned(world: World) -> None:
    await world.reconcile(config_map("one"), drift=WARN)
    await world.reconcile(config_map("two"), drift=WARN)
    assert (await world.data("one"), await world.data("two")) == (None, {"key": "blue"})


async def test_after_a_restart_drift_is_still_told_from_what_was_never_applied(world: World) -> None:
    await world.apply(config_map(), config_map("two"), config_map("three"), drift=WARN)
    await world.edit(config_map(), {"data": {"key": "red"}})
    labels = {"metadata": {"labels": dict.fromkeys(world.owner.labels)}}
    await world.edit(config_map("two"), labels)
    await world.delete(config_map("three"))
    desired = (config_map(), config_map("two"), config_map("three"))
    await world.ledger.close()
    world.again()
    changes = await world.apply(*desired, drift=Drift(mode="warn", was_applied=True))
    found = {change.id.name: change.drift.what for change in changes if change.drift is not None}
    assert found == {"settings": "changed", "two": "changed", "three": "deleted"}
    assert await world.data() == {"key": "red"}
    await world.ledger.close()
    world.again()
    await world.apply(*desired, drift=WARN)  # the status doesn't know them: they are applied
    assert (await world.data(), await world.data("three")) == ({"key": "blue"}, {"key": "blue"})


async def test_no_value_of_a_secret_is_in_a_report(world: World) -> None:
    await world.apply(secret(token="s3cr3t-value"), drift=WARN)
    await world.edit(secret(), {"stringData": {"token": "other-value", "more": "third-value"}}, manager="kubectl-edit")
    await world.until(lambda: world.woken)
    [one] = await drifted(world, secret(token="s3cr3t-value"))
    assert {field.path: (field.desired, field.applied, field.live) for field in one.fields} == {
        ".data.token": ("*****", "*****", "*****"),
        ".data.more": (None, None, "*****"),
    }


async def test_values_that_may_come_from_secrets_are_not_shown(world: World) -> None:
    quiet = Drift(mode="warn", reveal=False)
    await world.apply(config_map(), drift=quiet)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.until(lambda: world.woken)
    [change] = await world.apply(config_map(), drift=quiet)
    assert change.drift is not None
    assert "red" not in str(change.drift)
    assert "blue" not in str(change.drift)


async def test_a_report_is_bounded_however_much_has_drifted(world: World) -> None:
    many = {f"key-{number:03}": "blue" for number in range(100)}
    await world.apply(config_map(data=many), drift=WARN)
    await world.edit(config_map(), {"data": dict.fromkeys(many, "x" * 5000)})
    await world.until(lambda: world.woken)
    [one] = await drifted(world, config_map(data=many))
    assert (len(one.fields), one.more) == (10, 90)
    assert len(str(one)) < 4000


async def test_fields_that_kubectl_added_are_told(world: World) -> None:
    await world.apply(config_map(), drift=WARN)
    await world.edit(config_map(), {"data": {"more": "x"}}, manager="kubectl-edit")
    await world.until(lambda: world.woken)
    [one] = await drifted(world, config_map())
    assert [str(field).partition(" (")[0] for field in one.fields] == ['.data.more: "x" added']
    assert one.fields[0].author.manager == "kubectl-edit"


async def test_a_field_that_only_changed_hands_is_no_drift_to_report(world: World) -> None:
    await world.apply(config_map(), drift=WARN)
    theirs = world.here(config_map())
    await world.edit(config_map(), {"data": {"key": "red"}}, manager="one")
    await world.client.apply(theirs, field_manager="other")
    await until_noticed(world)
    assert await drifted(world, config_map()) == []
    with world.counting() as calls:
        await drifted(world, config_map())
    assert not calls


async def test_disabled_does_not_look(world: World) -> None:
    await world.apply(config_map(), config_map("two"), drift=DISABLED)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.delete(config_map("two"))
    await world.seen(config_map(), (await world.live(config_map()))["metadata"]["resourceVersion"])  # type: ignore[index]
    assert world.woken == []
    with world.counting() as calls:
        await world.apply(config_map(), config_map("two"), drift=DISABLED)
    assert not calls
    await world.ledger.close()
    world.again()
    with world.counting() as calls:
        await world.apply(config_map(), config_map("two"), drift=Drift(mode="disabled", was_applied=True))
    assert not {verb for verb in calls if verb != "list"}  # but for the list with which a watch begins
    assert (await world.data(), await world.data("two")) == ({"key": "red"}, None)


async def test_with_disabled_a_change_in_the_source_is_applied(world: World) -> None:
    await world.apply(config_map(), drift=DISABLED)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.apply(config_map(data={"key": "green"}), drift=DISABLED)
    assert await world.data() == {"key": "green"}


async def test_turning_correction_on_again_corrects(world: World) -> None:
    for mode in (WARN, DISABLED):
        await world.apply(config_map(), drift=mode)
        await world.edit(config_map(), {"data": {"key": "red"}})
        await world.apply(config_map(), drift=mode)
        await world.apply(config_map(), drift=Drift())
        assert await world.data() == {"key": "blue"}


async def test_an_object_in_the_source_chooses_for_itself(world: World) -> None:
    left, kept = config_map("left", driftDetection="disabled"), config_map("kept", driftDetection="enabled")
    await world.apply(left, drift=Drift())
    await world.apply(left, kept, drift=WARN)
    for name in ("left", "kept"):
        await world.edit(config_map(name), {"data": {"key": "red"}})
    await until_noticed(world, "kept")
    assert await drifted(world, left, kept) == []
    assert (await world.data("left"), await world.data("kept")) == ({"key": "red"}, {"key": "blue"})


async def test_an_object_in_the_cluster_chooses_where_the_source_says_nothing(world: World) -> None:
    await world.apply(config_map("mine"), config_map("told", driftDetection="enabled"))
    off = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/driftDetection": "Disabled"}}}
    for name in ("mine", "told"):
        await world.edit(config_map(name), {**off, "data": {"key": "red"}})
    await until_noticed(world, "told")
    await world.apply(config_map("mine"), config_map("told", driftDetection="enabled"))
    assert (await world.data("mine"), await world.data("told")) == ({"key": "red"}, {"key": "blue"})
    on = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/driftDetection": None}}}
    await world.edit(config_map("mine"), on)
    await until_noticed(world, "mine")
    await world.apply(config_map("mine"), config_map("told", driftDetection="enabled"))
    assert await world.data("mine") == {"key": "blue"}


async def test_a_status_that_moves_is_no_news_about_drift(world: World) -> None:
    await world.apply(deployment(), drift=WARN)
    await world.edit(deployment(), {"spec": {"replicas": 3}})
    await world.until(lambda: world.woken)
    await drifted(world, deployment())
    status = {"status": {"collisionCount": 1}}
    world.woken.clear()
    moved = await world.edit(deployment(), status, subresource="status", manager="kubelet")
    await world.seen(deployment(), moved["metadata"]["resourceVersion"])
    assert not [owner for owner in world.woken if world.ledger.drifted(owner)]


# Fields that others may own


async def replicas(world: World) -> int:
    live = await world.live(deployment())
    assert live is not None
    return int(live["spec"]["replicas"])


async def test_an_ignored_field_is_set_when_the_object_is_created_and_then_left_to_others(world: World) -> None:
    free = ignoring("/spec/replicas", kind="Deployment")
    await world.apply(deployment(replicas=2), drift=free)
    assert await replicas(world) == 2
    await world.edit(deployment(), {"spec": {"replicas": 5}})
    [change] = await world.apply(deployment(replicas=2), drift=free)
    assert change.action == "unchanged"
    assert await replicas(world) == 5
    [change] = await world.apply(deployment(replicas=2, image="nginx:2"), drift=free)
    assert change.action == "configured"
    assert await replicas(world) == 5
    with world.counting() as calls:
        await world.apply(deployment(replicas=2, image="nginx:2"), drift=free)
    assert not calls


async def test_an_ignored_field_that_another_applies_becomes_that_ones(world: World) -> None:
    free = ignoring("/spec/replicas")
    await world.apply(deployment(replicas=2), drift=free)
    theirs = world.here(deployment(replicas=7))
    theirs["spec"] = {"replicas": 7}
    await world.client.apply(theirs, field_manager="autoscaler")
    await world.apply(deployment(replicas=2, image="nginx:2"), drift=free)
    live = await world.live(deployment())
    assert live is not None
    assert live["spec"]["replicas"] == 7
    having = {
        entry["manager"]
        for entry in live["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {}) and not entry.get("subresource")
    }
    assert having == {"autoscaler"}


async def test_what_is_not_ignored_is_corrected_beside_it(world: World) -> None:
    free = ignoring("/spec/replicas")
    await world.apply(deployment(replicas=2), drift=free)
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil"}]
    await world.edit(deployment(), {"spec": {"replicas": 5}})
    await world.edit(deployment(), image, type="json")
    await world.until(lambda: world.woken)
    await world.apply(deployment(replicas=2), drift=free)
    live = await world.live(deployment())
    assert live is not None
    assert (live["spec"]["replicas"], live["spec"]["template"]["spec"]["containers"][0]["image"]) == (5, "nginx")


async def test_a_rule_that_is_taken_away_gives_the_field_back(world: World) -> None:
    await world.apply(deployment(replicas=2), drift=ignoring("/spec/replicas"))
    await world.edit(deployment(), {"spec": {"replicas": 5}})
    await world.apply(deployment(replicas=2), drift=ignoring("/spec/replicas"))
    await world.apply(deployment(replicas=2), drift=Drift())
    assert await replicas(world) == 2


async def test_ignored_fields_are_in_no_report(world: World) -> None:
    free = ignoring("/data/key", mode="warn")
    await world.apply(config_map(data={"key": "blue", "other": "x"}), drift=free)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await until_noticed(world)
    [change] = await world.apply(config_map(data={"key": "blue", "other": "x"}), drift=free)
    assert change.drift is None
    await world.edit(config_map(), {"data": {"other": "y"}})
    await until_noticed(world)
    [change] = await world.apply(config_map(data={"key": "blue", "other": "x"}), drift=free)
    assert change.drift is not None
    assert [field.path for field in change.drift.fields] == [".data.other"]


async def test_an_edit_between_a_look_and_the_apply_is_not_overwritten(world: World) -> None:
    """What is kept of an ignored field is what was there when it was written, not when it was looked at."""
    free = ignoring("/data/key")
    await world.apply(config_map(data={"key": "blue", "other": "1"}), drift=free)
    await world.edit(config_map(), {"data": {"key": "red"}})
    send, raced = world.client.apply_seen, []

    async def late(manifest: Any, **options: Any) -> Any:
        if not raced:
            raced.append(await world.edit(config_map(), {"data": {"key": "pink"}}))
        return await send(manifest, **options)

    world.client.apply_seen = late  # type: ignore[method-assign]
    await world.apply(config_map(data={"key": "blue", "other": "2"}), drift=free)
    assert raced
    assert await world.data() == {"key": "pink", "other": "2"}


async def test_a_recreated_object_gets_what_the_source_says(world: World) -> None:
    free = ignoring("/data/key")
    await world.apply(config_map(), drift=free)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.delete(config_map())
    await world.until(lambda: "deleted" in world.ledger.drifted(world.owner).values())
    [change] = await world.apply(config_map(), drift=free)
    assert (change.action, await world.data()) == ("created", {"key": "blue"})
