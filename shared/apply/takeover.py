"""Taking fields over from managers that came before us, by rewriting `metadata.managedFields`.

    entries of the live object → entries in which their fields are ours → JSON patch

What a manager of the list owns becomes ours by the patch; the apply after it drops what isn't desired. Other managers'
fields stay theirs. Managers are matched by the beginning of their name, as upstream does: `kubectl` stands for
`kubectl-client-side-apply`, `kubectl-edit` and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from shared.apply import fields
from shared.apply.fields import Entry

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_LEGACY_ANNOTATIONS = (LAST_APPLIED, "kustomize.toolkit.fluxcd.io/checksum", "fluxcd.io/sync-checksum")
_LEGACY_LABELS = ("fluxcd.io/sync-gc-mark",)


Patch: TypeAlias = list[dict[str, Any]]
"""A JSON patch."""


@dataclass(frozen=True, slots=True)
class Predecessors:
    """Whose fields we take over: `manager` is our own field manager, `overrides` further names that the user gave."""

    manager: str
    overrides: tuple[str, ...] = ()

    def includes(self, entry: Mapping[str, Any]) -> bool:
        """Is an entry of managedFields theirs?"""
        name, operation = str(entry.get("manager") or ""), str(entry.get("operation") or "")
        return self.include(name, operation, str(entry.get("subresource") or ""))

    def include(self, name: str, operation: str, subresource: str) -> bool:
        if subresource:
            return False
        if name.startswith("kubectl"):
            return True
        if any(name.startswith(prefix) for prefix in self.overrides):
            return True
        return operation == "Update" and name.startswith(("before-first-apply", self.manager))


Maker: TypeAlias = Callable[[Mapping[str, Any], Predecessors], Patch]
"""Makes a patch of the live object."""


def has_leftovers(labels: Mapping[str, Any] | None, annotations: Mapping[str, Any] | None) -> bool:
    """Did older tools leave something on the object that is to be cleaned up?"""
    return bool(annotations and not annotations.keys().isdisjoint(_LEGACY_ANNOTATIONS)) or bool(
        labels and not labels.keys().isdisjoint(_LEGACY_LABELS)
    )


def patch(live: Mapping[str, Any], predecessors: Predecessors) -> list[dict[str, Any]]:
    """The JSON patch that makes it ours and removes what older tools left; empty when there is nothing to do.
    It applies only to the state it was made from."""
    metadata = live.get("metadata") or {}
    entries = fields.entries_of(live)
    operations: list[dict[str, Any]] = []
    operations += _removals("annotations", metadata.get("annotations"), _LEGACY_ANNOTATIONS)
    operations += _removals("labels", metadata.get("labels"), _LEGACY_LABELS)
    theirs = [entry for entry in entries if predecessors.includes(entry)]
    if theirs:
        merged = _merged(entries, theirs, predecessors.manager)
        operations.append({"op": "replace", "path": "/metadata/managedFields", "value": merged})
    return _guarded(operations, metadata)


def patch_conflicting(
    live: Mapping[str, Any], desired: Mapping[str, Any], predecessors: Predecessors
) -> list[dict[str, Any]]:
    """As patch(), for the list items of anyone that keep `desired` from being applied (see `fields.conflicting`)."""
    entries = [dict(entry) for entry in fields.entries_of(live)]
    ours = fields.own(entries, predecessors.manager)
    if ours is None:
        return []
    taken = False
    for entry in entries:
        if entry is ours or entry.get("subresource") or entry.get("operation") != "Update":
            continue
        found = fields.conflicting(entry.get("fieldsV1") or {}, desired)
        if found:
            taken = True
            ours["fieldsV1"] = fields.union(ours.get("fieldsV1") or {}, found)
            entry["fieldsV1"] = fields.difference(entry.get("fieldsV1") or {}, found)
    if not taken:
        return []
    kept = [entry for entry in entries if entry is ours or entry.get("fieldsV1")]
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": kept}
    return _guarded([operation], live.get("metadata") or {})


def patch_versions(live: Mapping[str, Any], api_version: str) -> list[dict[str, Any]]:
    """The JSON patch that writes every entry in `api_version`; empty when they are. An entry of an older version keeps
    a resource from being applied once its newer version has fields with defaults."""
    entries = fields.entries_of(live)
    if all(entry.get("apiVersion") == api_version for entry in entries):
        return []
    value = [{**entry, "apiVersion": api_version} for entry in entries]
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": value}
    return _guarded([operation], live.get("metadata") or {})


def _merged(entries: Sequence[Entry], theirs: Sequence[Entry], manager: str) -> list[Entry]:
    """The entries without `theirs`, whose fields are in ours now; ours is made of the first of them if need be."""
    ours = fields.own(entries, manager)
    first = dict(ours if ours is not None else theirs[0])
    first["manager"], first["operation"] = manager, "Apply"
    for entry in theirs:
        first["fieldsV1"] = fields.union(first.get("fieldsV1") or {}, entry.get("fieldsV1") or {})
    rest = [entry for entry in entries if entry is not ours and not any(entry is other for other in theirs)]
    return [*rest, first]


def _removals(where: str, pairs: Mapping[str, Any] | None, keys: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {"op": "remove", "path": f"/metadata/{where}/{key.replace('~', '~0').replace('/', '~1')}"}
        for key in keys
        if pairs and key in pairs
    ]


def _guarded(operations: list[dict[str, Any]], metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """With the resourceVersion that the patch was made from: a Conflict when someone wrote meanwhile."""
    if not operations or not metadata.get("resourceVersion"):
        return operations
    guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
    return [guard, *operations]
