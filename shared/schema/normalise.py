"""What the types of the built-in kinds make of a manifest: unknown fields go, wrong types are named.

Kinds that aren't built in pass unchanged: only their CRD, which the server has, knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    return list(_problems(manifest, schema))


class _Plan(NamedTuple):
    """What a schema says of a value, as far as it matters here: worked out once for each schema."""

    expected: tuple[type, ...]
    """Types that are right; none when all are."""
    word: str
    """What they are called."""
    fields: Mapping[str, Schema] | None
    """The declared fields of a map; None when all fields stay."""
    others: Schema | bool | None
    """What the other fields are, True when they may be anything; else they go."""
    items: Schema | None


def _plan(schema: Schema) -> _Plan:
    known: _Plan | None = schema.memo.get(_Plan.__name__)
    if known is None:
        known = schema.memo[_Plan.__name__] = _made(schema)
    return known


def _made(schema: Schema) -> _Plan:
    if schema.int_or_string:
        return _Plan((int, str), "integer or string", None, None, None)
    if schema.name == QUANTITY:
        return _Plan((int, float, str), "quantity", None, None, None)
    expected = EXPECTED.get(schema.type, ())
    word = EXPECTED_WORD.get(schema.type, schema.type)
    others = schema.additional_properties
    fields = schema.properties if schema.type == "object" and (schema.properties or others is not None) else None
    return _Plan(expected, word, fields, others, schema.items if schema.type == "array" else None)


def _problems(value: Any, schema: Schema) -> Sequence[str]:
    """What is wrong with a value, with the path from it on; mostly nothing is. Its unknown fields are removed."""
    expected, word, fields, others, items = _plan(schema)
    if value is None or not expected:
        return ()
    kind = value.__class__
    if kind not in expected:
        return [f": expected {word}, got {kind_of(value)}"]
    problems: list[str] = []
    if kind is dict:
        if fields is not None:
            for key in list(value):
                child = fields.get(key)
                if child is None:
                    if others is True:
                        continue
                    if not others:
                        del value[key]
                        continue
                    child = others
                if found := _problems(value[key], child):
                    problems += [f".{key}{problem}" for problem in found]
    elif kind is list and items is not None:
        for index, item in enumerate(value):
            if found := _problems(item, items):
                problems += [f"[{index}]{problem}" for problem in found]
    return problems


def kind_of(value: Any) -> str:
    """The word for a JSON value's type in messages."""
    if isinstance(value, bool):
        return "boolean"
    for kind, word in ((str, "string"), (int, "integer"), (float, "number"), (dict, "map"), (list, "list")):
        if isinstance(value, kind):
            return word
    return "null"


EXPECTED: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}
EXPECTED_WORD = {"object": "map", "array": "list"}
