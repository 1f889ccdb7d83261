"""JSON patches (RFC 6902), as lenient as upstream: `replace` of a missing key adds it, `-1` is the last item."""

from __future__ import annotations

import json
import re
from typing import Any

from shared.text import yaml

from .errors import BuildError
from .limits import MOST_COPIED, Allowance, values_in
from .scalars import copy

_INDEX = re.compile(r"[-+]?[0-9]{1,18}\Z")
_PRECISE = 2**53
Operation = dict[str, Any]


def parse(patch: str) -> list[Operation]:
    """The operations of a patch written as JSON or YAML. BuildError when it is no list of mappings."""
    try:
        if patch.startswith("["):
            try:
                data = json.loads(patch, parse_constant=_no_constant)
            except ValueError as error:
                raise BuildError(f"the JSON patch cannot be read: {error}") from error
        else:
            data = yaml.load(patch)
    except (yaml.YAMLError, RecursionError) as error:
        raise BuildError(f"the JSON patch cannot be read: {error}") from error
    if data is None:
        return []
    if not isinstance(data, list) or not all(isinstance(op, dict) for op in data):
        raise BuildError("a JSON patch must be a list of operations")
    return data


def _no_constant(name: str) -> Any:
    raise BuildError(f"the JSON patch cannot be read: {name} is no number")


def apply(value: Any, operations: list[Operation], allowance: Allowance) -> Any:
    """The value with the operations done, in order. It is changed in place as far as possible.

    allowance: how many values `copy` operations may still add, here and wherever else the patch is applied.
    """
    for number, operation in enumerate(operations):
        try:
            value = _Step(value, operation, allowance).run()
        except BuildError as error:
            raise error.at(field=f"operation {number}") from error
    return _json_numbers(value)


def _json_numbers(value: Any) -> Any:
    """What a trip through JSON makes of numbers: beyond 2**53 they lose digits."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict | list) or type(item) is int:
                value[key] = _json_numbers(item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list) or type(item) is int:
                value[index] = _json_numbers(item)
    elif type(value) is int and not -_PRECISE <= value <= _PRECISE:
        return int(float(value))
    return value


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


class _Step:
    def __init__(self, root: Any, operation: Operation, allowance: Allowance) -> None:
        self.root = root
        self.operation = operation
        self.allowance = allowance

    def run(self) -> Any:
        op, path = self.operation.get("op"), self._pointer("path")
        if op == "add":
            self._add(path, copy(self.operation.get("value")))
        elif op == "replace":
            self._replace(path, copy(self.operation.get("value")))
        elif op == "remove":
            self._remove(path)
        elif op == "move":
            source = self._pointer("from")
            moved = self._get(source)
            self._remove(source)
            self._add(path, moved)
        elif op == "copy":
            found = self._get(self._pointer("from"))
            self.allowance.take(values_in(found, MOST_COPIED))
            self._add(path, copy(found))
        elif op == "test":
            self._test(path)
        else:
            raise BuildError(f"op must be add, remove, replace, move, copy or test, not {op!r}")
        return self.root

    def _pointer(self, field: str) -> str:
        pointer = self.operation.get(field)
        if not isinstance(pointer, str):
            raise BuildError(f"{field} must be a JSON pointer")
        return pointer

    def _owner(self, pointer: str) -> tuple[Any, str]:
        parts = _parts(pointer)
        if not parts:
            raise BuildError(f"{pointer!r} is not a JSON pointer: it must begin with /")
        node = self.root
        for part in parts[:-1]:
            if isinstance(node, dict):
                node = node.get(part)
            else:
                node = node[self._index(node, part)] if isinstance(node, list) else None
            if not isinstance(node, dict | list):
                raise BuildError(f"{pointer}: there is nothing at {part!r}")
        if not isinstance(node, dict | list):
            raise BuildError(f"{pointer}: there is nothing to look into")
        return node, parts[-1]

    def _index(self, items: list[Any], part: str, *, size: int | None = None) -> int:
        size = len(items) if size is None else size
        if not _INDEX.match(part):
            raise BuildError(f"{part!r} is not an index of a list")
        index = int(part)
        if not -size <= index < size:
            raise BuildError(f"the index {index} is not in the list of {len(items)} items")
        return index + size if index < 0 else index

    def _get(self, pointer: str) -> Any:
        owner, part = self._owner(pointer)
        if isinstance(owner, list):
            return owner[self._index(owner, part)]
        if part not in owner:
            raise BuildError(f"{pointer}: there is nothing")
        return owner[part]

    def _add(self, pointer: str, value: Any) -> None:
        owner, part = self._owner(pointer)
        if isinstance(owner, dict):
            owner[part] = value
        elif part == "-":
            owner.append(value)
        else:
            owner.insert(self._index(owner, part, size=len(owner) + 1), value)

    def _replace(self, pointer: str, value: Any) -> None:
        if pointer == "":
            self.root = value
            return
        owner, part = self._owner(pointer)
        owner[self._index(owner, part) if isinstance(owner, list) else part] = value

    def _remove(self, pointer: str) -> None:
        owner, part = self._owner(pointer)
        if isinstance(owner, list):
            del owner[self._index(owner, part)]
        elif part not in owner:
            raise BuildError(f"{pointer}: there is nothing to remove")
        else:
            del owner[part]

    def _test(self, pointer: str) -> None:
        wanted = self.operation.get("value")
        if pointer == "":
            found = self.root
        else:
            owner, part = self._owner(pointer)
            found = owner[self._index(owner, part)] if isinstance(owner, list) else owner.get(part)
        if not _equal(found, wanted):
            raise BuildError(f"{pointer}: the test failed, the value is another one")


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
