"""What a schema doesn't know is taken out, and what it has defaults for is filled in. Values are changed in place."""

from __future__ import annotations

import copy
from typing import Any

from kubeapi.crd.structural import META_FIELDS, Node

Unknown = list[str]


def prune(obj: dict[str, Any], root: Node) -> Unknown:
    """Take fields out of an object that its schema doesn't have; gives their paths, sorted."""
    unknown: Unknown = []
    _map(obj, root, "", unknown, True)
    unknown.sort()
    return unknown


def _map(value: dict[str, Any], node: Node | None, path: str, unknown: Unknown, embedded: bool) -> None:
    prefix = f"{path}." if path else ""
    if node is None:
        unknown += [prefix + key for key in value]
        value.clear()
        return
    properties, additional, preserve = node.properties, node.additional, node.preserve
    gone: list[str] = []
    for key, child in value.items():
        if embedded and key in META_FIELDS:
            continue
        below = properties.get(key)
        if below is None:
            if additional is None:
                if not preserve:
                    gone.append(key)
                continue
            below = additional if isinstance(additional, Node) else None
        if isinstance(child, dict):
            _map(child, below, prefix + key, unknown, below is not None and below.embedded)
        elif isinstance(child, list):
            _list(child, below, prefix + key, unknown)
    for key in gone:
        unknown.append(prefix + key)
        del value[key]


def _list(value: list[Any], node: Node | None, path: str, unknown: Unknown) -> None:
    items = node.items if node is not None else None
    if items is None and node is not None and node.preserve:
        return
    for index, child in enumerate(value):
        if isinstance(child, dict):
            _map(child, items, f"{path}[{index}]", unknown, items is not None and items.embedded)
        elif isinstance(child, list):
            _list(child, items, f"{path}[{index}]", unknown)


def drop_nulls(value: Any, node: Node | None) -> None:
    """Take out nulls that the schema neither allows nor replaces by a default."""
    if isinstance(value, dict):
        gone = []
        for key, child in value.items():
            below = node.child(key) if node is not None else None
            if child is None:
                if below is not None and not below.nullable and below.default is None:
                    gone.append(key)
            elif isinstance(child, (dict, list)):
                drop_nulls(child, below)
        for key in gone:
            del value[key]
    elif isinstance(value, list):
        below = node.items if node is not None else None
        for child in value:
            if isinstance(child, (dict, list)):
                drop_nulls(child, below)


def default(value: Any, node: Node) -> None:
    """Fill in the defaults of absent fields, and of nulls where the schema allows none."""
    if isinstance(value, dict):
        properties, additional = node.properties, node.additional
        for key, below in properties.items():
            wanted = below.default
            if wanted is not None and (key not in value or (value[key] is None and not below.nullable)):
                value[key] = copy.deepcopy(wanted) if isinstance(wanted, (dict, list)) else wanted
        for key, child in value.items():
            found = properties.get(key)
            if found is None and isinstance(additional, Node):
                found = additional
                if child is None and not found.nullable:
                    child = value[key] = copy.deepcopy(found.default)
            if found is not None and found.has_defaults and child is not None:
                default(child, found)
    elif isinstance(value, list) and node.items is not None:
        items = node.items
        for index, child in enumerate(value):
            if child is None and not items.nullable:
                child = value[index] = copy.deepcopy(items.default)
            if items.has_defaults:
                default(child, items)
