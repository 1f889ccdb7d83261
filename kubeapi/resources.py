"""Which resources the server serves: the built-in ones and those that CRDs define.

A Resource is one plural in one served version. Versions of one resource share a `storage` key, so an object written in
one version is read in another. The Registry is replaced resource by resource as CRDs come and go; readers may keep a
Resource as long as they like, it never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import schema

SHARED_STORAGE = {("events.k8s.io", "events"): ("", "events")}
"""Resources that are another group's view of the same objects."""

STORAGE_VERSIONS = {("autoscaling", "horizontalpodautoscalers"): "v2", ("events.k8s.io", "events"): "v1"}
"""Which version of a built-in resource with several is stored."""

DEPRECATED = {
    ("v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ("v1", "componentstatuses"): "v1 ComponentStatus is deprecated in v1.19+",
}

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class SubresourceKind:
    """The kind that a subresource's body has, and its verbs."""

    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resource:
    """One plural in one served version."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str = ""
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    """Names such as "status", "scale", "token", "log"."""
    subresource_kinds: Mapping[str, SubresourceKind] = field(default_factory=dict, compare=False)
    """What the body of a built-in kind's subresource is; "status" and "scale" of custom resources need no entry."""
    schema: Any = None
    """The schema node of the whole object: shared.schema.Schema of a built-in kind, or what a CRD gives."""
    list_kind: str = ""
    storage_version: str = ""
    """The version in which objects are stored; this one when empty."""
    columns: tuple[Mapping[str, Any], ...] = ()
    """A CRD's additionalPrinterColumns, as in its manifest."""
    scale: Mapping[str, str] | None = None
    """A CRD's scale subresource: specReplicasPath, statusReplicasPath, labelSelectorPath."""
    selectable_fields: tuple[str, ...] = ()
    """Field paths without the leading dot that field selectors may name, beside metadata.name and .namespace."""
    definition: Any = field(default=None, compare=False)
    """What the CRD machinery keeps with a custom resource; None for a built-in one."""
    deprecation_warning: str = ""
    """Sent as a warning on every request when not empty."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage(self) -> tuple[str, str]:
        """What objects of all versions of this resource are stored under."""
        key = (self.group, self.plural)
        return SHARED_STORAGE.get(key, key)

    @property
    def group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    @property
    def singular_name(self) -> str:
        return self.singular or self.kind.lower()

    @property
    def custom(self) -> bool:
        return self.definition is not None


def built_in() -> list[Resource]:
    """The built-in resources of the release that shared.schema describes."""
    found = []
    for one in schema.resources():
        kinds = {
            name: SubresourceKind(sub.group, sub.version, sub.kind, sub.verbs) for name, sub in one.subresources.items()
        }
        found.append(
            Resource(
                group=one.group,
                version=one.version,
                kind=one.kind,
                plural=one.plural,
                singular=one.singular,
                namespaced=one.namespaced,
                short_names=one.short_names,
                verbs=one.verbs,
                categories=one.categories,
                subresources=tuple(one.subresources),
                subresource_kinds=kinds,
                schema=schema.lookup(one.api_version, one.kind),
                storage_version=STORAGE_VERSIONS.get((one.group, one.plural), one.version),
                deprecation_warning=DEPRECATED.get((one.api_version, one.plural), ""),
            )
        )
    return found


class Registry:
    """The served resources, by path and by kind."""

    def __init__(self, resources: Iterable[Resource] = ()):
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._promised: set[tuple[str, str]] = set()
        self.revision = 0
        """Grows with every change; caches of discovery and OpenAPI documents compare it."""
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._by_path[(resource.group, resource.version, resource.plural)] = resource
        self._by_kind[(resource.api_version, resource.kind)] = resource
        self._groups.setdefault(resource.group, {}).setdefault(resource.version)
        self.revision += 1

    def remove(self, resource: Resource) -> None:
        self._by_path.pop((resource.group, resource.version, resource.plural), None)
        if self._by_kind.get((resource.api_version, resource.kind)) == resource:
            del self._by_kind[(resource.api_version, resource.kind)]
        self._forget(resource.group, resource.version)
        self.revision += 1

    def _forget(self, group: str, version: str) -> None:
        """A version is gone when nothing is left in it and no other server is said to serve it."""
        if (group, version) in self._promised or any(g == group and v == version for g, v, _ in self._by_path):
            return
        versions = self._groups.get(group, {})
        versions.pop(version, None)
        if not versions:
            self._groups.pop(group, None)

    def promise(self, group: str, version: str) -> None:
        """Another server is said to serve a version: it is part of discovery."""
        if (group, version) not in self._promised:
            self._promised.add((group, version))
            self._groups.setdefault(group, {}).setdefault(version)
            self.revision += 1

    def withdraw(self, group: str, version: str) -> None:
        """No other server is said to serve a version any more."""
        if (group, version) in self._promised:
            self._promised.discard((group, version))
            self._forget(group, version)
            self.revision += 1

    def elsewhere(self) -> list[tuple[str, str]]:
        """The promised groups and versions that aren't served here."""
        return sorted(one for one in self._promised if not self.in_version(*one))

    def is_elsewhere(self, group: str, version: str) -> bool:
        """Whether a version is promised, and not served here."""
        return (group, version) in self._promised and not self.in_version(group, version)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def groups(self) -> dict[str, list[str]]:
        """Versions by group, the preferred one first; the core group is ""."""
        return {group: sorted(versions, key=version_order) for group, versions in self._groups.items()}

    def in_version(self, group: str, version: str) -> list[Resource]:
        return sorted(
            (r for (g, v, _), r in self._by_path.items() if g == group and v == version), key=lambda r: r.plural
        )

    def served(self) -> list[Resource]:
        return list(self._by_path.values())

    def versions_of(self, group: str, plural: str) -> list[Resource]:
        """The same resource in all its served versions, the preferred one first."""
        found = [r for (g, _, p), r in self._by_path.items() if g == group and p == plural]
        return sorted(found, key=lambda r: version_order(r.version))

    def any_version(self, group: str, plural: str) -> Resource | None:
        found = self.versions_of(group, plural)
        return found[0] if found else None


def version_order(version: str) -> tuple[int, int, int, str]:
    """Sort key of API versions: v2 before v1 before v1beta1 before v1alpha1 before names that don't parse."""
    stability = {"": 0, "beta": 1, "alpha": 2}
    digits, rest = "", version[1:]
    while rest and rest[0].isdigit():
        digits, rest = digits + rest[0], rest[1:]
    if version[:1] == "v" and digits:
        if not rest:
            return (0, -int(digits), 0, "")
        for word in ("beta", "alpha"):
            number = rest.removeprefix(word)
            if number != rest and number.isdigit():
                return (stability[word], -int(digits), -int(number), "")
    return (3, 0, 0, version)
