"""Server-side apply: what becomes of an object and of its owners."""

from __future__ import annotations

import copy

import pytest

from kubeapi import fields
from kubeapi.errors import StatusError
from shared import schema

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"


def configmap(data=None, **metadata):
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "app", "namespace": "default", **metadata},
    }
    return manifest if data is None else {**manifest, "data": data}


def service(*ports, **spec):
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}}
    return {**manifest, "spec": {"ports": list(ports), **spec}}


def apply(live, applied, manager="flux", *, force=False, now=THEN, **options):
    before = copy.deepcopy((live, applied))
    node = schema.lookup(applied["apiVersion"], applied["kind"])
    version = applied["apiVersion"]
    try:
        return fields.apply(live, applied, manager, force=force, schema=node, now=now, api_version=version, **options)
    finally:
        assert (live, applied) == before


def update(live, new, manager="kubectl", *, now=THEN, **options):
    before = copy.deepcopy((live, new))
    node = schema.lookup(new["apiVersion"], new["kind"])
    out = fields.updated(live, new, manager, schema=node, now=now, **options)
    assert (live, new) == before
    return out


def owners(manifest):
    return {entry["manager"]: entry["fieldsV1"] for entry in manifest["metadata"].get("managedFields", [])}


def entry(manifest, manager):
    return next(one for one in manifest["metadata"]["managedFields"] if one["manager"] == manager)


def test_an_applier_owns_what_it_applied_and_no_identity():
    live = apply(None, configmap({"key": "value"}, labels={"app": "web"}))
    assert live["data"] == {"key": "value"}
    assert live["metadata"]["managedFields"] == [
        {
            "manager": "flux",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": THEN,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:key": {}}, "f:metadata": {"f:labels": {"f:app": {}}}},
        }
    ]


def test_applying_the_same_again_gives_the_live_object_itself():
    live = apply(None, configmap({"key": "value"}))
    assert apply(live, configmap({"key": "value"}), now=NOW) is live


def test_two_appliers_that_agree_share_a_field():
    live = apply(None, configmap({"key": "value"}))
    live = apply(live, configmap({"key": "value"}), "helm", now=NOW)
    assert owners(live) == {"flux": {"f:data": {"f:key": {}}}, "helm": {"f:data": {"f:key": {}}}}
    assert "time" not in entry(live, "helm")
    live = apply(live, configmap({}), "helm", now=NOW)
    assert live["data"] == {"key": "value"}


def test_changing_what_another_owns_is_a_conflict():
    live = update(None, configmap({"key": "value"}))
    with pytest.raises(fields.Conflict) as conflict:
        apply(live, configmap({"key": "other"}))
    assert conflict.value.code == 409
    assert conflict.value.message == 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data.key'
    [cause] = conflict.value.causes
    assert (cause.reason, cause.message, cause.field) == (
        "FieldManagerConflict",
        'conflict with "kubectl" using v1',
        ".data.key",
    )


def test_several_conflicts_are_listed_by_manager():
    live = update(None, configmap({"a": "1", "b": "1"}))
    live = apply(live, configmap({"c": "1"}), "helm")
    with pytest.raises(fields.Conflict) as conflict:
        apply(live, configmap({"a": "2", "b": "2", "c": "2"}))
    assert conflict.value.message == (
        'Apply failed with 3 conflicts: conflicts with "helm":\n- .data.c\n'
        'conflicts with "kubectl" using v1:\n- .data.a\n- .data.b'
    )


def test_force_takes_the_field_over():
    live = update(None, configmap({"key": "value", "other": "value"}))
    live = apply(live, configmap({"key": "new"}), force=True, now=NOW)
    assert live["data"] == {"key": "new", "other": "value"}
    assert owners(live) == {"flux": {"f:data": {"f:key": {}}}, "kubectl": {"f:data": {".": {}, "f:other": {}}}}


def test_a_field_no_longer_applied_goes_unless_another_owns_it():
    live = apply(None, configmap({"mine": "1", "shared": "1"}))
    live = apply(live, configmap({"shared": "1"}), "helm")
    live = apply(live, configmap({}), now=NOW)
    assert live["data"] == {"shared": "1"}
    assert owners(live) == {"flux": {"f:data": {}}, "helm": {"f:data": {"f:shared": {}}}}


def test_a_manager_that_applies_nothing_any_more_is_forgotten():
    live = apply(None, configmap({"mine": "1"}))
    live = apply(live, configmap(), now=NOW)
    assert not live.get("data")
    assert owners(live) == {}


