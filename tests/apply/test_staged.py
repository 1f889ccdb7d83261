"""What an apply does to the cluster, what it says, and what it costs."""

from __future__ import annotations

import asyncio

import pytest

from shared import apply
from tests.apply.world import MANAGER, World, account, config_map, definition, deployment, gizmo, secret, service

APP = (config_map(), account(), service(), deployment())


def actions(changes: apply.ChangeSet) -> dict[str, str]:
    return {f"{change.id.kind}/{change.id.name}": change.action for change in changes}


@pytest.mark.usefixtures("exact")
async def test_a_first_apply_costs_one_call_an_object(world: World) -> None:
    with world.counting() as calls:
        changes = await world.apply(*APP)
    assert calls == {"apply": 4}
    assert actions(changes) == dict.fromkeys(
        ("ServiceAccount/web", "ConfigMap/settings", "Service/web", "Deployment/web"), "created"
    )
    assert str(changes).splitlines()[0] == f"ServiceAccount/{world.namespace}/web created"


async def test_nothing_changed_costs_nothing(world: World) -> None:
    await world.apply(*APP)
    with world.counting() as calls:
        changes = await world.apply(*APP)
    assert set(actions(changes).values()) == {"unchanged"}
    assert not calls


async def test_one_change_costs_one_call(world: World) -> None:
    await world.apply(*APP)
    with world.counting() as calls:
        changes = await world.apply(config_map(data={"key": "green"}), *APP[1:])
    assert calls == {"apply": 1}
    assert actions(changes)["ConfigMap/settings"] == "configured"
    assert set(actions(changes).values()) == {"configured", "unchanged"}
    assert await world.data() == {"key": "green"}


async def test_after_a_restart_what_is_in_sync_is_seen_and_not_written(world: World) -> None:
    await world.apply(*APP, config_map("two"), config_map("three"))
    world.again()
    with world.counting() as calls:
        changes = await world.apply(*APP, config_map("two"), config_map("three"))
    assert set(actions(changes).values()) == {"unchanged"}
    assert calls == {"get": 3, "list": 1}


async def test_after_a_restart_drift_is_corrected(world: World) -> None:
    await world.apply(*APP)
    await world.edit(config_map(), {"data": {"key": "red"}})
    await world.edit(deployment(), {"spec": {"replicas": 3}})
    world.again()
    changes = await world.apply(*APP)
    assert actions(changes)["ConfigMap/settings"] == "configured"
    assert actions(changes)["Deployment/web"] == "configured"
    assert actions(changes)["Service/web"] == "unchanged"
    assert await world.data() == {"key": "blue"}


async def test_an_audit_says_what_differs_and_changes_nothing(world: World) -> None:
    await world.apply(*APP)
    await world.edit(deployment(), {"spec": {"replicas": 3}})
    await world.delete(service())
    desired = [world.here(manifest) for manifest in APP]
    found = await apply.audit(world.client, desired, owner=world.owner, ledger=world.ledger)
    assert {id.kind: what for id, what in found.items()} == {
        "ServiceAccount": "",
        "ConfigMap": "",
        "Service": "missing",
        "Deployment": ".spec.replicas",
    }
    live = await world.live(deployment())
    assert live is not None
    assert live["spec"]["replicas"] == 3


async def test_a_demanded_audit_sees_drift_that_no_watch_has_told_yet(world: World) -> None:
    await world.apply(*APP)
    await world.edit(config_map(), {"data": {"key": "red", "foreign": "x"}})
    changes = await world.apply(*APP, audit=True)
    assert actions(changes)["ConfigMap/settings"] == "configured"
    assert await world.data() == {"key": "blue", "foreign": "x"}


async def test_a_field_that_left_the_source_leaves_the_object(world: World) -> None:
    await world.apply(config_map(data={"key": "blue", "more": "x"}))
    await world.apply(config_map())
    assert await world.data() == {"key": "blue"}


async def test_the_owners_labels_are_on_every_object_and_the_fields_are_ours(world: World) -> None:
    await world.apply(config_map())
    live = await world.live(config_map())
    assert live is not None
    assert live["metadata"]["labels"] == {
        "kustomize.toolkit.fluxcd.io/name": "app",
        "kustomize.toolkit.fluxcd.io/namespace": world.namespace,
    }
    assert {(e["manager"], e["operation"]) for e in live["metadata"]["managedFields"]} == {(MANAGER, "Apply")}
    assert live["metadata"].get("annotations") is None


# Failures


async def test_a_wrong_type_is_found_before_anything_is_sent(world: World) -> None:
    wrong = config_map("bad", data={"key": {"nested": "x"}})
    with world.counting() as calls, pytest.raises(apply.ApplyError) as failure:
        await world.apply(config_map("good"), wrong, config_map("worse", data={"n": 1}))
    assert not calls
    first, second = str(failure.value).splitlines()
    assert first.startswith(f"ConfigMap/{world.namespace}/bad dry-run failed (Invalid): ")
    assert second.startswith(f"ConfigMap/{world.namespace}/worse dry-run failed (Invalid): ")


async def test_all_failures_of_a_stage_are_named_and_the_rest_of_it_is_applied(world: World) -> None:
    bad = deployment("bad")
    bad["spec"]["selector"]["matchLabels"] = {"app": "other"}
    worse = service("worse", port=70000)
    with pytest.raises(apply.ApplyError) as failure:
        await world.apply(config_map(), bad, worse)
    assert [error.id.name for error in failure.value.errors] == ["worse", "bad"]
    assert len(str(failure.value).splitlines()) == 2
    assert actions(failure.value.changes) == {"ConfigMap/settings": "created"}
    assert await world.data() == {"key": "blue"}


