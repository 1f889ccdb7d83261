"""What drift looks like to people: which fields differ, in three views, and who changed them.

    desired, live, managedFields → drifted: path, desired, last applied, live; manager, operation, time

Bounded whatever the objects are like, and no value of a Secret is in it. All of this is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from shared.api.meta import Manifest
from shared.apply import fields, ignoring
from shared.apply.diff import MISSING, Difference, differences, same
from shared.apply.errors import MASK
from shared.apply.fields import Entry
from shared.apply.identity import ObjectId
from shared.apply.ignoring import Pointer
from shared.apply.takeover import LAST_APPLIED, Predecessors

MOST_FIELDS = 10
"""Fields of one object that are told; the others are counted."""
LONGEST_VALUE = 120
"""Characters of a value that are told."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a field last, as managedFields have it; empty where they don't tell."""

    manager: str = ""
    operation: str = ""
    time: str = ""


@dataclass(frozen=True, slots=True)
class DriftedField:
    """A field that isn't as it was left. The values are JSON, shortened; None where there is no such field."""

    path: str
    desired: str | None
    applied: str | None
    live: str | None
    author: Author

    def __str__(self) -> str:
        """.data.colour: "red" in place of "blue" (kubectl-edit, Update, 2026-01-02T03:04:05Z)"""
        told = f"{self.path}: {self.live or 'removed'}"
        if self.live is not None:
            told += f" in place of {self.desired}" if self.desired is not None else " added"
        elif self.desired is not None:
            told += f", was {self.desired}"
        by = ", ".join(part for part in (self.author.manager, self.author.operation, self.author.time) if part)
        return f"{told} ({by})" if by else told


@dataclass(frozen=True, slots=True)
class Drifted:
    """An object that isn't as it was left."""

    id: ObjectId
    version: str
    what: Literal["changed", "deleted"]
    fields: tuple[DriftedField, ...] = ()
    more: int = 0
    """Fields that differ beside these."""

    def __str__(self) -> str:
        if self.what == "deleted":
            return f"{self.id} was deleted"
        told = "; ".join(map(str, self.fields))
        return f"{self.id} was changed: {told}" + (f"; and {self.more} more fields" if self.more else "")


def deleted(id: ObjectId, version: str) -> Drifted:
    """An object that isn't there any more."""
    return Drifted(id, version, "deleted")


def changed(
    desired: Manifest,
    applied: Manifest,
    live: Manifest,
    ignored: Iterable[Pointer],
    predecessors: Predecessors,
    *,
    reveal: bool,
) -> Drifted | None:
    """How an object has drifted; None when all its values are as they were left, whoever owns them.

    `applied` is what was last sent. Unless `reveal`, no value is shown at all; those of a Secret never are.
    """
    entries = fields.entries_of(live)
    ours = (fields.own(entries, predecessors.manager) or {}).get("fieldsV1") or {}
    wanted, found, owned = ignoring.compared(desired, live, ours, ignored)
    differing = [part for one in differences(wanted, found, owned) for part in _parts(one, entries)]
    differing += _added(entries, wanted, found, owned, predecessors)
    if not differing:
        return None
    hidden = not reveal or (desired.get("kind") == "Secret" and desired.get("apiVersion") == "v1")
    told = tuple(
        DriftedField(
            one.path,
            _shown(one.desired, hidden=hidden),
            _shown(_at(applied, one.keys), hidden=hidden),
            _shown(one.live, hidden=hidden),
            author(entries, one.keys, predecessors.manager),
        )
        for one in differing[:MOST_FIELDS]
    )
    version = str(desired.get("apiVersion") or "").rpartition("/")[2]
    return Drifted(ObjectId.of(desired), version, "changed", told, max(0, len(differing) - MOST_FIELDS))


def _parts(one: Difference, entries: Sequence[Entry]) -> Iterator[Difference]:
    """The fields whose values differ. A map that isn't ours any more is told field by field, and what others have
    beside ours is left out, unless it is owned as a whole."""
    if one.desired is MISSING or one.live is MISSING:
        yield one
    elif isinstance(one.desired, dict) and isinstance(one.live, dict) and not _is_whole(one.keys, entries):
        for key, value in one.desired.items():
            part = Difference(f"{one.path}.{key}", (*one.keys, f"f:{key}"), value, one.live.get(key, MISSING))
            yield from _parts(part, entries)
    elif not same(one.desired, one.live):
        yield one


def _is_whole(keys: Sequence[str], entries: Iterable[Entry]) -> bool:
    """Does anybody own the value that is there as a whole?"""
    return any(fields.at(entry.get("fieldsV1") or {}, keys) == {} for entry in entries)


def _added(
    entries: Sequence[Entry], desired: Manifest, live: Manifest, ours: fields.Fields, predecessors: Predecessors
) -> list[Difference]:
    """Fields that people added by hand with kubectl: they would be removed."""
    result = []
    for entry in entries:
        if not predecessors.includes(entry):
            continue
        theirs = fields.difference(entry.get("fieldsV1") or {}, ours)
        for keys in fields.paths(theirs):
            value = _at(live, keys)
            if _at(desired, keys) is MISSING and value is not MISSING and keys[-1] != f"f:{LAST_APPLIED}":
                result.append(Difference(_path(keys), keys, MISSING, value))
    return result


def _path(keys: Sequence[str]) -> str:
    return "".join(f".{key[2:]}" if key.startswith("f:") else f"[{key}]" for key in keys)


def author(entries: Iterable[Entry], keys: Sequence[str], ours: str) -> Author:
    """Who has the field now; of a field that nobody has, who wrote the object last."""
    others = [entry for entry in entries if entry.get("manager") != ours or entry.get("operation") != "Apply"]
    having = [entry for entry in others if fields.holds(entry.get("fieldsV1") or {}, keys)]
    candidates = having or [entry for entry in others if not entry.get("subresource")]
    if not candidates:
        return Author()
    last = max(candidates, key=lambda entry: str(entry.get("time") or ""))
    return Author(*(str(last.get(key) or "") for key in ("manager", "operation", "time")))


def _at(value: Any, keys: Sequence[str]) -> Any:
    """What is at a place; MISSING where there is nothing."""
    for key in keys:
        if key.startswith("f:") and isinstance(value, Mapping):
            value = value.get(key[2:], MISSING)
        elif isinstance(value, list):
            value = _item(value, key)
        else:
            return MISSING
    return value


def _item(items: list[Any], key: str) -> Any:
    if (keys := fields.item_keys(key)) is not None:
        found = fields.find_item(items, keys)
        return MISSING if found is None else found
    if key.startswith("v:"):
        return next((item for item in items if orjson.dumps(item) == key[2:].encode()), MISSING)
    index = int(key[2:]) if key.startswith("i:") and key[2:].isdigit() else len(items)
    return items[index] if index < len(items) else MISSING


def _shown(value: Any, *, hidden: bool) -> str | None:
    if value is MISSING:
        return None
    if hidden:
        return MASK
    text = orjson.dumps(value).decode()
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
