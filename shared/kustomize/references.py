"""Name references: when an object got another name, the fields of other objects that name it follow.

A reference is found by the name that the object had before. Candidates are sieved as upstream does: by kind, by
namespace, by the prefixes and suffixes that both were given; what is left must be one object, or several
with the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .config import References
from .errors import BuildError
from .fieldspec import FieldSpec, walk
from .resource import NO_NAMESPACE, Gvk, Resource, split_api_version
from .resources import Resources
from .scalars import text, untagged


class _Candidate:
    """An object that had another name before."""

    __slots__ = ("first_namespace", "former", "item", "name", "namespace", "raw_namespace")

    def __init__(self, item: Resource) -> None:
        group, version = split_api_version(item.api_version)
        self.item = item
        self.name = item.name
        self.namespace = item.id.namespace
        self.raw_namespace = item.namespace
        self.first_namespace = item.former[0].namespace
        self.former = [Gvk(group, version, former.kind) for former in item.former]

    def was(self, kind: Gvk) -> bool:
        return any(gvk.selected_by(kind) for gvk in self.former)


class _Names:
    """The candidates by former name and by first namespace."""

    def __init__(self, resources: Resources) -> None:
        self.by_name: dict[str, list[_Candidate]] = {}
        self.by_first_namespace: dict[str, list[_Candidate]] = {}
        self.others: dict[str, list[Resource]] = {}
        for item in resources:
            if not item.former:
                self.others.setdefault(item.id.namespace, []).append(item)
                continue
            candidate = _Candidate(item)
            for name in dict.fromkeys(former.name for former in item.former):
                self.by_name.setdefault(name, []).append(candidate)
            self.by_first_namespace.setdefault(candidate.first_namespace, []).append(candidate)


def update(resources: Resources, references: References) -> None:
    """Let all references follow. BuildError when one could mean several objects."""
    names = _Names(resources)
    known: dict[Gvk, list[tuple[Gvk, FieldSpec]]] = {}
    for item in resources:
        gvk = item.original_gvk
        specs = known.get(gvk)
        if specs is None:
            specs = known[gvk] = [
                (target, spec) for target, fields in references for spec in fields if gvk.selected_by(spec.gvk)
            ]
        if specs:
            _Referrer(item, names).update(specs)


class _Referrer:
    """One object whose fields may name others."""

    def __init__(self, item: Resource, names: _Names) -> None:
        self.item = item
        self.names = names
        self.namespace = item.id.namespace
        self.bound = _bound_namespaces(item) if item.kind == "RoleBinding" else frozenset()
        self.target = Gvk()
        self.role: Gvk | None = None

    def update(self, specs: Iterable[tuple[Gvk, FieldSpec]]) -> None:
        for target, spec in specs:
            self.target = target
            self.role = self._role() if spec.path.endswith("roleRef/name") else None
            walk(self.item, spec, self._field)

    def _role(self) -> Gvk | None:
        role = self.item.value.get("roleRef")
        if not isinstance(role, dict) or role.get("apiGroup") is None or role.get("kind") is None:
            return None
        return Gvk(text(role["apiGroup"]), "", text(role["kind"]))

    def _field(self, value: Any) -> Any:
        if isinstance(value, list):
            for index, entry in enumerate(value):
                if isinstance(entry, dict):
                    self._mapping(entry)
                elif isinstance(entry, list):
                    raise BuildError("expected a name, or a mapping with a name")
                elif entry is not None:
                    value[index] = self._scalar(entry)
            return value
        if isinstance(value, dict):
            self._mapping(value)
            return value
        return value if value is None else self._scalar(value)

    def _scalar(self, value: Any) -> Any:
        name = text(value)
        candidates = self.names.by_name.get(name)
        if not candidates:
            return value
        found = self._choose(candidates, lambda c: (c.name,))
        return value if found is None or found.name in ("", name) else untagged(value, found.name)

    def _mapping(self, value: dict[str, Any]) -> None:
        if "name" not in value:
            raise BuildError("expected a mapping with a name")
        name = text(value["name"])
        candidates = self.names.by_name.get(name)
        if not candidates:
            return
        if "namespace" in value:
            candidates = self._in_namespace(candidates, text(value["namespace"]))
        found = self._choose(candidates, lambda c: (c.name, c.raw_namespace))
        if found is None or (found.name == name and not found.raw_namespace):
            return
        if found.name:
            value["name"] = untagged(value["name"], found.name)
        if found.raw_namespace:
            old = value.get("namespace")
            value["namespace"] = found.raw_namespace if old is None else untagged(old, found.raw_namespace)

    def _in_namespace(self, candidates: list[_Candidate], namespace: str) -> list[_Candidate]:
        """Those that were in the namespace at first; if nothing at all was, those that are in it now."""
        if namespace == NO_NAMESPACE:
            return []
        known = any(self._reaches(c) for c in self.names.by_first_namespace.get(namespace, ())) or any(
            self._reaches_plain(item.id.namespace, item.namespace) for item in self.names.others.get(namespace, ())
        )
        if known:
            return [c for c in candidates if c.first_namespace == namespace]
        return [c for c in candidates if c.namespace == namespace]

    def _reaches(self, candidate: _Candidate) -> bool:
        return self._reaches_plain(candidate.namespace, candidate.raw_namespace)

    def _reaches_plain(self, namespace: str, raw: str) -> bool:
        return (
            self.namespace == NO_NAMESPACE
            or namespace in (NO_NAMESPACE, self.namespace)
            or (bool(self.bound) and raw in self.bound)
        )

    def _choose(self, candidates: list[_Candidate], same: Callable[[_Candidate], object]) -> _Candidate | None:
        left = [
            c
            for c in candidates
            if self._reaches(c) and c.was(self.target) and (self.role is None or c.was(self.role)) and self._may_name(c)
        ]
        if len(left) == 1:
            return left[0]
        left = [c for c in left if c.item.same_affixes(self.item, lenient=True)]
        if len(left) > 1:
            left = [c for c in left if c.item.same_affixes(self.item, lenient=False)]
        if not left:
            return None
        if len({same(c) for c in left}) > 1:
            raise BuildError("the name could mean several objects: " + ", ".join(str(c.item.id) for c in left))
        return left[0]

    def _may_name(self, candidate: _Candidate) -> bool:
        return (
            self.namespace == NO_NAMESPACE
            or candidate.namespace in (NO_NAMESPACE, self.namespace)
            or candidate.item.kind == "ServiceAccount"
        )


def _bound_namespaces(item: Resource) -> frozenset[str]:
    """The namespaces of the service accounts that a role binding names."""
    subjects = item.value.get("subjects")
    found = set()
    for subject in subjects if isinstance(subjects, list) else ():
        if not isinstance(subject, dict):
            raise BuildError("expected a list of mappings").at(field=f"{item}: subjects")
        if "namespace" in subject and subject.get("kind") == "ServiceAccount":
            namespace = subject["namespace"]
            if not isinstance(namespace, str):
                raise BuildError("the namespace must be text").at(field=f"{item}: subjects")
            found.add(namespace)
    return frozenset(found)
