"""What storing does to an object of a built-in kind: a list or map that is empty comes back as none at all.

A real API server keeps built-in objects as protobuf, which doesn't tell an empty list from an absent one. It shows only
where a field is written even when there is nothing in it, as a Role's rules are: they become null.
"""

from __future__ import annotations

from typing import Any

from shared.schema import Schema

Below = dict[str, Any]


def hollow(manifest: dict[str, Any], schema: Schema | None) -> None:
    """Make what is empty null, in place, where the schema says that it is written nevertheless."""
    if schema is not None:
        _walk(manifest, _fields(schema))


def _fields(schema: Schema) -> Below:
    """The fields on the way to such lists and maps: None for one of them, else (is it a list, the fields below)."""
    found: Below | None = schema.memo.get("hollow")
    if found is None:
        found = schema.memo["hollow"] = {}
        for name, field in schema.properties.items():
            if name == "metadata":
                continue
            if field.go[:1] in ("l", "m") and "o" not in field.go and "z" not in field.go:
                found[name] = None
            inner = field.items if field.type == "array" else field
            if inner is not None and inner.properties and (below := _fields(inner)) and name not in found:
                found[name] = below
    return found


def _walk(value: Any, below: Below) -> None:
    for name, fields in below.items():
        child = value.get(name)
        if child is None:
            continue
        if fields is None:
            if not child:
                value[name] = None
        elif isinstance(child, list):
            for one in child:
                if isinstance(one, dict):
                    _walk(one, fields)
        elif isinstance(child, dict):
            _walk(child, fields)
