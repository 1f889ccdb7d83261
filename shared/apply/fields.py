"""Who owns which fields: `metadata.managedFields` and the field sets (`fieldsV1`) in it.

A field set is a tree: `f:name` a field, `k:{…}` a list item by its keys, `v:…` an item of a set, `i:n` one by its
place, `.` the node itself. All of this is pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

Fields: TypeAlias = dict[str, Any]
Entry: TypeAlias = dict[str, Any]
"""One entry of managedFields: manager, operation, apiVersion, time, fieldsType, fieldsV1, subresource."""


def entries_of(manifest: Mapping[str, Any]) -> list[Entry]:
    found = (manifest.get("metadata") or {}).get("managedFields")
    return found if isinstance(found, list) else []


def own(entries: Iterable[Entry], manager: str) -> Entry | None:
    """The entry of what `manager` applied."""
    for entry in entries:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return entry
    return None


def digest(fields: Fields) -> bytes:
    """A short hash of a field set, equal for equal sets in whatever order they are written."""
    canonical = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(canonical, digest_size=16).digest()


@lru_cache(maxsize=512)
def digest_of_json(text: bytes) -> bytes:
    """As digest(). An object's status changes more often than our field set: the same text comes again and again."""
    return digest(orjson.loads(text))


def union(one: Fields, other: Fields) -> Fields:
    """The fields that are in either set."""
    result = dict(one)
    for key, child in other.items():
        known = result.get(key)
        result[key] = union(known, child) if isinstance(known, dict) and isinstance(child, dict) else child
    return result


def difference(one: Fields, other: Fields) -> Fields:
    """The fields of `one` that are not in `other`."""
    result: Fields = {}
    for key, child in one.items():
        if key not in other:
            result[key] = child
        elif child:
            rest = difference(child, other[key])
            if rest:
                result[key] = rest
    return result


def item_keys(key: str) -> dict[str, Any] | None:
    """`k:{"name":"a"}` → {"name": "a"}; None for another kind of key."""
    if not key.startswith("k:"):
        return None
    try:
        found = orjson.loads(key[2:])
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def find_item(items: list[Any], keys: Mapping[str, Any]) -> Any | None:
    """The item of a list that has these keys. A key that an item doesn't spell out may have been defaulted: such an
    item is taken when no other fits."""
    loose = None
    for item in items:
        if not isinstance(item, dict):
            continue
        if all(item.get(name) == value for name, value in keys.items()):
            return item
        named = {name for name in keys if name in item}
        if named and all(item[name] == keys[name] for name in named):
            loose = item
    return loose


def conflicting(theirs: Fields, desired: Any) -> Fields:
    """The part of another manager's set that stands in the way of `desired`: list items that desired doesn't have,
    in lists that it does have.

    A Service's port that someone renumbered is such an item: applying the desired port would add a second one of the
    same name, which the server refuses. Once the item is ours, applying removes it.
    """
    result: Fields = {}
    for key, child in theirs.items():
        if key.startswith("f:") and isinstance(desired, dict):
            value = desired.get(key[2:])
            if isinstance(value, dict | list) and isinstance(child, dict):
                found = conflicting(child, value)
                if found:
                    result[key] = found
        elif isinstance(desired, list) and (keys := item_keys(key)) is not None:
            item = find_item(desired, keys)
            if item is None:
                result[key] = child
            elif isinstance(child, dict) and (found := conflicting(child, item)):
                result[key] = found
    return result


def holds(fields: Fields, keys: Iterable[str]) -> bool:
    """Is a place, or the whole that it is a part of, in the set?"""
    for key in keys:
        if key not in fields:
            return False
        fields = fields[key]
        if not fields:
            return True
    return True


def at(fields: Fields, keys: Iterable[str]) -> Fields | None:
    """What the set has below a place: empty when it has it as a whole; None when it doesn't have it."""
    for key in keys:
        if key not in fields:
            return None
        fields = fields[key]
    return fields


def paths(fields: Fields, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys that lead to everything in the set that has nothing below it."""
    for key, child in fields.items():
        if key == ".":
            continue
        if child.keys() - {"."}:
            yield from paths(child, (*above, key))
        else:
            yield (*above, key)


def leaves(fields: Fields, path: str = "") -> Iterator[str]:
    """Every owned path, for messages and tests: `.spec.ports[k:{"port":80}].name`."""
    for key, child in fields.items():
        if key == ".":
            yield path or "."
        else:
            here = f"{path}.{key[2:]}" if key.startswith("f:") else f"{path}[{key}]"
            if child:
                yield from leaves(child, here)
            else:
                yield here
