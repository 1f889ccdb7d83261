"""Is a live object what is desired? Told from the object and our field set."""

from __future__ import annotations

from typing import Any

import pytest

from shared.apply import errors
from shared.apply.diff import first_difference, parse_quantity, same
from shared.apply.fields import conflicting, difference, leaves, union
from shared.apply.identity import Owner
from shared.apply.prepare import prepared
from shared.apply.takeover import Predecessors, patch, patch_versions
from shared.kube.errors import Invalid


def port(number: int, protocol: str = "TCP") -> str:
    return f'k:{{"containerPort":{number},"protocol":"{protocol}"}}'


@pytest.mark.parametrize(
    ("desired", "live", "ours", "expected"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, {"f:a": {}}, None),
        ({"a": 1}, {"a": 2}, {"f:a": {}}, ".a"),
        ({"a": 1}, {}, {"f:a": {}}, ".a"),
        ({"a": 1}, {"a": 1}, {}, ".a"),  # somebody else's
        ({}, {"a": 1}, {"f:a": {}}, ".a"),  # left the source
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, {"f:a": {"f:b": {}}}, None),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, {"f:a": {".": {}, "f:b": {}, "f:c": {}}}, ".a.c"),
        ({"status": {"x": 1}, "kind": "K"}, {}, {}, None),
        ({"a": ["x", "y"]}, {"a": ["x", "y"]}, {"f:a": {}}, None),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, {"f:a": {}}, ".a"),
        ({"a": ["x"]}, {"a": ["y", "x"]}, {"f:a": {'v:"x"': {}}}, None),
        ({"a": ["x", "z"]}, {"a": ["y", "x"]}, {"f:a": {'v:"x"': {}}}, ".a[1]"),
        (
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP"}]},
            {"f:ports": {port(80): {".": {}, "f:containerPort": {}, "f:protocol": {}}}},
            None,
        ),
        (
            {"ports": [{"containerPort": 80}]},
            {"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81, "protocol": "TCP"}]},
            {"f:ports": {port(80): {"f:containerPort": {}}, port(81): {"f:containerPort": {}}}},
            f".ports[{port(81)}]",
        ),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, {"f:limits": {"f:cpu": {}}}, None),
        ({"data": {"cpu": "1000m"}}, {"data": {"cpu": "1"}}, {"f:data": {"f:cpu": {}}}, ".data.cpu"),
        ({"a": {}}, {"a": None}, {"f:a": {}}, None),
    ],
)
def test_the_first_difference(desired: Any, live: Any, ours: Any, expected: str | None) -> None:
    assert first_difference(desired, live, ours) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("1Gi", "1073741824"),
        ("0.5", "0.5"),
        (2, "2"),
        ("1e3", "1000"),
        ("2E", "2e18"),
        ("1Ei", "1152921504606846976"),
    ],
)
def test_quantities(text: Any, number: str) -> None:
    found = parse_quantity(text)
    assert found is not None
    assert float(found) == float(number)


@pytest.mark.parametrize("text", ["", "x", "1x", "1.2.3", True, None])
def test_what_is_no_quantity(text: Any) -> None:
    assert parse_quantity(text) is None


def test_values_are_the_same_in_what_they_say() -> None:
    assert same({"a": None}, {})
    assert same([1, 2.0], [1.0, 2])
    assert not same(True, 1)
    assert not same("1", 1)


def test_field_sets_are_added_and_taken_apart() -> None:
    one, other = {"f:a": {"f:b": {}}, "f:x": {}}, {"f:a": {"f:c": {}}}
    assert sorted(leaves(union(one, other))) == [".a.b", ".a.c", ".x"]
    assert difference(union(one, other), other) == one


def test_list_items_in_the_way_are_found() -> None:
    theirs = {"f:spec": {"f:ports": {'k:{"port":81}': {"f:port": {}}, 'k:{"port":80}': {"f:name": {}}}, "f:type": {}}}
    desired = {"spec": {"ports": [{"port": 80}]}}
    assert conflicting(theirs, desired) == {"f:spec": {"f:ports": {'k:{"port":81}': {"f:port": {}}}}}


