"""metadata.managedFields as the API has it, and as the merge works on it: who owns which fields, since when.

A manager is known by its name, operation, API version (updates only: an applier keeps its entry when it changes
version) and subresource.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from kubeapi.fields.sets import FieldSet, canonical, ordered, union

MAX_UPDATERS = 10
"""With more managers than this that made updates, the oldest are merged into one."""
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"


class Identity(NamedTuple):
    """Who: the key of an entry. `version` is "" for appliers."""

    manager: str
    operation: str
    version: str
    subresource: str

    def shown(self) -> str:
        """The manager as a conflict names it."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == "Update" else text


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns: the set, the API version that its paths are of, and when it last changed something."""

    fields: FieldSet
    api_version: str
    time: str | None = None


Managers = dict[Identity, Owned]


def applier(manager: str, subresource: str) -> Identity:
    return Identity(manager or "unknown", "Apply", "", subresource)


def updater(manager: str, api_version: str, subresource: str) -> Identity:
    return Identity(manager or "unknown", "Update", api_version, subresource)


def decode(entries: Any, *, trusted: bool = True) -> Managers:
    """Entries of managedFields as managers. ValueError when they are malformed.

    `trusted` entries were written by `encode`: their sets are taken as they are.
    """
    managers: Managers = {}
    if not isinstance(entries, list):
        return managers
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ValueError(f"managed fields entry {index} is not an object")
        operation, api_version = entry.get("operation"), entry.get("apiVersion")
        if operation not in ("Apply", "Update"):
            raise ValueError("operation must be `Apply` or `Update`")
        if not api_version or not isinstance(api_version, str):
            raise ValueError("apiVersion must not be empty")
        kind = entry.get("fieldsType")
        if kind != "FieldsV1":
            found = f'invalid fieldsType "{kind}" in' if kind else "missing fieldsType in"
            raise ValueError(f"{found} managed fields entry {index}")
        fields = entry.get("fieldsV1") or {}
        identity = Identity(
            str(entry.get("manager") or ""),
            operation,
            "" if operation == "Apply" else api_version,
            str(entry.get("subresource") or ""),
        )
        time = entry.get("time")
        managers[identity] = Owned(fields if trusted else canonical(fields), api_version, time)
    return managers


def encode(managers: Managers) -> list[dict[str, Any]]:
    """The entries of managedFields, in the order in which the API shows them."""
    entries = []
    for identity, owned in sorted(managers.items(), key=_order):
        entry: dict[str, Any] = {"manager": identity.manager} if identity.manager else {}
        entry["operation"] = identity.operation
        entry["apiVersion"] = owned.api_version
        if owned.time is not None:
            entry["time"] = owned.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = ordered(owned.fields)
        if identity.subresource:
            entry["subresource"] = identity.subresource
        entries.append(entry)
    return entries


def _order(item: tuple[Identity, Owned]) -> tuple[str, str, str, str, str]:
    identity, owned = item
    return (identity.operation, owned.time or "", identity.manager, owned.api_version, identity.subresource)


def is_reset(entries: Any) -> bool:
    """Whether a client asks for tracking to start anew: an empty list, or one empty entry."""
    return isinstance(entries, list) and (not entries or (len(entries) == 1 and not entries[0]))


def capped(managers: Managers) -> Managers:
    """At most MAX_UPDATERS entries of updates: the oldest of the same version become one entry, ANCIENT."""
    updaters = [identity for identity in managers if identity.operation == "Update"]
    if len(updaters) <= MAX_UPDATERS:
        return managers
    out = dict(managers)
    count = len(updaters)
    first_of: dict[str, Identity] = {}
    for identity in sorted(updaters, key=lambda identity: (managers[identity].time or "", identity)):
        if count <= MAX_UPDATERS:
            break
        owned = out[identity]
        bucket = Identity(ANCIENT, "Update", owned.api_version, "")
        first = first_of.setdefault(owned.api_version, identity)
        if first == identity:
            continue
        if bucket not in out:
            out[bucket] = out.pop(first)
        out[bucket] = replace(out[bucket], fields=union(owned.fields, out[bucket].fields), time=owned.time)
        if identity != bucket:
            del out[identity]
        count -= 1
    return out
