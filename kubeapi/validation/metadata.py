"""An object's metadata: names, labels, annotations, owners, finalizers; on an update, what may not change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, names

Manifest = Mapping[str, Any]

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations of an object, keys and values, at most."""
ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


def new(metadata: Manifest, rule: names.Rule, namespaced: bool, path: str = "metadata") -> list[Cause]:
    """The problems of a new object's metadata; its name is held to `rule`."""
    found: list[Cause] = []
    generated = metadata.get("generateName")
    if generated:
        found += [
            causes.invalid(f"{path}.generateName", generated, problem) for problem in names.of_prefix(rule, generated)
        ]
    name = metadata.get("name")
    if not name:
        found.append(causes.required(f"{path}.name", "name or generateName is required"))
    else:
        found += [causes.invalid(f"{path}.name", name, problem) for problem in rule(name)]
    namespace = metadata.get("namespace")
    if not namespaced:
        if namespace:
            found.append(causes.forbidden(f"{path}.namespace", "not allowed on this type"))
    elif not namespace:
        found.append(causes.required(f"{path}.namespace"))
    else:
        found += [causes.invalid(f"{path}.namespace", namespace, problem) for problem in names.label(namespace)]
    found += label_map(metadata.get("labels"), f"{path}.labels")
    found += annotation_map(metadata.get("annotations"), f"{path}.annotations")
    found += owners(metadata.get("ownerReferences"), f"{path}.ownerReferences")
    found += finalizers(metadata.get("finalizers"), f"{path}.finalizers")
    return found


def changed(metadata: Manifest, old: Manifest, path: str = "metadata") -> list[Cause]:
    """The problems of a live object's new metadata. What the server sets itself is taken to be in place."""
    found = [
        causes.immutable(f"{path}.{key}", metadata.get(key) or "")
        for key in ("name", "namespace", "deletionTimestamp", "deletionGracePeriodSeconds")
        if metadata.get(key) != old.get(key)
    ]
    checks = (
        *(("labels", label_map), ("annotations", annotation_map)),
        *(("ownerReferences", owners), ("finalizers", finalizers)),
    )
    for key, check in checks:
        value = metadata.get(key)
        if value is not None and value != old.get(key):
            found += check(value, f"{path}.{key}")
    return found


def label_map(value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key, text in (value or {}).items():
        found += [causes.invalid(path, key, problem) for problem in names.qualified(key)]
        found += [causes.invalid(path, text, problem) for problem in names.label_value(text)]
    return found


def annotation_map(value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    size = 0
    for key, text in (value or {}).items():
        found += [causes.invalid(path, key, problem) for problem in names.qualified(key.lower())]
        size += len(key.encode()) + len(text.encode())
    if size > ANNOTATIONS_LIMIT:
        found.append(causes.too_long(path, ANNOTATIONS_LIMIT))
    return found


def owners(value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    controller = ""
    for one in value or ():
        # A reference's fields are reported under the list: the server doesn't say which one.
        given = str(one.get("apiVersion") or "")
        if not given.rpartition("/")[2] or given.count("/") > 1:
            found.append(causes.invalid(f"{path}.apiVersion", one.get("apiVersion") or "", "version must not be empty"))
        found += [
            causes.invalid(f"{path}.{key}", "", "must not be empty")
            for key in ("kind", "name", "uid")
            if not one.get(key)
        ]
        if one.get("apiVersion") == "v1" and one.get("kind") == "Event":
            found.append(causes.invalid(path, one, "/v1, Kind=Event is disallowed from being an owner"))
        if one.get("controller"):
            named = f"{one.get('kind')}/{one.get('name')}"
            if controller:
                problem = (
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{controller} and {named}"
                )
                found.append(causes.invalid(path, value, problem))
            else:
                controller = named
    return found


def finalizers(value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    for one in value or ():
        found += [causes.invalid(path, one, problem) for problem in names.qualified(one)]
    if value and ORPHAN in value and FOREGROUND in value:
        found.append(causes.invalid(path, value, f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"))
    return found


def standard_finalizers(value: Any, path: str) -> list[Cause]:
    """Finalizers of built-in kinds: those that are known, or named by a domain."""
    detail = "name is neither a standard finalizer name nor is it fully qualified"
    return [
        causes.invalid(f"{path}[{index}]", one, detail)
        for index, one in enumerate(value or ())
        if "/" not in one and one not in (ORPHAN, FOREGROUND, "kubernetes")
    ]


def finalizer_warnings(metadata: Manifest, old: Manifest | None) -> list[str]:
    """What a client that adds finalizers to a custom resource is warned of."""
    before = set((old or {}).get("finalizers") or ())
    found: list[str] = []
    for one in sorted(set(metadata.get("finalizers") or ()) - before):
        shown = f"metadata.finalizers: {causes.quote(one)}"
        found += [f"{shown}: {problem}" for problem in names.qualified(one)]
        if "/" not in one and one not in (ORPHAN, FOREGROUND, "kubernetes"):
            path = " including a path (/)" if "." in one else ""
            found.append(
                f"{shown}: prefer a domain-qualified finalizer name{path} "
                "to avoid accidental conflicts with other finalizer writers"
            )
    return found
