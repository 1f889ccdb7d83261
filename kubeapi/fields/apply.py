"""Field ownership: server-side apply, and the managedFields of every other write.

    apply: live object + what a manager applies → merged object, pruned of what that manager no longer applies
    updated: object before + object after → the same object, with managedFields that say who changed what

Objects are plain manifests of one API version. No argument is changed; results share what they can with them, `apply`
returns `live` itself when nothing changed at all. Time is given by the caller, whole seconds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from kubeapi.errors import bad_request
from kubeapi.fields import sets, typed
from kubeapi.fields.atoms import DEDUCED, Atom
from kubeapi.fields.atoms import of as atom_of
from kubeapi.fields.errors import Conflict, Invalid
from kubeapi.fields.managers import (
    BEFORE_FIRST_APPLY,
    Identity,
    Managers,
    Owned,
    applier,
    capped,
    decode,
    encode,
    is_reset,
    updater,
)
from kubeapi.fields.sets import LEAF, FieldSet
from kubeapi.fields.zero import always_written
from shared.schema import Schema, lookup

Manifest = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NEVER_OWNED: FieldSet = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {
        ".": LEAF,
        **{
            f"f:{name}": LEAF
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        },
    },
}
STATUS_OWNS_NO_METADATA = frozenset(
    {"VolumeAttachment", "FlowSchema", "PriorityLevelConfiguration", "ServiceCIDR", "APIService"}
)
"""Built-in kinds whose status writes own nothing in metadata."""


def apply(
    live: Manifest | None,
    applied: Manifest,
    manager: str,
    *,
    force: bool,
    subresource: str = "",
    schema: Schema | None,
    now: datetime | str,
    api_version: str,
) -> Manifest:
    """The live object after `manager` applied `applied` to it; None as `live` creates it.

    Conflict when another manager owns a field that would change, unless `force`; Invalid when `applied` is not what
    the schema says; BadRequest when it has another version or its own managedFields.
    """
    if applied.get("apiVersion") != api_version:
        group, _, version = str(applied.get("apiVersion") or "").rpartition("/")
        kind = applied.get("kind") or ""
        raise bad_request(f"invalid object type: {group + '/' if group else '/'}{version}, Kind={kind}")
    if (applied.get("metadata") or {}).get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
    work = _Work(schema, api_version, str(applied.get("kind") or ""), subresource, _time(now))
    try:
        typed.check(applied, work.atom)
        return work.apply(live, applied, manager, force)
    except ValueError as problem:
        raise Invalid(f"failed to create typed patch object ({_named(applied, api_version)}): {problem}") from problem


def merged(live: Manifest, applied: Manifest, schema: Schema | None) -> Manifest:
    """The live object with all that `applied` sets, whoever owns it. Invalid when that isn't what the schema says, or
    would replace a list or map as a whole: what it doesn't name would be lost."""
    atom = DEDUCED if schema is None else atom_of(schema)
    try:
        typed.check(applied, atom)
    except ValueError as problem:
        raise Invalid(f"failed to convert patch object to typed object: {problem}") from problem
    whole = list(typed.wholes(applied, atom))
    if whole:
        raise Invalid(f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(whole)}")
    found: Manifest = typed.merge(live, applied, atom)
    return found


def updated(
    live: Manifest | None,
    new: Manifest,
    manager: str,
    operation: str = "Update",
    schema: Schema | None = None,
    now: datetime | str = "",
    subresource: str = "",
    *,
    checked: bool = True,
) -> Manifest:
    """`new`, which a create, update or patch made of `live`, with managedFields maintained.

    managedFields that the client changed in `new` are taken over (not through a subresource); an empty list makes
    tracking start anew. When nothing but times would differ, the entries are those of `live`. Unless it is `checked`
    that the values of `new` have the types of the schema, one that hasn't ends the tracking.
    """
    api_version = str(new.get("apiVersion") or "")
    work = _Work(schema, api_version, str(new.get("kind") or ""), subresource, _time(now))
    given = (new.get("metadata") or {}).get("managedFields")
    known = ((live or {}).get("metadata") or {}).get("managedFields")
    managers = _decode_live_or_new(known, given, bool(subresource))
    before, after = _bare(live) if live is not None else work.empty(), _bare(new)
    if not checked:
        try:
            typed.check(after, work.atom)
        except typed.TypeProblem:
            return after
    if managers or not (live or {}).get("metadata", {}).get("uid"):
        identity = Identity(manager or "unknown", operation, api_version if operation == "Update" else "", subresource)
        managers = work.update(before, after, managers, identity)
    return _with_managers(live, before, after, managers)


