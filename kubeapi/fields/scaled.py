"""Who owns the replicas of an object, as its Scale shows it, and back again.

A Scale has one field to own, spec.replicas; the entries of an object's managers that own its replicas are that Scale's
entries. Entries are those of metadata.managedFields, `path` is where the replicas stand in the object.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kubeapi.fields import sets
from kubeapi.fields.managers import Managers, decode, encode
from kubeapi.fields.sets import LEAF, FieldSet

Entries = list[dict[str, Any]]

VERSION = "autoscaling/v1"
_REPLICAS: FieldSet = {"f:spec": {"f:replicas": LEAF}}
_PATH = ("f:spec", "f:replicas")


def entries_of(entries: Any, path: tuple[str, ...]) -> Entries:
    """The entries of a Scale: one for each manager that owns the replicas."""
    found = {
        who if who.operation == "Apply" else who._replace(version=VERSION): replace(
            owned, fields=_REPLICAS, api_version=VERSION
        )
        for who, owned in _decoded(entries).items()
        if sets.has(owned.fields, path)
    }
    return encode(found)


def entries_after(entries: Any, scale: Any, path: tuple[str, ...], api_version: str) -> Entries:
    """The object's entries once its Scale has the entries `scale`: who lost the replicas there loses them here."""
    node: FieldSet = LEAF
    for step in reversed(path):
        node = {step: node}
    owners = {
        who if who.operation == "Apply" else who._replace(version=api_version): owned
        for who, owned in _decoded(scale).items()
        if sets.has(owned.fields, _PATH)
    }
    found: Managers = {}
    for who, owned in _decoded(entries).items():
        if not sets.has(owned.fields, path) or (who in owners and who.operation == "Apply"):
            found[who] = owned
            continue
        rest = sets.difference(owned.fields, node)
        if rest:
            found[who] = replace(owned, fields=rest)
    for who, owned in owners.items():
        if who not in found:
            found[who] = replace(owned, fields=node, api_version=api_version)
    return encode(found)


def _decoded(entries: Any) -> Managers:
    try:
        return decode(entries)
    except ValueError:
        return {}