def test_a_takeover_makes_one_entry_of_two_and_guards_the_state_it_saw() -> None:
    ours = {"manager": "ours", "operation": "Apply", "apiVersion": "v1", "fieldsV1": {"f:a": {}}}
    theirs = {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:b": {}}}
    foreign = {"manager": "operator", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:c": {}}}
    live = {"metadata": {"resourceVersion": "7", "managedFields": [ours, theirs, foreign]}}
    guard, replaced = patch(live, Predecessors("ours"))
    assert guard == {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"}
    assert replaced["value"] == [foreign, {**ours, "fieldsV1": {"f:a": {}, "f:b": {}}}]
    assert patch({"metadata": {"managedFields": [ours, foreign]}}, Predecessors("ours")) == []


def test_entries_are_written_in_a_newer_version() -> None:
    live = {"metadata": {"resourceVersion": "7", "managedFields": [{"manager": "ours", "apiVersion": "x.io/v1"}]}}
    assert patch_versions(live, "x.io/v2")[1]["value"] == [{"manager": "ours", "apiVersion": "x.io/v2"}]
    assert patch_versions(live, "x.io/v1") == []


# What is sent


OWNER = Owner("apps", "web")


def test_what_is_sent_has_the_labels_and_nothing_of_the_servers() -> None:
    given = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "creationTimestamp": None, "resourceVersion": "7", "labels": {"a": "b"}},
        "data": {"x": None},
        "status": {"x": "y"},
        "unknown": 1,
    }
    sent, problems = prepared(given, OWNER)
    assert problems == []
    assert sent == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "c", "labels": {"a": "b", **OWNER.labels}},
        "data": {"x": ""},
    }
    assert given["metadata"]["labels"] == {"a": "b"}


def test_plain_secret_strings_are_sent_as_data() -> None:
    sent, _ = prepared(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}, OWNER
    )
    assert sent["data"] == {"a": "Yg=="}
    assert "stringData" not in sent


def test_ports_get_the_protocol_that_is_their_key() -> None:
    spec = {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}
    sent, _ = prepared({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}, OWNER)
    assert [port["protocol"] for port in sent["spec"]["ports"]] == ["TCP", "UDP"]


def test_custom_resources_keep_their_nulls_and_unknown_fields() -> None:
    given = {"apiVersion": "x.io/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"a": None, "b": 1}}
    assert prepared(given, OWNER)[0]["spec"] == {"a": None, "b": 1}


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ({"data": {"a": 1}}, ".data.a: expected string, got integer"),
        ({"metadata": {"name": "c", "labels": {"a": True}}}, ".metadata.labels.a: expected string, got bool"),
        ({"metadata": {"name": "c", "annotations": ["a"]}}, ".metadata.annotations: expected map"),
    ],
)
def test_wrong_types_are_named(manifest: dict[str, Any], problem: str) -> None:
    _, problems = prepared({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, **manifest}, OWNER)
    assert any(found.startswith(problem) for found in problems), problems


# What is said


SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "namespace": "n"},
    "data": {"k": "aHVudGVyMg=="},
}


@pytest.mark.parametrize(
    "said", ['data: Invalid value: "hunter2": bad', "it holds aHVudGVyMg== and more", "x hunter2 y"]
)
def test_a_secrets_values_are_hidden(said: str) -> None:
    message = errors.of_apply(SECRET, Invalid(said)).message
    assert message.startswith("Secret/n/s dry-run failed (Invalid): ")
    assert "hunter2" not in message
    assert "aHVudGVyMg" not in message


@pytest.mark.parametrize(
    ("message", "is_immutable"),
    [
        ("data: Forbidden: field is immutable when `immutable` is set", True),
        ("spec.selector: Invalid value: {}: field is immutable", True),
        ("spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden", True),
        ("roleRef: Invalid value: {}: cannot change roleRef", True),
        ("spec.clusterIP: Invalid value: []: may not change once set", True),
        ("spec.replicas: Invalid value: -1: must be greater than or equal to 0", False),
    ],
)
def test_refusals_that_only_a_new_object_can_answer(message: str, is_immutable: bool) -> None:
    assert errors.is_immutable(Invalid(message)) is is_immutable