def test_ports_are_told_apart_by_port_and_the_default_protocol():
    live = apply(None, service({"port": 80, "name": "http"}))
    port = {".": {}, "f:name": {}, "f:port": {}}
    assert owners(live)["flux"]["f:spec"]["f:ports"] == {'k:{"port":80,"protocol":"TCP"}': port}
    live = apply(live, service({"port": 80, "name": "web", "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}))
    assert [(one["port"], one.get("protocol")) for one in live["spec"]["ports"]] == [(80, "TCP"), (80, "UDP")]
    live = apply(live, service({"port": 443}))
    assert live["spec"]["ports"] == [{"port": 443}]


def test_a_list_item_applied_twice_is_refused():
    with pytest.raises(fields.Invalid) as invalid:
        apply(None, service({"port": 80}, {"port": 80, "name": "again"}))
    assert invalid.value.message == (
        "failed to create typed patch object (default/web; /v1, Kind=Service): "
        '.spec.ports: duplicate entries for key [port=80,protocol="TCP"]'
    )


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (configmap({"key": 1}), ".data.key: expected string, got &value.valueUnstructured{Value:1}"),
        (configmap({"key": True}), ".data.key: expected string, got &value.valueUnstructured{Value:true}"),
        (configmap(["a"]), ".data: expected map, got &{[a]}"),
        ({**configmap(), "immutable": "yes"}, ".immutable: expected boolean, got &{yes}"),
        ({**configmap(), "color": "red"}, ".color: field not declared in schema"),
        (service(ports="http"), ".spec.ports: expected list, got &{http}"),
        (
            service({"port": "http"}),
            '.spec.ports[port="http",protocol="TCP"].port: expected numeric (int or float), got string',
        ),
    ],
)
def test_what_the_schema_does_not_allow_is_named(manifest, problem):
    with pytest.raises(StatusError) as invalid:
        apply(None, manifest)
    assert invalid.value.code == 500
    assert invalid.value.message.endswith(f"): {problem}")


def test_an_atomic_map_has_one_owner():
    live = apply(None, service({"port": 80}, selector={"app": "web"}))
    assert owners(live)["flux"]["f:spec"]["f:selector"] == {}
    with pytest.raises(fields.Conflict):
        apply(live, service({"port": 80}, selector={"app": "web", "tier": "front"}), "helm")


def test_null_owns_the_field_and_leaves_the_others_items():
    live = apply(None, configmap({"key": "value"}))
    live = apply(live, configmap() | {"data": None}, "helm")
    assert live["data"] == {"key": "value"}
    assert owners(live)["helm"] == {"f:data": {}}


def test_items_both_have_come_in_the_order_of_the_apply():
    live = update(None, service({"port": 1}, {"port": 2}, {"port": 3}, {"port": 4}))
    live = apply(live, service({"port": 3}, {"port": 5}, {"port": 1}))
    assert [port["port"] for port in live["spec"]["ports"]] == [2, 3, 4, 5, 1]


def test_an_object_from_before_managed_fields_belongs_to_a_placeholder():
    live = configmap({"key": "value"}, uid="1")
    with pytest.raises(fields.Conflict) as conflict:
        apply(live, configmap({"key": "other"}))
    assert '"before-first-apply" using v1' in conflict.value.message
    live = apply(live, configmap({"key": "other"}), force=True)
    assert owners(live) == {"flux": {"f:data": {"f:key": {}}}, "before-first-apply": {"f:data": {}}}


def test_the_main_resource_owns_no_status_and_status_no_spec():
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 1},
        "status": {"replicas": 1},
    }
    assert owners(apply(None, manifest)) == {"flux": {"f:spec": {"f:replicas": {}}}}
    live = {**manifest, "metadata": {**manifest["metadata"], "uid": "1"}}
    live = apply(live, manifest, subresource="status", force=True)
    [mine] = [one for one in live["metadata"]["managedFields"] if one["manager"] == "flux"]
    assert mine["fieldsV1"] == {"f:status": {"f:replicas": {}}}
    assert mine["subresource"] == "status"


def test_entries_of_a_version_that_is_gone_are_dropped():
    live = apply(None, configmap({"key": "value"}))
    old = {**entry(live, "flux"), "manager": "old", "apiVersion": "v0"}
    live["metadata"]["managedFields"].append(old)
    assert set(owners(apply(live, configmap({"key": "new"}), now=NOW))) == {"flux"}


def test_another_version_or_own_managed_fields_are_refused():
    node = schema.lookup("v1", "ConfigMap")
    with pytest.raises(StatusError) as refused:
        fields.apply(None, configmap(), "m", force=False, schema=node, now=THEN, api_version="v2")
    assert refused.value.message == "invalid object type: /v1, Kind=ConfigMap"
    with pytest.raises(StatusError) as refused:
        apply(None, configmap(managedFields=[]))
    assert refused.value.message == "metadata.managedFields must be nil"


