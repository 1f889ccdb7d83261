"""What a schema node means for merging: may its value be a scalar, a list, a map, and who owns what inside.

An atom allows any of the three; a value picks the one that it is. Lists are atomic (one owner for the whole) or
associative (each element has a key, or is its own key: a set); maps are atomic or granular.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kubeapi.fields.sets import dumps
from shared.schema import Schema

QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"


class KeyProblem(ValueError):
    """An element of an associative list has no usable key; the text says why."""


class Atom:
    """The merge rules of one schema node; children are worked out when first asked for."""

    __slots__ = (
        "_defaults",
        "_element",
        "_fields",
        "_inherit",
        "_item",
        "_schema",
        "is_list",
        "is_map",
        "list_atomic",
        "list_keys",
        "map_atomic",
        "scalar",
    )

    def __init__(self, schema: Schema | None, inherit: bool = False) -> None:
        self._schema = schema
        self._inherit = inherit
        self._fields: Mapping[str, Atom] | None = None
        self._element: Atom | bool | None = False
        self._item: Atom | None = None
        self._defaults: dict[str, Any] | None = None
        self.scalar: str = ""
        """"string", "numeric", "boolean", "untyped", or "" when a scalar is not allowed."""
        self.is_list = self.is_map = False
        self.list_atomic = self.map_atomic = False
        self.list_keys: tuple[str, ...] = ()
        if schema is not None:
            self._read(schema)

    def _read(self, schema: Schema) -> None:
        if schema.preserve_unknown:
            self._inherit = True
        kind = schema.type
        if schema.name == QUANTITY:
            self.scalar = "untyped"
        elif schema.name == RAW_EXTENSION:
            _as_untyped(self)
        elif kind == "string":
            self.scalar = "string" if schema.format in ("", "byte") else "untyped"
        elif kind in ("integer", "number"):
            self.scalar = "numeric"
        elif kind == "boolean":
            self.scalar = "boolean"
        else:
            if kind in ("object", ""):
                self.is_map = True
                self.map_atomic = schema.map_type == "atomic"
            if kind in ("array", ""):
                self.is_list = True
                self.list_atomic, self.list_keys = _list_rules(schema)
            if kind == "":
                self.scalar = "untyped"

    @property
    def fields(self) -> Mapping[str, Atom]:
        """The declared fields of a map."""
        if self._fields is None:
            declared = self._schema.properties if self._schema is not None else {}
            self._fields = {name: of(child, self._inherit) for name, child in declared.items()}
        return self._fields

    @property
    def element(self) -> Atom | None:
        """What undeclared fields of a map are; None when there may be none."""
        if self._element is False:
            self._element = self._read_element()
        return self._element if isinstance(self._element, Atom) else None

    def _read_element(self) -> Atom | None:
        if self._schema is None or self._schema.name == RAW_EXTENSION:
            return UNTYPED if self.map_atomic else DEDUCED
        additional = self._schema.additional_properties
        if isinstance(additional, Schema):
            return of(additional, self._inherit)
        if additional is None:
            return DEDUCED if self._inherit or not self._schema.properties else None
        return DEDUCED if additional else None

    @property
    def item(self) -> Atom:
        """What the elements of a list are."""
        if self._item is None:
            items = self._schema.items if self._schema is not None else None
            self._item = UNTYPED if items is None else of(items, self._inherit)
        return self._item

    def child(self, element: str) -> Atom | None:
        """The atom of what a path element leads to."""
        if element[0] == "f":
            return self.fields.get(element[2:]) or self.element if self.is_map else None
        return self.item if self.is_list else None

    def key_of(self, item: Any) -> str:
        """The path element of an element of this associative list. KeyProblem when it has none."""
        if not self.list_keys:
            return _set_key(item)
        if item is None:
            raise KeyProblem("associative list with keys may not have a null element")
        if not isinstance(item, dict):
            raise KeyProblem("associative list with keys may not have non-map elements")
        if self._defaults is None:
            self._defaults = {}
            for key in self.list_keys:
                declared = self.item._schema.properties.get(key) if self.item._schema is not None else None
                if declared is not None and declared.has_default:
                    self._defaults[key] = declared.default
        found = {}
        for key in self.list_keys:
            if key in item:
                found[key] = item[key]
            elif self._defaults.get(key) is not None:
                found[key] = self._defaults[key]
        if not found:
            names = "[" + " ".join(f'"{key}"' for key in self.list_keys) + "]"
            raise KeyProblem(
                f"associative list with keys has an element that omits all key fields {names}"
                " (and doesn't have default values for any key fields)"
            )
        try:
            return _key(tuple(found), *found.values())
        except TypeError:  # a key that is a list or a map
            return "k:" + dumps(found)


@lru_cache(maxsize=16384, typed=True)
def _key(names: tuple[str, ...], *values: Any) -> str:
    """The path element of these keys. Values are arguments of their own, so that the cache tells 1 from true."""
    return "k:" + dumps(dict(zip(names, values, strict=True)))


def _set_key(item: Any) -> str:
    if isinstance(item, dict):
        raise KeyProblem("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise KeyProblem("not supported: associative list with lists as elements")
    if item is None:
        raise KeyProblem("associative list without keys has an element that's an explicit null")
    return "v:" + dumps(item)


def _list_rules(schema: Schema) -> tuple[bool, tuple[str, ...]]:
    """Whether a list is atomic, and the keys of its elements otherwise."""
    if schema.list_type:
        return schema.list_type == "atomic", schema.list_map_keys if schema.list_type == "map" else ()
    if "merge" in schema.patch_strategy:
        return False, (schema.patch_merge_key,) if schema.patch_merge_key else ()
    return True, ()


def of(schema: Schema, inherit: bool = False) -> Atom:
    """The atom of a schema node; `inherit` when a parent keeps unknown fields, as inline children then do too."""
    if inherit and not schema.name:
        return Atom(schema, True)
    atom = schema.memo.get("atom")
    if atom is None:
        schema.memo["atom"] = atom = Atom(schema)
    return atom


def _as_untyped(atom: Atom) -> Atom:
    """Any value; a container is one whole."""
    atom.scalar, atom.is_list, atom.is_map = "untyped", True, True
    atom.list_atomic = atom.map_atomic = True
    return atom


UNTYPED = _as_untyped(Atom(None))
DEDUCED = _as_untyped(Atom(None))
"""Any value; maps are granular, lists are whole."""
DEDUCED.map_atomic = False
