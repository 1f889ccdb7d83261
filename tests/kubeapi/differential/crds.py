"""The CRDs of the differential cases: every feature of a schema once."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]


def _string(**rest: Any) -> Manifest:
    return {"type": "string", **rest}


def _object(properties: Manifest, **rest: Any) -> Manifest:
    return {"type": "object", "properties": properties, **rest}


_PART = _object(
    {"name": _string(default="part", maxLength=20), "size": {"type": "integer", "format": "int32"}},
    required=["name"],
    **{
        "x-kubernetes-validations": [
            {"rule": "!has(self.size) || self.size <= 400", "messageExpression": "self.name + ' is too much'"},
            {
                "rule": "self.name != 'a' || !has(self.size) || self.size < 10",
                "message": "a is small",
                "reason": "FieldValueForbidden",
                "fieldPath": ".size",
            },
        ]
    },
)
_PART["required"] = []
_SPEC = _object(
    {
        "size": {"type": "integer", "minimum": 0, "maximum": 100, "exclusiveMaximum": True},
        "ratio": {"type": "number", "multipleOf": 0.5, "maximum": 1.5},
        "mode": _string(enum=["A", "B"], default="A"),
        "label": _string(pattern="^[a-z]+$", minLength=1, maxLength=20),
        "when": _string(format="date-time"),
        "address": _string(format="ipv4"),
        "flag": {"type": "boolean", "default": False},
        "name": _string(
            maxLength=30, **{"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "name is immutable"}]}
        ),
        "tags": {"type": "array", "items": _string(maxLength=10), "maxItems": 4, "x-kubernetes-list-type": "set"},
        "parts": {
            "type": "array",
            "maxItems": 10,
            "items": _PART,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "limits": {"type": "object", "additionalProperties": _string(pattern="^[0-9]+$")},
        "many": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
        "either": _object(
            {"a": {"type": "integer"}, "b": {"type": "integer"}}, oneOf=[{"required": ["a"]}, {"required": ["b"]}]
        ),
        "port": {"x-kubernetes-int-or-string": True},
        "nothing": _string(nullable=True),
        "nested": _object({"name": _string(), "depth": {"type": "integer", "default": 1}}, default={"name": "n"}),
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "object": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
    required=["size"],
    **{
        "x-kubernetes-validations": [
            {"rule": "self.size != 9", "message": "nine is not a size"},
            {"rule": "self.size >= oldSelf.size", "message": "size can't shrink", "optionalOldSelf": False},
        ]
    },
)
_STATUS = _object(
    {
        "phase": _string(enum=["Ready", "Set", "Lost"]),
        "count": {"type": "integer"},
        "conditions": {"type": "array", "items": _object({"type": _string()})},
    }
)

WIDGETS: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Widget", "plural": "widgets", "shortNames": ["wd"]},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": _object(
                        {"spec": _SPEC, "status": _STATUS},
                        required=["spec"],
                        **{
                            "x-kubernetes-validations": [
                                {
                                    "rule": "self.metadata.name.size() <= 10",
                                    "message": "the name is too long for a widget",
                                }
                            ]
                        },
                    )
                },
                "subresources": {"status": {}},
            },
            {
                "name": "v1alpha1",
                "served": True,
                "storage": False,
                "deprecated": True,
                "schema": {
                    "openAPIV3Schema": _object(
                        {"spec": _object({"size": {"type": "integer"}, "old": _string()}), "status": _STATUS}
                    )
                },
                "subresources": {"status": {}},
            },
        ],
    },
}

CLUSTER_WIDGETS: Manifest = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "clusterwidgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "ClusterWidget", "plural": "clusterwidgets"},
        "scope": "Cluster",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": _object(
                        {
                            "spec": _object(
                                {
                                    "a": {"type": "integer"},
                                    "b": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                }
                            )
                        }
                    )
                },
            }
        ],
    },
}