def test_kubectl_may_take_what_it_applied_from_the_client():
    text = (
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"app","namespace":"default"},"data":{"key":"value"}}'
    )
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": text}
    live = update(None, configmap({"key": "value"}, annotations=annotation), "kubectl-client-side-apply")
    changed = apply(live, configmap({"key": "new"}), "kubectl", now=NOW)
    assert changed["data"] == {"key": "new"}
    assert '"key":"new"' in changed["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    with pytest.raises(fields.Conflict):
        apply(live, configmap({"key": "new"}), "flux")


# -- every other write --------------------------------------------------------------------------------------------


def test_an_update_owns_what_it_changed_since_then():
    live = update(None, configmap({"key": "value"}, labels={"app": "web"}))
    assert live["metadata"]["managedFields"][0]["operation"] == "Update"
    assert owners(live) == {
        "kubectl": {"f:data": {".": {}, "f:key": {}}, "f:metadata": {"f:labels": {".": {}, "f:app": {}}}}
    }
    new = {**live, "data": {"key": "value", "other": "1"}}
    live = update({**live, "metadata": {**live["metadata"], "uid": "1"}}, new, "edit", now=NOW)
    assert owners(live)["edit"] == {"f:data": {"f:other": {}}}
    assert entry(live, "edit")["time"] == NOW


def test_an_update_that_changes_nothing_keeps_the_entries():
    live = update(None, configmap({"key": "value"}, uid="1"))
    assert update(live, copy.deepcopy(live), "other", now=NOW) == live


def test_an_update_takes_changed_fields_from_their_applier():
    live = apply(None, configmap({"a": "1", "b": "1"}, uid="1"))
    live = update(live, {**live, "data": {"a": "2"}}, "edit", now=NOW)
    assert owners(live) == {"edit": {"f:data": {"f:a": {}}}}


def test_a_client_may_edit_the_entries_and_reset_them():
    live = apply(None, configmap({"key": "value"}, uid="1"))
    entries = [{**entry(live, "flux"), "manager": "kustomize-controller"}]
    moved = update(live, {**live, "metadata": {**live["metadata"], "managedFields": entries}}, now=NOW)
    assert set(owners(moved)) == {"kustomize-controller"}
    reset = update(live, {**live, "metadata": {**live["metadata"], "managedFields": []}}, now=NOW)
    assert "managedFields" not in reset["metadata"]
    reset = update(live, {**live, "metadata": {**live["metadata"], "managedFields": [{}]}}, now=NOW)
    assert "managedFields" not in reset["metadata"]


def test_entries_that_a_client_spells_otherwise_are_the_same_fields():
    live = apply(None, service({"port": 80}))
    spelled = {"f:spec": {"f:ports": {'k:{ "protocol":"TCP", "port": 80}': {".": {}, "f:port": {}}}}}
    entries = [{**entry(live, "flux"), "fieldsV1": spelled}]
    live["metadata"]["uid"] = "1"
    new = {**live, "metadata": {**live["metadata"], "managedFields": entries}}
    assert owners(update(live, new)) == owners(live)


def test_losing_the_entries_in_a_write_keeps_the_live_ones():
    live = apply(None, configmap({"key": "value"}, uid="1"))
    metadata = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    assert owners(update(live, {**live, "metadata": metadata})) == owners(live)


def test_a_write_through_a_subresource_cannot_edit_the_entries():
    live = apply(None, configmap({"key": "value"}, uid="1"))
    new = {**live, "metadata": {**live["metadata"], "managedFields": []}}
    assert owners(update(live, new, subresource="status")) == owners(live)


def test_the_oldest_updaters_become_one_entry():
    live = update(None, configmap({"k0": "0"}, uid="1"), "m0")
    for number in range(1, 14):
        new = {**live, "data": {**live["data"], f"k{number}": "0"}}
        live = update(live, new, f"m{number}", now=f"2026-01-01T00:{number:02}:00Z")
    entries = live["metadata"]["managedFields"]
    assert len(entries) == 10
    assert entries[0]["manager"] == "ancient-changes"
    assert set(entries[0]["fieldsV1"]["f:data"]) == {".", "f:k0", "f:k1", "f:k2", "f:k3", "f:k4"}


def test_a_created_custom_object_owns_its_spec_as_a_whole_too():
    node = schema.Schema(
        {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
    )
    manifest = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {"a": 1}}
    live = fields.updated(None, manifest, "kubectl", schema=node, now=THEN)
    assert owners(live) == {"kubectl": {"f:spec": {".": {}, "f:a": {}}}}


def test_settled_ignores_times_only():
    live = update(None, configmap({"key": "value"}))
    later = copy.deepcopy(live)
    later["metadata"]["managedFields"][0]["time"] = NOW
    assert fields.settled(live, later) is live
    later["data"]["key"] = "new"
    assert fields.settled(live, later) is later
