"""Lists of type set or map: no element, and no key, may come twice."""

from __future__ import annotations

from typing import Any

from kubeapi.crd.structural import Node
from kubeapi.errors import Cause
from kubeapi.validation import causes


def check(value: Any, node: Node, path: str = "") -> list[Cause]:
    """One cause for each element that is there again."""
    found: list[Cause] = []
    _walk(value, node, path, found)
    return found


def _walk(value: Any, node: Node, path: str, found: list[Cause]) -> None:
    if not node.has_lists:
        return
    if isinstance(value, dict):
        for key, child in value.items():
            below = node.properties.get(key)
            if below is not None:
                _walk(child, below, f"{path}.{key}" if path else key, found)
            elif isinstance(node.additional, Node):
                _walk(child, node.additional, f"{path}[{key}]", found)
    elif isinstance(value, list):
        if node.list_type == "set":
            found += [causes.duplicate(f"{path}[{index}]", value[index]) for index in _repeated(value)]
        elif node.list_type == "map":
            found += _check_map(value, node, path)
        if node.items is not None:
            for index, child in enumerate(value):
                _walk(child, node.items, f"{path}[{index}]", found)


def _check_map(value: list[Any], node: Node, path: str) -> list[Cause]:
    for index, one in enumerate(value):
        if one is not None and not isinstance(one, dict):
            detail = "must be an object for an array of list-type map"
            return [causes.invalid(f"{path}[{index}]", one, detail)]
    keys = [{name: one[name] for name in node.list_keys if name in one} if one else {} for one in value]
    return [causes.duplicate(f"{path}[{index}]", keys[index]) for index in _repeated(keys)]


def _repeated(values: list[Any]) -> list[int]:
    """Where values stand that were seen once before: each is reported once."""
    seen: dict[str, int] = {}
    out = []
    for index, value in enumerate(values):
        key = causes.marshal(value)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] == 2:
            out.append(index)
    return out