def _decode_live_or_new(known: Any, given: Any, is_subresource: bool) -> Managers:
    if is_subresource or given is None or given == known:
        return _decode_or_none(known)
    if is_reset(given):
        return {}
    try:
        managers = decode(given, trusted=False)
    except (ValueError, RecursionError):
        managers = {}
    return managers or _decode_or_none(known)


def _decode_or_none(entries: Any) -> Managers:
    try:
        return decode(entries)
    except ValueError:
        return {}


def _time(now: datetime | str) -> str:
    return now if isinstance(now, str) else now.strftime("%Y-%m-%dT%H:%M:%SZ")


def _named(manifest: Manifest, api_version: str) -> str:
    metadata = manifest.get("metadata") or {}
    group_version = api_version if "/" in api_version else f"/{api_version}"
    where = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    return f"{where}; {group_version}, Kind={manifest.get('kind')}"


def _bare(manifest: Manifest) -> Manifest:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return manifest
    return {**manifest, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _with_managers(live: Manifest | None, before: Manifest, after: Manifest, managers: Managers) -> Manifest:
    """`after` with the entries; those of `live` when only their times would differ and nothing else changed."""
    entries = encode(managers)
    known = ((live or {}).get("metadata") or {}).get("managedFields") or []
    if live is not None and len(entries) == len(known) and _same_but_time(entries, known):
        if before is after or typed.equal(before, after):
            return live
        if entries == known:
            entries = known
    if not entries:
        return after
    return {**after, "metadata": {**(after.get("metadata") or {}), "managedFields": entries}}


def _same_but_time(entries: list[Manifest], known: list[Manifest]) -> bool:
    return all(
        entry["fieldsV1"] == other.get("fieldsV1")
        and all(entry.get(key) == other.get(key) for key in ("manager", "operation", "apiVersion", "subresource"))
        for entry, other in zip(entries, known, strict=True)
    )


def settled(live: Manifest, new: Manifest) -> Manifest:
    """`live` when `new` differs from it in nothing but times of managedFields (so it need not be stored), else `new`.

    For after defaulting: a default may undo the only change that an apply made.
    """
    if new is live:
        return live
    entries = (new.get("metadata") or {}).get("managedFields") or []
    known = (live.get("metadata") or {}).get("managedFields") or []
    if len(entries) != len(known) or not _same_but_time(entries, known):
        return new
    return live if typed.equal(_bare(live), _bare(new)) else new


class _Work:
    """One write: the merge rules of its kind, and what it may not own."""

    def __init__(self, schema: Schema | None, api_version: str, kind: str, subresource: str, now: str) -> None:
        self.schema = schema
        self.api_version = api_version
        self.kind = kind
        self.subresource = subresource
        self.now = now
        self.atom: Atom = DEDUCED if schema is None else atom_of(schema)
        self.custom = schema is None or not schema.name
        self.ignored = self._ignored()

    def _ignored(self) -> FieldSet:
        """The fields that this write can't change, and so doesn't own: status, or all but status."""
        has_status = "status" in self.schema.properties if self.schema is not None else False
        if self.custom and self.schema is not None:
            has_status = bool(self.schema.memo.get("status_subresource", has_status))
        if self.subresource == "status":
            if self.custom or self.kind in STATUS_OWNS_NO_METADATA:
                return {"f:metadata": LEAF, "f:spec": LEAF}
            if self.kind == "Deployment":
                return {"f:spec": LEAF, "f:metadata": {"f:labels": LEAF}}
            if self.kind == "Pod":
                return {"f:spec": LEAF, "f:metadata": {"f:deletionTimestamp": LEAF, "f:ownerReferences": LEAF}}
            return {"f:spec": LEAF}
        if not has_status or self.subresource:
            return {}
        if self.kind == "CertificateSigningRequest":
            return {"f:spec": LEAF, "f:status": LEAF}
        return {"f:status": LEAF}

    def empty(self) -> Manifest:
        """The object before it is created: what Go writes of an empty one, for a built-in kind."""
        if self.custom or self.schema is None:
            return {"apiVersion": self.api_version, "kind": self.kind}
        return {"apiVersion": self.api_version, "kind": self.kind, **always_written(self.schema)}

    def knows(self, api_version: str) -> bool:
        """Whether objects can still be read in a version that a manager used."""
        if api_version == self.api_version or self.schema is None:
            return True
        if self.custom:
            versions = self.schema.memo.get("api_versions")
            return versions is None or api_version in versions
        return lookup(api_version, self.kind) is not None

    def current(self, managers: Managers) -> Managers:
        """Without managers of versions that are gone, and with sets that fit the schema as it is now."""
        out = {identity: owned for identity, owned in managers.items() if self.knows(owned.api_version)}
        if self.custom and self.schema is not None:
            for identity, owned in out.items():
                fields = typed.reconciled(owned.fields, self.atom)
                if fields is not owned.fields:
                    out[identity] = replace(owned, fields=fields)
        return out

    # -- other writes ---------------------------------------------------------------------------------------------

    def update(self, before: Manifest, after: Manifest, managers: Managers, identity: Identity) -> Managers:
        """The managers after a write by `identity` that is not an apply."""
        managers = self.current(managers)
        found = typed.compare(before, after, self.atom)
        changed = sets.union(found.modified, found.added)
        if self.ignored:
            changed = sets.recursive_difference(changed, self.ignored)
            removed = sets.recursive_difference(found.removed, self.ignored)
        else:
            removed = found.removed
        managers = _taken(managers, changed, removed, None)
        mine = sets.difference(changed, NEVER_OWNED)
        if mine:
            previous = managers.get(identity)
            fields = mine if previous is None else sets.union(mine, previous.fields)
            managers[identity] = Owned(fields, self.api_version, self.now)
        return capped(managers)

    # -- apply ----------------------------------------------------------------------------------------------------

    def apply(self, live: Manifest | None, applied: Manifest, manager: str, force: bool) -> Manifest:
        before = _bare(live) if live is not None else self.empty()
        known = decode(((live or {}).get("metadata") or {}).get("managedFields"))
        managers = known
        if not managers and live is not None:
            first = updater(BEFORE_FIRST_APPLY, self.api_version, self.subresource)
            managers = self.update(self.empty(), before, {}, first)
        try:
            after, result = self._apply(before, applied, managers, manager, force)
        except Conflict as conflict:
            if manager != "kubectl":
                raise
            after, result = self._apply_over_client_side(before, applied, managers, manager, conflict)
        if manager == "kubectl":
            after = _with_last_applied(after, applied)
        return _with_managers(live, before, after, result)

    def _apply(
        self, before: Manifest, applied: Manifest, managers: Managers, manager: str, force: bool
    ) -> tuple[Manifest, Managers]:
        identity = applier(manager, self.subresource)
        managers = self.current(managers)
        merged = typed.merge(before, applied, self.atom)
        fields = typed.field_set(applied, self.atom)
        if self.ignored:
            fields = sets.recursive_difference(fields, self.ignored)
        previous = managers.get(identity)
        managers[identity] = Owned(fields, self.api_version, previous.time if previous else None)
        if previous is not None and not sets.is_subset(previous.fields, fields):
            merged = self._pruned(merged, managers, previous.fields)
        if merged is not before:
            found = typed.compare(before, merged, self.atom)
            changed = sets.union(found.modified, found.added)
            removed = found.removed
            if self.ignored:
                changed = sets.recursive_difference(changed, self.ignored)
                removed = sets.recursive_difference(removed, self.ignored)
            if not force:
                _raise_conflicts(managers, changed, identity)
            managers = _taken(managers, changed, removed, identity)
        own = sets.difference(fields, NEVER_OWNED)
        same = merged is before or typed.equal(before, merged)
        if own:
            time = managers[identity].time if same else self.now
            managers[identity] = Owned(own, self.api_version, time)
        else:
            managers.pop(identity, None)
        return (before if same else merged), {who: owned for who, owned in managers.items() if owned.fields}

    def _pruned(self, merged: Manifest, managers: Managers, last: FieldSet) -> Manifest:
        """`merged` without what the manager applied last time, unless it or another manager owns it now."""
        atom = self.atom
        last = typed.named_are_members(last, atom)
        pruned = typed.without(merged, last, atom) or {}
        owned: FieldSet = {}
        for one in managers.values():
            owned = sets.union(owned, one.fields)
        everything = typed.named_are_members(typed.field_set(merged, atom), atom)
        kept = sets.union(
            typed.named_are_members(typed.field_set(pruned, atom), atom), typed.named_are_members(owned, atom)
        )
        pruned = typed.without(merged, sets.difference(everything, kept), atom) or {}
        remaining = typed.named_are_members(typed.field_set(pruned, atom), atom)
        gone = sets.intersection(sets.difference(everything, remaining), last)
        return typed.without(merged, gone, atom) or {}

    def _apply_over_client_side(
        self, before: Manifest, applied: Manifest, managers: Managers, manager: str, conflict: Conflict
    ) -> tuple[Manifest, Managers]:
        """kubectl may take what it applied from the client before: conflicts over such fields are none."""
        allowed = self._last_applied_fields(before)
        if allowed is None:
            raise conflict
        left = [(identity, path) for identity, path in conflict.fields if not sets.has(allowed, path)]
        if left:
            raise Conflict(left) from conflict
        return self._apply(before, applied, managers, manager, True)

    def _last_applied_fields(self, before: Manifest) -> FieldSet | None:
        """The fields of the last-applied annotation that the object still has as they were applied."""
        text = ((before.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
        try:
            last = json.loads(text) if text else None
            if not isinstance(last, dict) or last.get("apiVersion") != self.api_version:
                return None
            typed.check(last, self.atom)
            fields = typed.field_set(last, self.atom)
            found = typed.compare(last, before, self.atom)
        except (ValueError, RecursionError):
            return None
        for changed in (found.modified, found.added, found.removed):
            fields = sets.difference(fields, changed)
        return fields


def _with_last_applied(after: Manifest, applied: Manifest) -> Manifest:
    """Keeps the annotation of client-side apply, when there is one, at what kubectl applied now."""
    metadata = after.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return after
    meta = dict(applied.get("metadata") or {})
    if isinstance(meta.get("annotations"), dict):
        meta["annotations"] = {key: value for key, value in meta["annotations"].items() if key != LAST_APPLIED}
    text = sets.dumps({**applied, "metadata": meta}) + "\n"
    return {**after, "metadata": {**metadata, "annotations": {**annotations, LAST_APPLIED: text}}}


def _taken(managers: Managers, changed: FieldSet, removed: FieldSet, but: Identity | None) -> Managers:
    """The managers after others than `but` lost what changed and what was removed; who has nothing left goes."""
    out: Managers = {}
    for identity, owned in managers.items():
        fields = owned.fields
        if identity != but:
            fields = sets.difference(sets.difference(fields, changed), removed)
        if fields:
            out[identity] = owned if fields is owned.fields else replace(owned, fields=fields)
    return out


def _raise_conflicts(managers: Managers, changed: FieldSet, identity: Identity) -> None:
    conflicts: list[tuple[Identity, tuple[str, ...]]] = []
    for other in sorted(managers):
        if other != identity:
            lost = sets.intersection(managers[other].fields, changed)
            conflicts += [(other, path) for path in sets.paths(lost)]
    if conflicts:
        raise Conflict(conflicts)