@pytest.mark.usefixtures("exact")
async def test_a_failed_pass_is_not_in_sync(world: World) -> None:
    good, bad = config_map(), service("bad", port=70000)
    with pytest.raises(apply.ApplyError):
        await world.apply(good, bad)
    with world.counting() as calls, pytest.raises(apply.ApplyError):
        await world.apply(good, bad)
    assert calls == {"apply": 1}


async def test_an_object_of_an_unknown_kind_is_parked_and_the_rest_goes_on(world: World) -> None:
    changes = await world.apply(gizmo("nowhere.example.com"), config_map(), gizmo("nowhere.example.com", "two"))
    assert sorted(change.action for change in changes) == ["created", "parked", "parked"]
    assert await world.data() == {"key": "blue"}
    assert len(world.ledger.parked) == 1


async def test_what_is_parked_in_an_early_stage_holds_up_no_later_one(world: World) -> None:
    unknown = {"apiVersion": "nowhere.example.com/v1", "kind": "GizmoClass", "metadata": {"name": "first"}}
    changes = await world.apply(unknown, config_map())
    assert [(change.id.kind, change.action) for change in changes] == [
        ("GizmoClass", "parked"),
        ("ConfigMap", "created"),
    ]
    assert len(world.ledger.parked) == 1


async def test_a_secrets_value_is_in_no_error(world: World) -> None:
    bad = secret(token="s3cr3t-value")
    bad["type"] = "kubernetes.io/dockerconfigjson"
    bad["data"] = {".dockerconfigjson": "bm90IGpzb24tYnV0LXNlY3JldA=="}
    with pytest.raises(apply.ApplyError) as failure:
        await world.apply(bad)
    assert "s3cr3t-value" not in str(failure.value)
    assert "not json-but-secret" not in str(failure.value)
    assert "bm90IGpzb24" not in str(failure.value)


async def test_an_object_that_is_there_twice_is_refused(world: World) -> None:
    with pytest.raises(apply.ApplyError, match="twice"):
        await world.apply(config_map(), config_map(data={"key": "green"}))


# Immutable fields


def frozen(value: str = "blue", **annotations: str) -> dict:
    return {**config_map(data={"key": value}, **annotations), "immutable": True}


async def test_an_immutable_field_that_changed_fails(world: World) -> None:
    await world.apply(frozen())
    with pytest.raises(apply.ApplyError, match="immutable"):
        await world.apply(frozen("green"))
    assert await world.data() == {"key": "blue"}


@pytest.mark.parametrize("by_annotation", [False, True])
async def test_force_recreates_what_cannot_be_changed(world: World, by_annotation: bool) -> None:
    annotations = {"force": "enabled"} if by_annotation else {}
    await world.apply(frozen(**annotations))
    before = await world.live(config_map())
    changes = await world.apply(frozen("green", **annotations), force=not by_annotation)
    after = await world.live(config_map())
    assert before is not None
    assert after is not None
    assert after["data"] == {"key": "green"}
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert actions(changes) == {"ConfigMap/settings": "created"}
    with world.counting() as calls:
        await world.apply(frozen("green", **annotations))
    assert not calls


async def test_what_is_recreated_is_waited_for_until_it_is_gone(world: World) -> None:
    held = frozen()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.apply(held)
    apply_again = asyncio.create_task(world.apply(frozen("green"), force=True))
    await world.until(
        lambda: (live := world.ledger.live(apply.ObjectId.of(world.here(held)), "v1")) is not None and live.deleting
    )
    assert not apply_again.done()
    await world.edit(config_map(), {"metadata": {"finalizers": None}})
    assert actions(await apply_again) == {"ConfigMap/settings": "created"}
    assert await world.data() == {"key": "green"}


# Stages


async def test_definitions_and_namespaces_come_first(world: World) -> None:
    group, unique = f"{world.unique()}.{world.namespace}.example.com", f"{world.namespace}-two"
    inside = config_map()
    inside["metadata"]["namespace"] = unique
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique}}
    changes = await world.apply(gizmo(group, size=1), inside, definition(group), namespace)
    assert [change.id.kind for change in changes] == [
        "CustomResourceDefinition",
        "Namespace",
        "ConfigMap",
        "Gizmo",
    ]
    live = await world.live(gizmo(group))
    assert live is not None
    assert live["spec"] == {"size": 1}
    with world.counting() as calls:
        await world.apply(gizmo(group, size=1), inside, definition(group), namespace)
    assert not calls


async def test_a_kind_of_the_users_choice_goes_before_the_rest(world: World) -> None:
    good, bad = config_map(), service("bad", port=70000)
    with pytest.raises(apply.ApplyError):
        await world.apply(good, bad, custom_stage_kinds=[("", "Service")])
    assert await world.data() is None


@pytest.mark.usefixtures("exact")
async def test_one_hundred_and_fifty_objects(world: World) -> None:
    many = [config_map(f"cm-{i:03}") for i in range(150)]
    with world.counting() as calls:
        await world.apply(*many)
    assert calls == {"apply": 150}
    ids = [apply.ObjectId.of(world.here(manifest)) for manifest in many]
    await world.until(lambda: all(world.ledger.live(id, "v1") for id in ids))
    with world.counting() as calls:
        await world.reconcile(many[0])
    assert calls == {"delete": 149}
    assert [id.name for id in world.recorded] == ["cm-000"]
