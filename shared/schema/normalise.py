"""What the types of the built-in kinds make of a manifest: unknown fields go, wrong types are named.

Kinds that aren't built in pass unchanged: only their CRD, which the server has, knows them.
"""

from __future__ import annotations

from typing import Any

from shared.schema.catalog import lookup
from shared.schema.node import Schema

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def normalise(manifest: dict[str, Any]) -> list[str]:
    """Removes from `manifest`, in place, the fields that its built-in kind doesn't have, at any depth.

    Returns what is of the wrong type, each as ".path: expected string, got map"; the value is left as it is.
    """
    api_version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        return []
    schema = lookup(api_version, kind)
    if schema is None:
        return []
    problems: list[str] = []
    _walk(manifest, schema, "", problems)
    return problems


def _walk(value: Any, schema: Schema, path: str, problems: list[str]) -> None:
    if value is None or (
        schema.name == QUANTITY and isinstance(value, (int, float, str)) and not isinstance(value, bool)
    ):
        return
    expected = EXPECTED.get(schema.type)
    if schema.int_or_string:
        if not isinstance(value, (int, str)) or isinstance(value, bool):
            problems.append(f"{path}: expected integer or string, got {kind_of(value)}")
        return
    if schema.name == QUANTITY:
        problems.append(f"{path}: expected quantity, got {kind_of(value)}")
        return
    if expected is None:
        return
    if not isinstance(value, expected) or (isinstance(value, bool) and schema.type != "boolean"):
        problems.append(f"{path or '.'}: expected {EXPECTED_WORD.get(schema.type, schema.type)}, got {kind_of(value)}")
    elif isinstance(value, dict):
        _walk_object(value, schema, path, problems)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            _walk(item, schema.items, f"{path}[{index}]", problems)


def _walk_object(value: dict[str, Any], schema: Schema, path: str, problems: list[str]) -> None:
    properties, additional = schema.properties, schema.additional_properties
    if not properties and additional is None:
        return
    for key in list(value):
        child = properties.get(key)
        if child is None and isinstance(additional, Schema):
            child = additional
        if child is not None:
            _walk(value[key], child, f"{path}.{key}", problems)
        elif additional is None or additional is False:
            del value[key]


def kind_of(value: Any) -> str:
    """The word for a JSON value's type in messages."""
    if isinstance(value, bool):
        return "boolean"
    for kind, word in ((str, "string"), (int, "integer"), (float, "number"), (dict, "map"), (list, "list")):
        if isinstance(value, kind):
            return word
    return "null"


EXPECTED: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}
EXPECTED_WORD = {"object": "map", "array": "list"}
