"""Custom objects under their schema: what is taken out, filled in, refused, and what an update is not refused for."""

from __future__ import annotations

import copy

import pytest

from kubeapi.crd import Definition
from tests.kubeapi.differential.crds import WIDGETS


def definition(spec=None, status=None, **version):
    properties = {"spec": {"type": "object", **(spec or {})}, "status": {"type": "object", **(status or {})}}
    crd = copy.deepcopy(WIDGETS)
    crd["spec"]["versions"] = [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
            "subresources": {"status": {}},
            **version,
        }
    ]
    return Definition.of(crd)


def kind(**properties):
    return definition({"properties": properties}).versions["v1"]


def thing(spec=None, **rest):
    meta = {"name": "thing", "namespace": "default"}
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": meta, "spec": spec or {}, **rest}


def problems(version, new, old=None, subresource=""):
    return [str(cause) for cause in version.check(new, old, subresource)]


# -- what the server makes of a body


def test_fields_that_the_schema_lacks_are_taken_out_and_named():
    version = kind(known={"type": "string"}, map={"type": "object", "additionalProperties": {"type": "string"}})
    read, unknown = version.read(thing({"known": "a", "other": 1, "map": {"any": "x"}, "list": [1]}, extra=True))
    assert read["spec"] == {"known": "a", "map": {"any": "x"}}
    assert "extra" not in read
    assert unknown == ["extra", "spec.list", "spec.other"]


def test_unknown_fields_inside_lists_are_named_by_their_place():
    item = {"type": "object", "properties": {"a": {"type": "integer"}}}
    _, unknown = kind(items={"type": "array", "items": item}).read(thing({"items": [{"a": 1}, {"b": 2}]}))
    assert unknown == ["spec.items[1].b"]


def test_what_a_schema_preserves_stays_whatever_it_is():
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    value = {"a": {"b": [1, {"c": None}]}}
    read, unknown = kind(free=free).read(thing({"free": copy.deepcopy(value)}))
    assert read["spec"]["free"] == value
    assert unknown == []


def test_fields_that_are_declared_below_what_is_preserved_are_still_pruned():
    free = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"strict": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }
    read, unknown = kind(free=free).read(thing({"free": {"any": 1, "strict": {"a": "x", "b": "y"}}}))
    assert read["spec"]["free"] == {"any": 1, "strict": {"a": "x"}}
    assert unknown == ["spec.free.strict.b"]


def test_defaults_fill_what_is_absent_and_what_defaults_brought():
    nested = {
        "type": "object",
        "default": {},
        "properties": {"a": {"type": "integer", "default": 1}, "b": {"type": "string"}},
    }
    read, _ = kind(nested=nested).read(thing())
    assert read["spec"] == {"nested": {"a": 1}}


def test_a_default_is_copied_into_each_object():
    version = kind(list={"type": "array", "items": {"type": "string"}, "default": ["a"]})
    first, _ = version.read(thing())
    first["spec"]["list"].append("b")
    assert version.read(thing())[0]["spec"]["list"] == ["a"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {}),
        ({"type": "string", "default": "d"}, {"field": "d"}),
        ({"type": "string", "nullable": True}, {"field": None}),
        ({"type": "string", "nullable": True, "default": "d"}, {"field": None}),
    ],
)
def test_a_null_is_dropped_replaced_or_kept_as_the_schema_says(schema, expected):
    read, _ = kind(field=schema).read(thing({"field": None}))
    assert read["spec"] == expected


def test_metadata_of_embedded_objects_is_held_to_that_of_all_objects():
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    inner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "colour": "red"}, "data": {"x": "y"}}
    read, unknown = kind(object=embedded).read(thing({"object": inner}))
    assert read["spec"]["object"]["metadata"] == {"name": "a"}
    assert read["spec"]["object"]["data"] == {"x": "y"}
    assert unknown == ["spec.object.metadata.colour"]


# -- updates


def test_what_was_wrong_before_and_stays_is_not_refused():
    version = kind(label={"type": "string", "maxLength": 3}, other={"type": "integer"})
    old = thing({"label": "too long", "other": 1})
    assert problems(version, thing({"label": "too long", "other": 2}), old) == []


def test_what_changes_must_be_right():
    version = kind(label={"type": "string", "maxLength": 3})
    found = problems(version, thing({"label": "also long"}), thing({"label": "too long"}))
    assert found == ["spec.label: Too long: may not be more than 3 bytes"]


