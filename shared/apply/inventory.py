"""What was applied and not yet seen gone, as the status records it.

    manifests → inventory ⇄ status

A set of objects, each with the API version it was applied in; always listed in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.api import parts
from shared.api.meta import Manifest
from shared.apply.changes import ChangeSet
from shared.apply.identity import ObjectId, version_of
from shared.apply.order import sort_key


@dataclass(frozen=True, slots=True)
class Inventory:
    """`entries` maps each object to its version; made by `of` and `from_status`."""

    entries: Mapping[ObjectId, str]
    custom_stage_kinds: Collection[tuple[str, str]] = ()

    @classmethod
    def of(cls, manifests: Iterable[Manifest], custom_stage_kinds: Collection[tuple[str, str]] = ()) -> Inventory:
        return cls({ObjectId.of(m): version_of(m) for m in manifests}, custom_stage_kinds)

    @classmethod
    def from_status(cls, status: Any) -> Inventory:
        """From `status.inventory`, decoded or plain, or None. ValueError when an entry can't be read."""
        entries = getattr(status, "entries", None) if not isinstance(status, Mapping) else status.get("entries")
        found: dict[ObjectId, str] = {}
        for entry in entries or ():
            plain = isinstance(entry, Mapping)
            id, version = (entry["id"], entry["v"]) if plain else (entry.id, entry.v)
            found[ObjectId.parse(id)] = version
        return cls(found)

    def to_status(self) -> parts.Inventory:
        """What `status.inventory` says."""
        return parts.Inventory(entries=[parts.InventoryEntry(id=id.inventory_id, v=self.entries[id]) for id in self])

    def __iter__(self) -> Iterator[ObjectId]:
        return iter(sorted(self.entries, key=lambda id: sort_key(id, self.custom_stage_kinds)))

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, id: object) -> bool:
        return id in self.entries

    def __or__(self, other: Inventory) -> Inventory:
        """Both; an object of both has the right one's version."""
        return Inventory({**self.entries, **other.entries}, other.custom_stage_kinds or self.custom_stage_kinds)

    def __sub__(self, other: Inventory | ChangeSet) -> Inventory:
        """Without those of the other; without what a prune settled: objects seen gone, and those meant to stay."""
        if isinstance(other, ChangeSet):
            left: Collection[object] = {change.id for change in other if change.settled}
        else:
            left = set(other.entries)
        kept = {id: version for id, version in self.entries.items() if id not in left}
        return Inventory(kept, self.custom_stage_kinds)

    def api_version(self, id: ObjectId) -> str:
        return id.api_version(self.entries[id])
