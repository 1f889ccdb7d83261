"""Sets of fields, in the very form in which managedFields carries them (FieldsV1), and the algebra on them.

A set is a dict from path elements to the set of what is below: {"f:data": {"f:key": {}}}. A node that is {} is a
member; a node that has children is a member too when it has the key ".". The root is never a member. Every function
here returns a set and changes none, so parts of sets are shared freely.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

FieldSet = dict[str, Any]

LEAF: FieldSet = {}
"""A member without children. Shared by all sets: never change it."""
SELF = "."


def is_member(node: FieldSet) -> bool:
    """Whether a node (not the root) is itself in its set."""
    return not node or SELF in node


def as_member(node: FieldSet) -> FieldSet:
    """The node, itself in the set too."""
    return node if not node or SELF in node else {SELF: LEAF, **node}


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in either set."""
    if not other or one is other:
        return one
    if not one:
        return other
    out = dict(one)
    for key, node in other.items():
        mine = out.get(key)
        out[key] = node if mine is None else _union_nodes(mine, node)
    return out


def _union_nodes(one: FieldSet, other: FieldSet) -> FieldSet:
    if not one:
        return as_member(other)
    if not other:
        return as_member(one)
    return union(one, other)


def intersection(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in both sets."""
    out: FieldSet = {}
    if len(other) < len(one):
        one, other = other, one
    for key, node in one.items():
        match = other.get(key)
        if match is None or key == SELF:
            continue
        below = intersection(node, match) if node and match else LEAF
        both = is_member(node) and is_member(match)
        if both or below:
            out[key] = as_member(below) if both else below
    return out


def difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and not in `other`; a parent and its child are different members."""
    if not other or not one:
        return one
    out: FieldSet = {}
    for key, node in one.items():
        match = other.get(key)
        if match is None:
            out[key] = node
        elif key != SELF:
            member = is_member(node) and not is_member(match)
            below = difference(_below(node), _below(match))
            if member or below:
                out[key] = as_member(below) if member else below
    return out


def recursive_difference(one: FieldSet, other: FieldSet) -> FieldSet:
    """What is in `one` and neither in `other` nor below a member of it."""
    if not other or not one:
        return one
    out: FieldSet = {}
    for key, node in one.items():
        match = other.get(key)
        if match is None:
            out[key] = node
        elif key != SELF and not is_member(match):
            below = recursive_difference(_below(node), match)
            if is_member(node) or below:
                out[key] = as_member(below) if is_member(node) else below
    return out


def _below(node: FieldSet) -> FieldSet:
    if SELF in node:
        return {key: value for key, value in node.items() if key != SELF}
    return node


def is_subset(one: FieldSet, other: FieldSet) -> bool:
    """Whether all members of `one` are members of `other`."""
    for key, node in one.items():
        if key == SELF:
            continue
        match = other.get(key)
        if match is None or (is_member(node) and not is_member(match)) or not is_subset(node, match):
            return False
    return True


def has(fields: FieldSet, path: tuple[str, ...]) -> bool:
    """Whether the field at `path` (path elements such as "f:data") is a member."""
    for element in path:
        below = fields.get(element)
        if below is None:
            return False
        fields = below
    return is_member(fields)


def paths(fields: FieldSet, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All members: those of a level before those of the levels below it, each in order."""
    elements = sorted(key for key in fields if key != SELF)
    for element in elements:
        if is_member(fields[element]):
            yield (*prefix, element)
    for element in elements:
        if fields[element]:
            yield from paths(fields[element], (*prefix, element))


def ordered(fields: FieldSet) -> FieldSet:
    """The same set with its keys in order, as it is written."""
    return {key: ordered(fields[key]) if fields[key] else LEAF for key in sorted(fields)}


def text(path: tuple[str, ...]) -> str:
    """A path as messages show it: .spec.ports[port=80,protocol="TCP"].name"""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    kind, _, rest = element.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return "[" + ",".join(f"{key}={_value_text(value)}" for key, value in sorted(json.loads(rest).items())) + "]"
    if kind == "v":
        return f"[={_value_text(json.loads(rest))}]"
    return f"[{rest}]"


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, separators=(",", ":"))


def canonical(fields: Any, depth: int = 0) -> FieldSet:
    """A set as a client sent it, with its elements spelled as this module spells them; unknown kinds of elements go.

    ValueError when it is not a set.
    """
    if not isinstance(fields, dict):
        raise ValueError("fieldsV1 must be a JSON object of JSON objects")
    if depth > 200:
        raise ValueError("fieldsV1 is nested too deeply")
    out: FieldSet = {}
    for key, node in fields.items():
        if key == SELF:
            if depth:
                out[SELF] = LEAF
            continue
        if len(key) < 2 or key[1] != ":":
            raise ValueError(f"missing colon: {key}")
        kind, rest = key[0], key[2:]
        if kind in "kv":
            key = f"{kind}:{dumps(json.loads(rest))}"
        elif kind == "i":
            key = f"i:{int(rest)}"
        elif kind != "f":
            continue
        below = canonical(node, depth + 1)
        if below or not node:
            out[key] = below
    return {} if depth and out.keys() == {SELF} else out


def dumps(value: Any) -> str:
    """JSON as the element of a path has it: keys in order, no spaces, <, > and & escaped."""
    encoded = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if "<" in encoded or ">" in encoded or "&" in encoded:
        encoded = encoded.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return encoded
