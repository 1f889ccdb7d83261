"""What Go makes of an empty value of a built-in type: the fields that are written although nobody set them.

A real API server keeps built-in objects as Go structs, so an object of them always has, for example, `status: {}`.
How each field is written stands in the schema (`Schema.go`, see shared.schema.generate.GoTags).
"""

from __future__ import annotations

from typing import Any

from shared.schema import Schema

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
TIMES = frozenset(
    {"io.k8s.apimachinery.pkg.apis.meta.v1.Time", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime"},
)
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"
SCALAR_ZEROES: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def always_written(schema: Schema) -> dict[str, Any]:
    """The fields of a built-in struct that are written even when empty, with what is written then. Don't change it."""
    found: dict[str, Any] | None = schema.memo.get("zero")
    if found is None:
        found = {}
        for name, field in schema.properties.items():
            go = field.go
            if not go or "z" in go or ("o" in go and go[0] != "v"):
                continue
            found[name] = zero_of(field)
        schema.memo["zero"] = found
    return found


def zero_of(field: Schema) -> Any:
    """How Go writes the zero value of a field."""
    kind = field.go[:1]
    if kind == "s":
        return SCALAR_ZEROES.get(field.type, "")
    if kind != "v":
        return None
    if field.name == QUANTITY:
        return "0"
    if field.name == INT_OR_STRING:
        return 0
    if field.name in TIMES or field.name == RAW_EXTENSION or not field.properties:
        return None if field.name in TIMES or field.name == RAW_EXTENSION or field.type != "object" else {}
    return always_written(field)
