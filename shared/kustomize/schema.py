"""What is known of kinds: which lists merge by which keys, and which kinds are not namespaced.

The built-in knowledge is the table made from Kubernetes v1.21.2; a kustomization's `openapi:` may add a document of its
own or replace the table. Callers walk a node with `field` and `items` and read its `strategy` and `keys`.
"""

from __future__ import annotations

import json
from typing import Any

from shared.text import yaml

from . import tables
from .errors import BuildError

BUILTIN_VERSION = "v1.21.2"
_STRATEGY = "x-kubernetes-patch-strategy"
_MERGE_KEY = "x-kubernetes-patch-merge-key"
_MAP_KEYS = "x-kubernetes-list-map-keys"
_KINDS = "x-kubernetes-group-version-kind"
_REF_LIMIT = 64


class Node:
    """What is known of one field."""

    strategy: str = ""
    keys: tuple[str, ...] = ()
    leads_to_merges: bool = True
    """Can a list that merges be below? When not, what a patch does not mention needs no visit."""

    def field(self, name: str) -> Node | None:
        """The node of a property; None when nothing is known."""
        return None

    def items(self) -> Node | None:
        """The node of a list's items; None when it is no list."""
        return None

    @property
    def merges(self) -> bool:
        """Is it a list whose items are merged by key (or, without keys, as a set)?"""
        return "merge" in self.strategy.split(",")


class _Plain(Node):
    """A known field below which no list merges."""

    leads_to_merges = False

    def field(self, name: str) -> Node | None:
        return self

    def items(self) -> Node | None:
        return self


PLAIN = _Plain()


class _Builtin(Node):
    """A node of the generated table."""

    __slots__ = ("_data", "_owner", "keys", "strategy")

    def __init__(self, owner: _Table, data: dict[str, Any]) -> None:
        self._owner = owner
        self._data = data
        self.strategy = data.get("s", "")
        self.keys = tuple(data.get("k", ()))

    def field(self, name: str) -> Node | None:
        number = self._data.get("p", {}).get(name, self._data.get("a"))
        return None if number is None else self._owner.node(number)

    def items(self) -> Node | None:
        number = self._data.get("i")
        return None if number is None else self._owner.node(number)


class _Table:
    """The generated table, its nodes made when they are first asked for."""

    def __init__(self) -> None:
        self.made: dict[int, Node] = {-1: PLAIN}

    def node(self, number: int) -> Node:
        found = self.made.get(number)
        if found is None:
            found = self.made[number] = _Builtin(self, tables.openapi()["nodes"][number])
        return found

    def kind(self, name: str) -> Node | None:
        number = tables.openapi()["kinds"].get(name)
        return None if number is None else self.node(number)

    def definition(self, name: str) -> Node | None:
        number = tables.openapi()["definitions"].get(name)
        if number is None:
            return PLAIN if name.startswith("io.k8s.") else None
        return self.node(number)


_BUILTIN = _Table()


class _Custom(Node):
    """A node of an OpenAPI document that the user gives."""

    __slots__ = ("_data", "_definitions", "_schema", "keys", "strategy")

    def __init__(self, data: dict[str, Any], definitions: dict[str, Any], schema: Schema) -> None:
        self._data = data
        self._definitions = definitions
        self._schema = schema
        strategy, keys, key = data.get(_STRATEGY), data.get(_MAP_KEYS), data.get(_MERGE_KEY)
        self.strategy = strategy if isinstance(strategy, str) else ""
        if self.strategy and isinstance(keys, list) and keys:
            self.keys = tuple(str(k) for k in keys)
        elif self.strategy and isinstance(key, str):
            self.keys = (key,)
        else:
            self.keys = ()

    def _node(self, data: Any) -> Node | None:
        for _ in range(_REF_LIMIT):
            if not isinstance(data, dict):
                return None
            ref = data.get("$ref")
            if not isinstance(ref, str) or not ref:
                return _Custom(data, self._definitions, self._schema)
            name = ref.removeprefix("#/definitions/")
            if name not in self._definitions:
                return self._schema.builtin_definition(name)
            data = self._definitions[name]
        return None

    def field(self, name: str) -> Node | None:
        properties = self._data.get("properties")
        if isinstance(properties, dict) and name in properties:
            return self._node(properties[name])
        extra = self._data.get("additionalProperties")
        return self._node(extra) if isinstance(extra, dict) else None

    def items(self) -> Node | None:
        if self._data.get("type") not in ("array", ["array"]):
            return None
        return self._node(self._data.get("items"))


