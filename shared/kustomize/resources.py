"""The ordered set of objects that a build has gathered, with indexes so that look-ups cost the same at any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .errors import BuildError, Problem
from .generators import normalised_secret
from .resource import ORIGIN, Id, Resource
from .scalars import text
from .selectors import Selector


class Resources:
    """Objects in load order; no two have the same id of now.

    Steps change objects in place, so the indexes are made when asked for and dropped by `changed()`, which everything
    that changes a name, namespace, kind or apiVersion has to call.
    """

    def __init__(self, items: Iterable[Resource] = ()) -> None:
        self.items: list[Resource] = []
        self._by_id: dict[Id, Resource] | None = {}
        self._by_any_id: dict[Id, list[Resource]] | None = None
        for item in items:
            self.append(item)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def changed(self) -> None:
        self._by_id = None
        self._by_any_id = None

    def _ids(self) -> dict[Id, Resource]:
        if self._by_id is None:
            self._by_id = {item.id: item for item in self.items}
        return self._by_id

    def append(self, item: Resource) -> None:
        """Add an object. BuildError when one with its id is there."""
        ids, key = self._ids(), item.id
        if key in ids:
            first = ids[key]
            where = f"; the other one is in {first.files[0]}" if first.files else ""
            raise BuildError(
                Problem(
                    f"may not add resource with an already registered id: {key}{where}: remove one of them",
                    item.file,
                    item.line,
                    "resources",
                )
            )
        ids[key] = item
        self.items.append(item)
        if self._by_any_id is not None:
            self._index(item)

    def append_all(self, items: Iterable[Resource]) -> None:
        for item in items:
            self.append(item)

    def with_id(self, wanted: Id) -> list[Resource]:
        """The objects that have or had this id, in order."""
        if self._by_any_id is None:
            self._by_any_id = {}
            for item in self.items:
                self._index(item)
        candidates = self._by_any_id.get(wanted, ())
        return [item for item in candidates if not item.is_empty() and wanted in item.all_ids()]

    def _index(self, item: Resource) -> None:
        assert self._by_any_id is not None
        if item.is_empty():
            return
        for key in dict.fromkeys(item.all_ids()):
            others = self._by_any_id.setdefault(key, [])
            if item not in others:
                others.append(item)

    def touch(self, item: Resource) -> None:
        """One object has a new id: cheaper than `changed()`, for steps that change few."""
        self._by_id = None
        if self._by_any_id is not None:
            self._index(item)

    def only_with_id(self, wanted: Id) -> Resource:
        """The one object that has or had this id."""
        found = self.with_id(wanted)
        if len(found) == 1:
            return found[0]
        if found:
            raise BuildError(f"{wanted} is not unique: {len(found)} objects have or had this id")
        raise BuildError(f"no object {wanted}: a patch must name one, or use `target`")

    def select(self, selector: Selector) -> list[Resource]:
        """The objects that a patch target means: names and namespaces of now or of the beginning."""
        return [item for item in self.items if selector.matches(item)]

    def absorb(self, items: Iterable[Resource]) -> None:
        """Take what a generator made: add it, or merge it into what is there, as its `behavior` says."""
        for item in items:
            self._absorb(item)

    def _absorb(self, item: Resource) -> None:
        key = item.id
        found = self.with_id(key)
        if not found:
            if item.behavior in ("merge", "replace"):
                raise BuildError(f"{key} does not exist, so it cannot be changed with behavior {item.behavior!r}")
            self.append(item)
            return
        if len(found) > 1:
            raise BuildError(f"{key} is not unique: {len(found)} objects have or had this id")
        old, behavior = found[0], item.behavior
        if behavior not in ("merge", "replace"):
            raise BuildError(
                f"{key} exists already: set behavior to merge or replace, or give the generator another name"
            )
        keep = old.annotation(ORIGIN) if behavior == "merge" else None
        source = old
        if behavior == "merge" and item.api_version == "v1" and item.kind == "Secret":
            source = normalised_secret(old)
        inherit(item, old)
        if behavior == "merge":
            _merge_data(item, source, "data")
            _merge_data(item, old, "binaryData")
            if keep is not None:
                item.annotate(ORIGIN, keep)
        index = self.items.index(old)
        if item.id != old.id:
            raise BuildError(f"{key} cannot replace {old.id}")
        item.files = (*old.files, *(f for f in item.files if f not in old.files))
        self.items[index] = item
        self._take_place(item, old)

    def _take_place(self, item: Resource, old: Resource) -> None:
        """Index an object instead of one with the same ids."""
        if self._by_id is not None:
            self._by_id[item.id] = item
        if self._by_any_id is not None:
            for key in dict.fromkeys(old.all_ids()):
                others = self._by_any_id.get(key, [])
                self._by_any_id[key] = [item if other is old else other for other in others]

    def drop_empty(self) -> None:
        if any(item.is_empty() for item in self.items):
            self.items = [item for item in self.items if not item.is_empty()]
            self.changed()

    def replace_items(self, items: list[Resource]) -> None:
        self.items = items
        self.changed()


def inherit(item: Resource, old: Resource) -> None:
    """Give `item` the name, labels, annotations and history of the object that it takes the place of."""
    item.set_mapping("labels", {**old.labels, **item.labels})
    item.set_mapping("annotations", {**old.annotations, **item.annotations})
    item.set_name(old.name)
    item.set_namespace(old.namespace)
    item.former = list(old.former)
    item.prefixes = list(old.prefixes)
    item.suffixes = list(old.suffixes)
    item.needs_hash = item.needs_hash and old.needs_hash
    item.behavior = old.behavior
    item.variables = list(old.variables)


def _merge_data(item: Resource, old: Resource, field: str) -> None:
    merged = {**data_map(old, field), **data_map(item, field)}
    item.value.pop(field, None)
    if merged:
        item.value[field] = dict(sorted(merged.items()))


def data_map(item: Resource, field: str) -> dict[str, str]:
    found = item.value.get(field)
    return {key: text(value) for key, value in found.items()} if isinstance(found, dict) else {}
