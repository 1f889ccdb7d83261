"""Which part of the old object a part of the new one was before: what an update didn't touch is not held against it.

Maps correlate by key, lists of type map by their elements' keys; other lists only as a whole.
"""

from __future__ import annotations

from typing import Any

from kubeapi.crd.structural import Node

_UNSEEN: Any = object()


def deep_equal(one: Any, other: Any) -> bool:
    """Equality of JSON values in which true is not 1."""
    if one is other:
        return True
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(deep_equal(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(deep_equal, one, other))
    return type(one) is type(other) and bool(one == other)


def keyed(values: Any, node: Node) -> dict[tuple[Any, ...], Any]:
    """The elements of a list of type map by their keys; nothing for another list."""
    if node.list_type != "map" or not isinstance(values, list):
        return {}
    found: dict[tuple[Any, ...], Any] = {}
    for one in values:
        if isinstance(one, dict):
            found.setdefault(key_of(one, node), one)
    return found


def key_of(value: dict[str, Any], node: Node) -> tuple[Any, ...]:
    out: list[Any] = []
    for name in node.list_keys:
        given = value.get(name)
        if given is None and node.items is not None and name in node.items.properties:
            given = node.items.properties[name].default
        out.append(repr(given) if isinstance(given, (dict, list, bool)) else given)
    return tuple(out)


class Correlation:
    """A value, what it was, and the schema by which its parts correlate."""

    __slots__ = ("_by_key", "_equal", "new", "node", "old")

    def __init__(self, new: Any, old: Any, node: Node) -> None:
        self.new, self.old, self.node = new, old, node
        self._equal: bool | None = None
        self._by_key: dict[tuple[Any, ...], Any] | None = None

    def unchanged(self) -> bool:
        if self._equal is None:
            self._equal = deep_equal(self.new, self.old)
        return self._equal

    def key(self, name: str) -> Correlation | None:
        old, new = self.old, self.new
        if not isinstance(old, dict) or not isinstance(new, dict) or name not in old or name not in new:
            return None
        below = self.node.child(name)
        return None if below is None else Correlation(new[name], old[name], below)

    def index(self, position: int) -> Correlation | None:
        if not isinstance(self.new, list) or self.node.items is None:
            return None
        if self._by_key is None:
            self._by_key = keyed(self.old, self.node)
        value = self.new[position]
        if not self._by_key or not isinstance(value, dict):
            return None
        old = self._by_key.get(key_of(value, self.node), _UNSEEN)
        return None if old is _UNSEEN else Correlation(value, old, self.node.items)
