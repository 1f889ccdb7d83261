"""Reading configuration: plain values checked against a description of what may be where.

Field names ignore case, null means "not given", and every mismatch becomes a Problem with the path of the field.
Two ways of reading exist, as upstream has them: a kustomization file is read strictly (unknown fields are errors, a
number is no text), the configuration of a transformer leniently (unknown fields are ignored, a number becomes text).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import Problem
from .scalars import text

INT_LIMIT = 2**63


class Shape:
    """What a value must look like."""

    __slots__ = ()


class Scalar(Shape):
    """A single value."""

    __slots__ = ("type",)

    def __init__(self, type_: str) -> None:
        self.type = type_
        """text, bool, int or any."""


class ListOf(Shape):
    """A list of items that all look the same."""

    __slots__ = ("item",)

    def __init__(self, item: Shape) -> None:
        self.item = item


class MapOf(Shape):
    """A mapping with any keys, whose values all look the same."""

    __slots__ = ("item",)

    def __init__(self, item: Shape) -> None:
        self.item = item


class Struct(Shape):
    """A mapping with known fields."""

    __slots__ = ("fields", "folded")

    def __init__(self, fields: Mapping[str, Shape]) -> None:
        self.fields = dict(fields)
        self.folded = {name.lower(): name for name in self.fields}


TEXT, BOOL, INT, ANY = Scalar("text"), Scalar("bool"), Scalar("int"), Scalar("any")
TEXTS, TEXT_MAP = ListOf(TEXT), MapOf(TEXT)

_NAMES = {"text": "text", "bool": "true or false", "int": "a whole number"}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, dict) else "a list"


class Reader:
    """Reads one document; `problems` gathers what does not fit."""

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.problems: list[Problem] = []

    def _wrong(self, path: str, expected: str, value: Any) -> None:
        self.problems.append(Problem(f"expected {expected}, found {_kind(value)}", field=path))

    def read(self, value: Any, shape: Shape, path: str = "") -> Any:
        """The value in canonical form: known field names, nothing null. None when it is null or wrong."""
        if value is None:
            return None
        if isinstance(shape, Struct):
            return self._struct(value, shape, path)
        if isinstance(shape, ListOf):
            if not isinstance(value, list):
                self._wrong(path, "a list", value)
                return None
            items = [self.read(item, shape.item, f"{path}[{index}]") for index, item in enumerate(value)]
            return [_zero(shape.item) if item is None else item for item in items]
        if isinstance(shape, MapOf):
            if not isinstance(value, dict):
                self._wrong(path, "a mapping", value)
                return None
            read = {key: self.read(item, shape.item, f"{path}.{key}" if path else key) for key, item in value.items()}
            return {key: _zero(shape.item) if item is None else item for key, item in read.items()}
        assert isinstance(shape, Scalar)
        return self._scalar(value, shape, path)

    def _scalar(self, value: Any, shape: Scalar, path: str) -> Any:
        if shape.type == "any":
            return value
        if shape.type == "text":
            if isinstance(value, str):
                return value
            if not self.strict and isinstance(value, bool | int | float):
                return text(value)
        elif shape.type == "bool":
            if isinstance(value, bool):
                return value
        elif isinstance(value, int) and not isinstance(value, bool) and -INT_LIMIT <= value < INT_LIMIT:
            return value
        self._wrong(path, _NAMES[shape.type], value)
        return None

    def _struct(self, value: Any, shape: Struct, path: str) -> Any:
        if not isinstance(value, dict):
            self._wrong(path, "a mapping", value)
            return None
        found: dict[str, Any] = {}
        for key in sorted(value):
            name = key if key in shape.fields else shape.folded.get(key.lower())
            where = f"{path}.{key}" if path else key
            if name is None:
                if self.strict:
                    self.problems.append(Problem("unknown field: check its spelling and its indentation", field=where))
                continue
            item = self.read(value[key], shape.fields[name], where)
            if item is not None:
                found[name] = item
        return found


def _zero(shape: Shape) -> Any:
    if isinstance(shape, Struct | MapOf):
        return {}
    if isinstance(shape, ListOf):
        return []
    assert isinstance(shape, Scalar)
    return {"text": "", "bool": False, "int": 0, "any": None}[shape.type]
