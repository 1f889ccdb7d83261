"""Names of objects, inventories, and the order of kinds."""

from __future__ import annotations

import pytest

from shared.api import parts
from shared.apply import Change, ChangeSet, Inventory, ObjectId, Owner
from shared.apply.order import Stage, sort_key, stage_of

RBAC = "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    ("id", "text", "shown"),
    [
        (ObjectId("apps", "Deployment", "apps", "web"), "apps_web_apps_Deployment", "Deployment/apps/web"),
        (ObjectId("", "ConfigMap", "apps", "cfg"), "apps_cfg__ConfigMap", "ConfigMap/apps/cfg"),
        (ObjectId("", "Namespace", "", "apps"), "_apps__Namespace", "Namespace/apps"),
        (
            ObjectId(RBAC, "ClusterRole", "", "system:admin"),
            f"_system__admin_{RBAC}_ClusterRole",
            "ClusterRole/system:admin",
        ),
        (ObjectId("g.io", "K", "n", "a_b"), "n_a_b_g.io_K", "K/n/a_b"),
    ],
)
def test_an_id_is_written_and_read(id: ObjectId, text: str, shown: str) -> None:
    assert id.inventory_id == text
    assert ObjectId.parse(text) == id
    assert str(id) == shown


@pytest.mark.parametrize("text", ["", "a_b", "a_b_c", "n__g_K", "n_x_g_"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an inventory id"):
        ObjectId.parse(text)


def manifest(kind: str, name: str, api_version: str = "v1", namespace: str = "default") -> dict:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


CONFIG, WEB = manifest("ConfigMap", "config"), manifest("Deployment", "web", "apps/v1")


def test_an_inventory_is_written_as_the_status_has_it_and_read_back() -> None:
    inventory = Inventory.of([WEB, CONFIG])
    status = inventory.to_status()
    assert [(entry.id, entry.v) for entry in status.entries] == [
        ("default_config__ConfigMap", "v1"),
        ("default_web_apps_Deployment", "v1"),
    ]
    assert Inventory.from_status(status) == inventory
    assert Inventory.from_status({"entries": [{"id": "default_config__ConfigMap", "v": "v1"}]}) == Inventory.of(
        [CONFIG]
    )
    assert Inventory.from_status(None) == Inventory.of([])
    assert Inventory.from_status(parts.Inventory(entries=[])) == Inventory.of([])


def test_inventories_add_up_and_the_newer_version_counts() -> None:
    old, new = Inventory.of([manifest("Gizmo", "g", "x.io/v1")]), Inventory.of([manifest("Gizmo", "g", "x.io/v2")])
    assert (old | new).entries == new.entries
    assert len((old | new) - old) == 0
    assert list(Inventory.of([CONFIG, WEB]) - Inventory.of([WEB])) == [ObjectId.of(CONFIG)]


def test_an_inventory_drops_what_is_seen_gone_or_meant_to_stay() -> None:
    ids = [ObjectId("", "ConfigMap", "default", name) for name in "abcde"]
    inventory = Inventory(dict.fromkeys(ids, "v1"))
    changes = ChangeSet(
        [
            Change(ids[0], "v1", "deleted"),
            Change(ids[1], "v1", "deleted", gone=False),
            Change(ids[2], "v1", "skipped"),
            Change(ids[3], "v1", "terminating", gone=False),
        ]
    )
    assert [id.name for id in inventory - changes] == ["b", "d", "e"]


def test_a_change_set_says_what_happened_line_by_line() -> None:
    changes = ChangeSet([Change(ObjectId.of(CONFIG), "v1", "unchanged"), Change(ObjectId.of(WEB), "v1", "created")])
    assert str(changes.made) == "Deployment/default/web created"
    assert str(changes) == "ConfigMap/default/config unchanged\nDeployment/default/web created"
    assert not ChangeSet().made
    assert changes.by_object() == {"ConfigMap/default/config": "unchanged", "Deployment/default/web": "created"}


def test_an_owner_is_known_by_two_labels() -> None:
    owner = Owner("apps", "web")
    assert owner.labels == {
        "kustomize.toolkit.fluxcd.io/name": "web",
        "kustomize.toolkit.fluxcd.io/namespace": "apps",
    }
    assert owner.owns({**owner.labels, "x": "y"})
    assert not owner.owns({"kustomize.toolkit.fluxcd.io/name": "web"})


@pytest.mark.parametrize(
    ("group", "kind", "stage"),
    [
        ("apiextensions.k8s.io", "CustomResourceDefinition", Stage.DEFINITIONS),
        ("", "Namespace", Stage.DEFINITIONS),
        (RBAC, "ClusterRole", Stage.DEFINITIONS),
        ("storage.k8s.io", "StorageClass", Stage.CLASSES),
        ("gateway.networking.k8s.io", "GatewayClass", Stage.CLASSES),
        ("", "Secret", Stage.REST),
        ("x.io", "Namespace", Stage.REST),
        (RBAC, "Role", Stage.CUSTOM),
    ],
)
def test_each_kind_has_its_stage(group: str, kind: str, stage: Stage) -> None:
    assert stage_of(ObjectId(group, kind, "", "x"), [(RBAC, "Role")]) is stage


def test_the_order_does_not_depend_on_where_objects_come_from() -> None:
    kinds = [
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("", "Namespace"),
        ("storage.k8s.io", "StorageClass"),
        ("", "ServiceAccount"),
        (RBAC, "Role"),
        ("", "ConfigMap"),
        ("", "Secret"),
        ("", "Service"),
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("x.io", "Gizmo"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ]
    ids = [ObjectId(group, kind, "n", name) for group, kind in kinds for name in ("a", "b")]
    shuffled = ids[::-1]
    assert sorted(shuffled, key=sort_key) == ids
