"""CEL rules of a CRD: when they are asked, what they see, what they say."""

from __future__ import annotations

import pytest

from kubeapi.crd import rules
from kubeapi.crd.correlate import Correlation
from kubeapi.crd.structural import Node


def node(*declared, properties=None, kind="object", **rest):
    listed = [{"rule": one} if isinstance(one, str) else one for one in declared]
    return Node({"type": kind, "properties": properties or {}, "x-kubernetes-validations": listed, **rest})


def found(schema, new, old=None):
    correlation = Correlation(new, old, schema) if old is not None else None
    return [str(cause) for cause in rules.check(new, old, schema, correlation)]


NUMBER = {"a": {"type": "integer"}}


def test_a_rule_without_a_message_is_its_own():
    assert found(node("self.a > 3", properties=NUMBER), {"a": 3}) == ["<nil>: Invalid value: failed rule: self.a > 3"]


def test_a_message_may_be_an_expression():
    rule = {"rule": "self.name != 'x'", "messageExpression": "'no ' + self.name", "message": "spare"}
    assert found(node(rule, properties={"name": {"type": "string"}}), {"name": "x"}) == ["<nil>: Invalid value: no x"]


@pytest.mark.parametrize("expression", ["self.name.nope", "1", "'a\\nb'", "''"])
def test_the_spare_message_stands_in_for_an_expression_that_makes_none(expression):
    rule = {"rule": "false", "messageExpression": expression, "message": "spare"}
    assert found(node(rule, properties={"name": {"type": "string"}}), {"name": "x"}) == ["<nil>: Invalid value: spare"]


def test_a_rule_names_the_field_and_the_reason():
    rule = {"rule": "false", "message": "no", "fieldPath": ".a", "reason": "FieldValueForbidden"}
    assert found(node(rule, properties=NUMBER), {"a": 1}) == ["a: Forbidden: no"]


def test_a_transition_rule_is_asked_only_of_updates():
    schema = node({"rule": "self.a >= oldSelf.a", "message": "down"}, properties=NUMBER)
    assert found(schema, {"a": 1}) == []
    assert found(schema, {"a": 1}, {"a": 2}) == ["<nil>: Invalid value: down"]
    assert found(schema, {"a": 3}, {"a": 2}) == []


def test_a_transition_rule_may_ask_whether_there_is_an_old_value():
    rule = {
        "rule": "oldSelf.hasValue() ? self.a > oldSelf.value().a : self.a == 1",
        "optionalOldSelf": True,
        "message": "m",
    }
    schema = node(rule, properties=NUMBER)
    assert found(schema, {"a": 1}) == []
    assert found(schema, {"a": 2}) == ["<nil>: Invalid value: m"]
    assert found(schema, {"a": 3}, {"a": 2}) == []


def test_the_name_oldself_in_a_text_makes_no_transition_rule():
    schema = node({"rule": "self.name != 'oldSelf'", "message": "m"}, properties={"name": {"type": "string"}})
    assert found(schema, {"name": "oldSelf"}) == ["<nil>: Invalid value: m"]


def test_what_an_update_leaves_is_not_held_against_it():
    inner = {
        "type": "object",
        "properties": NUMBER,
        "x-kubernetes-validations": [{"rule": "self.a > 3", "message": "m"}],
    }
    schema = Node({"type": "object", "properties": {"kept": inner, "other": {"type": "integer"}}})
    old = {"kept": {"a": 1}, "other": 1}
    assert found(schema, {"kept": {"a": 1}, "other": 2}, old) == []
    assert found(schema, {"kept": {"a": 2}, "other": 1}, old) == ["kept: Invalid value: m"]


def test_names_that_are_no_identifiers_are_escaped():
    properties = {"a-b": {"type": "string"}, "in": {"type": "string"}, "x.y/z": {"type": "string"}}
    schema = node(
        "self.a__dash__b == '1' && self.__in__ == '2' && self.x__dot__y__slash__z == '3'", properties=properties
    )
    assert found(schema, {"a-b": "1", "in": "2", "x.y/z": "3"}) == []


def test_of_the_metadata_only_the_names_are_there():
    schema = Node(
        {"type": "object", "x-kubernetes-validations": [{"rule": "has(self.metadata.labels)", "message": "m"}]}
    )
    manifest = {"metadata": {"name": "a", "labels": {"x": "y"}}}
    assert found(schema, manifest) == ["<nil>: Invalid value: m"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("self.when < timestamp('2026-01-01T00:00:00Z')", {"when": "2025-12-31T23:59:59Z"}),
        ("self.when.getFullYear() == 2025", {"when": "2025-12-31T23:59:59Z"}),
        ("self.day > timestamp('2025-01-01T00:00:00Z')", {"day": "2025-01-02"}),
        ("self.how_long <= duration('1h')", {"how_long": "59m"}),
        ("!has(self.when) || self.when != timestamp('2025-01-01T00:00:00Z')", {}),
        ("self.ratio * 2.0 == 6.0", {"ratio": 3}),
        ("self.either == 5 || self.either == 'five'", {"either": "five"}),
    ],
)
def test_values_have_the_types_that_the_schema_says(text, value):
    properties = {
        "when": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "how_long": {"type": "string", "format": "duration"},
        "ratio": {"type": "number"},
        "either": {"x-kubernetes-int-or-string": True},
    }
    assert found(node(text, properties=properties), value) == []


def test_a_rule_that_cannot_be_evaluated_refuses_and_says_why():
    schema = node({"rule": "self.map['none'] == 'x'", "message": "m"}, properties={"map": {"type": "object"}})
    assert found(schema, {"map": {}}) == ['<nil>: Invalid value: "object": no such key: none evaluating rule: m']


def test_rules_reach_into_lists_and_maps():
    item = {"type": "integer", "x-kubernetes-validations": [{"rule": "self != 2", "message": "two"}]}
    properties = {"list": {"type": "array", "items": item}, "map": {"type": "object", "additionalProperties": item}}
    schema = Node({"type": "object", "properties": properties})
    assert found(schema, {"list": [1, 2], "map": {"k": 2}}) == [
        "list[1]: Invalid value: 2: two",
        "map[k]: Invalid value: 2: two",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("self.a == 1", ""),
        ("self.b == 1", "ERROR: <input>:1:5: undefined field 'b'\n | self.b == 1\n | ....^"),
        ("self.a == 1 &&\n self.c", "ERROR: <input>:2:6: undefined field 'c'\n |  self.c\n | .....^"),
        ("self.list.all(x, x == 1)", ""),
        ("self.free.anything == 1", ""),
        ("'self.b' == 'self.b'", ""),
    ],
)
def test_a_field_that_no_object_has_is_found_before_there_is_one(text, expected):
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {**NUMBER, "list": {"type": "array", "items": {"type": "integer"}}, "free": free}
    assert rules.undefined(text, node(properties=properties)) == expected