def test_an_element_of_a_keyed_list_is_compared_with_what_it_was():
    item = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "size": {"type": "integer", "maximum": 5}},
    }
    keyed = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
    version = kind(parts={"type": "array", "items": item, **keyed})
    old = thing({"parts": [{"name": "a", "size": 9}]})
    moved = thing({"parts": [{"name": "b", "size": 1}, {"name": "a", "size": 9}]})
    assert problems(version, moved, old) == []
    grown = thing({"parts": [{"name": "b", "size": 9}, {"name": "a", "size": 9}]})
    expected = "spec.parts[0].size: Invalid value: 9: spec.parts[0].size in body should be less than or equal to 5"
    assert problems(version, grown, old) == [expected]


def test_elements_of_a_plain_list_are_refused_when_the_list_changes():
    version = kind(tags={"type": "array", "items": {"type": "string", "maxLength": 1}})
    found = problems(version, thing({"tags": ["aa", "b"]}), thing({"tags": ["aa"]}))
    assert found == ["spec.tags[0]: Too long: may not be more than 1 byte"]


def test_a_list_that_repeated_itself_before_may_go_on():
    version = kind(tags={"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"})
    twice = thing({"tags": ["a", "a"]})
    assert problems(version, twice) == ['spec.tags[1]: Duplicate value: "a"']
    assert problems(version, thing({"tags": ["a", "a", "b"]}), twice) == []


def test_a_status_write_is_held_to_the_schema_of_the_status_only():
    version = definition(
        {"properties": {"size": {"type": "integer"}}}, {"properties": {"phase": {"type": "string"}}}
    ).versions["v1"]
    live = thing({"size": "wrong"}, status={"phase": "A"})
    new = thing({"size": "wrong"}, status={"phase": 5})
    assert problems(version, new, live, "status") == [
        'status.phase: Invalid value: "integer": phase in body must be of type string: "integer"'
    ]


# -- alternatives and limits


def test_of_alternatives_that_all_fail_the_closest_one_is_reported():
    either = [
        {"properties": {"a": {"minimum": 1}, "b": {"minimum": 1}}, "required": ["a", "b"]},
        {"properties": {"a": {"minimum": 1}, "b": {"minimum": 10}}, "required": ["a", "b"]},
    ]
    properties = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    version = kind(value={"type": "object", "properties": properties, "anyOf": either})
    found = problems(version, thing({"value": {"a": 5, "b": 0}}))
    assert found == [
        '<nil>: Invalid value: "": "spec.value" must validate at least one schema (anyOf)',
        "spec.value.b: Invalid value: 0: spec.value.b in body should be greater than or equal to 1",
    ]


def test_true_is_not_one():
    version = kind(number={"type": "integer", "enum": [1]})
    assert problems(version, thing({"number": 1})) == []
    assert len(problems(version, thing({"number": True}))) == 2


def test_a_whole_number_is_an_integer_however_it_is_written():
    version = kind(number={"type": "integer"}, ratio={"type": "number"})
    assert problems(version, thing({"number": 5.0, "ratio": 3})) == []


def test_replicas_that_the_scale_subresource_shows_must_be_a_count():
    scale = {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}, "status": {}}
    schema = {"properties": {"size": {"type": "integer"}}}
    version = definition(schema, schema, subresources=scale).versions["v1"]
    assert problems(version, thing({"size": -1})) == [".spec.size: Invalid value: -1: should be a non-negative integer"]


# -- versions


def test_a_deprecated_version_warns_and_names_the_one_to_use():
    resources = {one.version: one for one in Definition.of(WIDGETS).resources}
    assert resources["v1"].deprecation_warning == ""
    assert resources["v1alpha1"].deprecation_warning == (
        "example.com/v1alpha1 Widget is deprecated; use example.com/v1 Widget"
    )


async def test_an_object_of_one_version_is_read_in_another_with_its_fields_and_defaults(api):
    await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", WIDGETS)
    base = "/apis/example.com/%s/namespaces/default/widgets"
    await api.until(base % "v1", lambda found: found)
    body = {"apiVersion": "example.com/v1alpha1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 2}}
    await api.post(base % "v1alpha1", {**body, "spec": {"size": 2, "old": "gone"}})
    stored = await api.get(f"{base % 'v1'}/a")
    assert stored["apiVersion"] == "example.com/v1"
    assert stored["spec"] == {"size": 2, "mode": "A", "flag": False, "nested": {"name": "n", "depth": 1}}
    assert (await api.get(f"{base % 'v1alpha1'}/a"))["spec"] == {"size": 2}
