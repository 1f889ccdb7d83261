"""A CRD's schema of one version as a tree of nodes: what each says of a value, and what it holds below.

What a node says never changes. Its `has_` flags say whether anything below has defaults, rules, typed lists or embedded
objects, so that a walk stays out of what can't concern it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.crd import formats, patterns

Raw = Mapping[str, Any]

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
META_FIELDS = frozenset({"apiVersion", "kind", "metadata"})
MAX_DEPTH = 200
"""Levels of a schema, at most."""


class SchemaTooDeep(ValueError):
    """A schema nests more than MAX_DEPTH levels."""


class Node:
    """One schema node, ready for walking."""

    __slots__ = (
        "additional",
        "all_of",
        "any_of",
        "compiled",
        "default",
        "embedded",
        "enum",
        "exclusive_maximum",
        "exclusive_minimum",
        "forbids_additional",
        "format",
        "has_defaults",
        "has_embedded",
        "has_lists",
        "has_mixed",
        "has_rules",
        "int_or_string",
        "is_format",
        "items",
        "list_keys",
        "list_type",
        "map_type",
        "max_items",
        "max_length",
        "max_properties",
        "maximum",
        "min_items",
        "min_length",
        "min_properties",
        "minimum",
        "multiple_of",
        "not_",
        "nullable",
        "one_of",
        "pattern",
        "preserve",
        "properties",
        "raw",
        "required",
        "rules",
        "type",
        "types",
        "unique_items",
    )

    def __init__(self, raw: Raw, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise SchemaTooDeep(f"the schema nests more than {MAX_DEPTH} levels")
        self.raw = raw
        get = raw.get
        self.type: str = get("type") or ""
        self.int_or_string = bool(get("x-kubernetes-int-or-string"))
        self.types: tuple[str, ...] = ("integer", "string") if self.int_or_string else (self.type,) if self.type else ()
        self.nullable = bool(get("nullable"))
        self.preserve = bool(get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(get("x-kubernetes-embedded-resource"))
        self.list_type: str = get("x-kubernetes-list-type") or ""
        self.list_keys: tuple[str, ...] = tuple(get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = get("x-kubernetes-map-type") or ""
        self.default: Any = get("default")
        self.compiled: Any = None
        """What the readers of the rules made of them."""
        self.rules: tuple[Raw, ...] = tuple(get("x-kubernetes-validations") or ())
        self._read_values(raw)
        self._read_children(raw, depth + 1)

    def _read_values(self, raw: Raw) -> None:
        get = raw.get
        self.format = formats.known(get("format") or "", self.types)
        self.is_format = formats.CHECKS.get(self.format.replace("-", "")) if self.format else None
        pattern = get("pattern")
        self.pattern: tuple[str, patterns.Pattern] | None = (pattern, patterns.compiled(pattern)) if pattern else None
        self.enum: tuple[Any, ...] | None = tuple(get("enum") or ()) or None
        self.min_length, self.max_length = get("minLength"), get("maxLength")
        self.min_items, self.max_items = get("minItems"), get("maxItems")
        self.unique_items = bool(get("uniqueItems"))
        self.min_properties, self.max_properties = get("minProperties"), get("maxProperties")
        self.minimum, self.maximum = get("minimum"), get("maximum")
        self.exclusive_minimum, self.exclusive_maximum = bool(get("exclusiveMinimum")), bool(get("exclusiveMaximum"))
        self.multiple_of = get("multipleOf")
        self.required: tuple[str, ...] = tuple(get("required") or ())

    def _read_children(self, raw: Raw, depth: int) -> None:
        declared: Mapping[str, Raw] = raw.get("properties") or {}
        self.properties: dict[str, Node] = {name: Node(one, depth) for name, one in declared.items()}
        additional = raw.get("additionalProperties")
        self.additional: Node | bool | None = (
            Node(additional, depth) if isinstance(additional, Mapping) else True if additional else None
        )
        self.forbids_additional = additional is False
        items = raw.get("items")
        self.items: Node | None = Node(items, depth) if isinstance(items, Mapping) else None
        self.all_of = tuple(Node(one, depth) for one in raw.get("allOf") or ())
        self.any_of = tuple(Node(one, depth) for one in raw.get("anyOf") or ())
        self.one_of = tuple(Node(one, depth) for one in raw.get("oneOf") or ())
        negated = raw.get("not")
        self.not_: Node | None = Node(negated, depth) if isinstance(negated, Mapping) else None
        below = [*self.properties.values()]
        below += [one for one in (self.additional, self.items) if isinstance(one, Node)]
        self.has_defaults: bool = any(one.default is not None or one.has_defaults for one in below)
        self.has_mixed: bool = (self.preserve and bool(below)) or any(one.has_mixed for one in below)
        self.has_lists: bool = self.list_type in ("set", "map") or any(one.has_lists for one in below)
        self.has_embedded: bool = self.embedded or any(one.has_embedded for one in below)
        self.has_rules: bool = bool(self.rules) or any(one.has_rules for one in (*below, *self.all_of))

    def child(self, name: str) -> Node | None:
        """The node of a field or key; None when nothing is said of it."""
        found = self.properties.get(name)
        if found is None and isinstance(self.additional, Node):
            return self.additional
        return found


def for_merging(raw: Raw, root: bool = True) -> dict[str, Any]:
    """The schema as server-side apply reads it: with the fields that every object, and an embedded one, has."""
    out = dict(raw)
    declared = raw.get("properties")
    if declared:
        out["properties"] = {name: for_merging(one, False) for name, one in declared.items()}
    if root or raw.get("x-kubernetes-embedded-resource"):
        out["properties"] = {
            **out.get("properties", {}),
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": META},
        }
        out.setdefault("type", "object")
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), Mapping):
            out[key] = for_merging(raw[key], False)
    return out