class Schema:
    """The knowledge that one build has. It changes once at most, when a kustomization names an `openapi:`."""

    def __init__(self, *, keep_builtin: bool = False) -> None:
        self.keep_builtin = keep_builtin
        self._builtin = True
        self._asked = keep_builtin
        self._fixed = False
        self._kinds: dict[str, Node] = {}
        self._scopes: dict[str, bool] = {}

    def use(self, openapi: dict[str, str], document: bytes | None, *, root: bool) -> None:
        """Take a kustomization's `openapi:` into account. The first one that says anything counts."""
        if self._fixed and not root:
            return
        version = openapi.get("version", "")
        if document is not None:
            if "version" in openapi:
                raise BuildError("openapi: give either a built-in version or the path of a schema, not both")
            self._load(document)
            # A custom document replaces the table, unless the table was needed before (upstream's rule).
            self._builtin = self._asked
            self._fixed = True
        elif version:
            if version != BUILTIN_VERSION:
                raise BuildError(f"openapi: version {version!r} is not built in; only {BUILTIN_VERSION} is")
            self._fixed = True

    def _load(self, document: bytes) -> None:
        try:
            data = json.loads(document) if document[:1] == b"{" else yaml.load(document)
        except (ValueError, RecursionError) as error:
            raise BuildError(f"the OpenAPI document cannot be read: {error}") from error
        if not isinstance(data, dict):
            raise BuildError("the OpenAPI document must be a mapping with definitions")
        definitions = data.get("definitions") or {}
        paths = data.get("paths") or {}
        if not isinstance(definitions, dict) or not isinstance(paths, dict):
            raise BuildError("the OpenAPI document must be a mapping with definitions")
        for definition in definitions.values():
            kinds = definition.get(_KINDS) if isinstance(definition, dict) else None
            for kind in kinds if isinstance(kinds, list) else ():
                name = _kind_name(kind)
                if name:
                    self._kinds[name] = _Custom(definition, definitions, self)
        for path, methods in paths.items():
            get = methods.get("get") if isinstance(methods, dict) else None
            name = _kind_name(get.get(_KINDS)) if isinstance(get, dict) else ""
            if name and "namespaces/{namespace}" in path:
                self._scopes[name] = True
            elif name:
                self._scopes.setdefault(name, False)

    def kind(self, api_version: str, kind: str) -> Node | None:
        """The node of a kind; None when nothing is known of it."""
        name = f"{api_version} {kind}"
        found = self._kinds.get(name)
        if found is None and self._builtin:
            self._asked = True
            found = _BUILTIN.kind(name)
        return found

    def builtin_definition(self, name: str) -> Node | None:
        """What a custom document means by a definition that it does not have."""
        return _BUILTIN.definition(name) if self._builtin else None

    def cluster_scoped(self, api_version: str, kind: str) -> bool:
        """Is the kind known to live outside of namespaces?"""
        name = f"{api_version} {kind}"
        self._asked = True
        namespaced = tables.openapi()["scopes"].get(name)
        if namespaced is None:
            namespaced = self._scopes.get(name)
        return namespaced is False


def _kind_name(extension: Any) -> str:
    if not isinstance(extension, dict):
        return ""
    group, version, kind = (extension.get(key) for key in ("group", "version", "kind"))
    if not isinstance(version, str) or not isinstance(kind, str):
        return ""
    return f"{group}/{version} {kind}" if isinstance(group, str) and group else f"{version} {kind}"
