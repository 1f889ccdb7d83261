"""What patches leave of nulls, unknown fields and numbers with a needless fraction, as a real API server keeps it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubeapi.admission_kit import Manifest, Target, of

KEYED = {"type": "object", "required": ["k"], "properties": {"k": {"type": "number"}, "v": {"type": "string"}}}
SPEC: dict[str, Any] = {
    "number": {"type": "number"},
    "whole": {"type": "integer"},
    "rows": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"a": {"type": "string", "nullable": True}, "b": {"type": "integer"}},
        },
    },
    "free": {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"known": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    },
    "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": KEYED},
    "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "number"}},
}


class Gizmos:
    """A custom resource of the test's own."""

    def __init__(self, target: Target) -> None:
        self.target = target
        group = f"g{secrets.token_hex(3)}.example.com"
        self.api_version = f"{group}/v1"
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": SPEC}}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        names = {"kind": "Gizmo", "plural": "gizmos"}
        spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
        target.have(of("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"gizmos.{group}", spec=spec))
        target.eventually(lambda: target.create(self.of(), "?dryRun=All"), 201)

    def of(self, name: str = "a", **spec: Any) -> Manifest:
        return of(self.api_version, "Gizmo", name, spec=spec)

    def create(self, **spec: Any) -> None:
        self.target.have(self.of(**spec))

    def merge(self, **spec: Any) -> Any:
        reply = self.target.patch(self.of(), {"spec": spec})
        assert reply.code == 200, reply.body
        return reply.body

    def apply(self, query: str = "&force=true", **spec: Any) -> Any:
        return self.target.apply(self.of(**spec), "applier", query)

    def owned(self, manager: str = "applier") -> Any:
        entries = self.target.get(self.of()).body["metadata"]["managedFields"]
        return next(one["fieldsV1"]["f:spec"] for one in entries if one["manager"] == manager)


@pytest.fixture
def gizmos(target: Target) -> Iterator[Gizmos]:
    made = Gizmos(target.namespace())
    yield made
    made.target.delete(made.of())


def test_a_merge_patch_leaves_no_nulls_in_the_objects_of_a_list(gizmos: Gizmos) -> None:
    gizmos.create(number=1)
    assert gizmos.merge(rows=[{"a": None, "b": 1}])["spec"]["rows"] == [{"b": 1}]
    rows = gizmos.merge(free={"list": [{"q": None, "r": [None, 1]}]})["spec"]["free"]["list"]
    assert rows == [{"r": [None, 1]}]


def test_what_is_declared_below_free_fields_has_no_unknown_ones(gizmos: Gizmos) -> None:
    gizmos.create(free={"known": {"x": 1, "odd": 2}, "other": {"k": 1}})
    assert gizmos.target.get(gizmos.of()).body["spec"] == {"free": {"known": {"x": 1}, "other": {"k": 1}}}
    applied = gizmos.apply(free={"known": {"odd": 1}, "more": 1})
    assert applied.code == 200
    assert applied.body["spec"]["free"] == {"known": {"x": 1}, "other": {"k": 1}, "more": 1}
    assert gizmos.owned() == {"f:free": {"f:known": {"f:odd": {}}, "f:more": {}}}


def test_a_number_with_a_needless_fraction_is_another_generation_of_the_same_number(gizmos: Gizmos) -> None:
    gizmos.create(number=5, whole=5)
    changed = gizmos.merge(number=5.0)
    assert changed["metadata"]["generation"] == 2
    changed = gizmos.merge(whole=1e3)
    assert changed["metadata"]["generation"] == 3
    stored = gizmos.target.get(gizmos.of()).body
    assert repr(stored["spec"]) in ("{'number': 5, 'whole': 1000}", "{'whole': 1000, 'number': 5}")
    assert gizmos.merge(number=5)["metadata"]["generation"] == 3


def test_the_keys_of_lists_are_the_same_numbers_however_they_are_written(gizmos: Gizmos) -> None:
    gizmos.create(map=[{"k": 5.0, "v": "a"}, {"k": 1.5, "v": "b"}], set=[1.0, 2.5])
    applied = gizmos.apply(map=[{"k": 5, "v": "c"}], set=[1])
    assert applied.body["spec"]["map"] == [{"k": 5, "v": "c"}, {"k": 1.5, "v": "b"}]
    assert gizmos.owned() == {
        "f:map": {'k:{"k":5}': {".": {}, "f:k": {}, "f:v": {}}},
        "f:set": {"v:1": {}},
    }
    conflict = gizmos.target.apply(gizmos.of(map=[{"k": 5.0, "v": "d"}]), "other")
    assert conflict.code == 409
    assert conflict.message.endswith(": .spec.map[k=5].v")
    twice = gizmos.apply(map=[{"k": 5.0, "v": "d"}, {"k": 5, "v": "e"}])
    assert twice.code == 500
    assert twice.message.endswith(".spec.map: duplicate entries for key [k=5]")
