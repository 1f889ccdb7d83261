"""A schema as a tree that is resolved while it is walked: built-in kinds (with references) and CRD schemas (without).

A Schema never changes once made and is shared by everyone who looks the same type up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Raw = Mapping[str, Any]
Find = Callable[[str], "Schema"]

_NOTHING: Mapping[str, Schema] = MappingProxyType({})


def _no_references(name: str) -> Schema:
    raise LookupError(f"schema refers to {name}, and this schema may not have references")


class Schema:
    """One node: what the OpenAPI schema `raw` says of a value.

    `name` is the type's full name for a named type ("io.k8s.api.core.v1.PodSpec"), otherwise "". `memo` belongs to the
    readers of schemas: what they worked out from this node, under a key of their own.
    """

    __slots__ = (
        "_additional",
        "_find",
        "_items",
        "_properties",
        "default",
        "embedded",
        "enum",
        "format",
        "go",
        "has_default",
        "int_or_string",
        "list_map_keys",
        "list_type",
        "map_type",
        "memo",
        "name",
        "nullable",
        "patch_merge_key",
        "patch_strategy",
        "preserve_unknown",
        "raw",
        "required",
        "type",
    )

    def __init__(self, raw: Raw, find: Find = _no_references, name: str = "") -> None:
        self.raw = raw
        self.name = name
        self._find = find
        self._properties: Mapping[str, Schema] | None = None
        self._items: Schema | None = None
        self._additional: Schema | None = None
        self.memo: dict[str, Any] = {}
        get = raw.get
        self.type: str = get("type", "")
        self.format: str = get("format", "")
        self.has_default: bool = "default" in raw
        self.default: Any = get("default")
        self.required: tuple[str, ...] = tuple(get("required") or ())
        self.enum: tuple[Any, ...] = tuple(get("enum") or ())
        self.nullable: bool = bool(get("nullable"))
        self.int_or_string: bool = self.format == "int-or-string" or bool(get("x-kubernetes-int-or-string"))
        self.preserve_unknown: bool = bool(get("x-kubernetes-preserve-unknown-fields"))
        self.embedded: bool = bool(get("x-kubernetes-embedded-resource"))
        self.list_type: str = get("x-kubernetes-list-type") or ""
        self.list_map_keys: tuple[str, ...] = tuple(get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = get("x-kubernetes-map-type") or ""
        self.patch_merge_key: str = get("x-kubernetes-patch-merge-key") or ""
        self.patch_strategy: tuple[str, ...] = tuple(
            filter(None, (get("x-kubernetes-patch-strategy") or "").split(","))
        )
        self.go: str = get("x-go") or ""
        """How Go writes the field, built-in kinds only: see shared.schema.generate.GoTags."""

    @property
    def properties(self) -> Mapping[str, Schema]:
        """The declared fields; empty when there are none."""
        if self._properties is None:
            declared = self.raw.get("properties")
            self._properties = {key: self._child(value) for key, value in declared.items()} if declared else _NOTHING
        return self._properties

    @property
    def items(self) -> Schema | None:
        """The schema of a list's elements."""
        if self._items is None:
            declared = self.raw.get("items")
            if isinstance(declared, Mapping):
                self._items = self._child(declared)
        return self._items

    @property
    def additional_properties(self) -> Schema | bool | None:
        """The schema of a map's values, True when any value will do, False when none may be, None when not said."""
        declared = self.raw.get("additionalProperties")
        if not isinstance(declared, Mapping):
            return None if declared is None else bool(declared)
        if self._additional is None:
            self._additional = self._child(declared)
        return self._additional

    def _child(self, raw: Raw) -> Schema:
        reference = raw.get("$ref")
        if reference is None:
            return Schema(raw, self._find)
        target = self._find(reference)
        own = {key: value for key, value in raw.items() if key != "$ref"}
        if not own:
            return target
        return Reference(target, own, self._find)

    def __repr__(self) -> str:
        return f"Schema({self.name or self.type or dict(self.raw)!r})"


class Reference(Schema):
    """A named type used by a field that has a default or a way of writing of its own; its children are the type's."""

    __slots__ = ("target",)

    def __init__(self, target: Schema, own: Raw, find: Find) -> None:
        super().__init__({**target.raw, **own}, find, target.name)
        self.target = target

    @property
    def properties(self) -> Mapping[str, Schema]:
        return self.target.properties

    @property
    def items(self) -> Schema | None:
        return self.target.items

    @property
    def additional_properties(self) -> Schema | bool | None:
        return self.target.additional_properties
