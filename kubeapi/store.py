"""The objects: serialised snapshots under one growing resourceVersion, with enough history to resume a watch.

An Entry is one object at one resourceVersion and never changes; a write replaces it. What is kept is the JSON itself,
so reading it out costs nothing and nobody can change a stored object by accident: `Entry.manifest()` decodes a copy.
Every write is one Change, handed in order to whoever listens, before the writer goes on. All of it runs on one thread:
there are no locks, and a reader that doesn't await sees one consistent state.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import orjson

from kubeapi.errors import expired

Manifest = dict[str, Any]
Storage = tuple[str, str]

HISTORY = 4096
"""Changes kept per resource, at most."""
HISTORY_BYTES = 32 * 1024 * 1024
"""Size of the changes kept per resource, at most."""


class Entry:
    """One object at one resourceVersion, as JSON that starts with apiVersion and kind."""

    __slots__ = (
        "api_version",
        "deleting",
        "forms",
        "head",
        "key",
        "kind",
        "labels",
        "name",
        "namespace",
        "owners",
        "raw",
        "rv",
        "uid",
    )

    def __init__(self, key: str, rv: int, manifest: Manifest):
        metadata = manifest["metadata"]
        metadata["resourceVersion"] = str(rv)
        self.key = key
        self.rv = rv
        self.api_version: str = manifest["apiVersion"]
        self.kind: str = manifest["kind"]
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace", "")
        self.uid: str = metadata.get("uid", "")
        self.labels: dict[str, str] = metadata.get("labels") or {}
        self.owners: tuple[Manifest, ...] = tuple(metadata.get("ownerReferences") or ())
        """Its owner references, as read; not to be changed, like labels."""
        self.deleting = "deletionTimestamp" in metadata
        ordered = {"apiVersion": self.api_version, "kind": self.kind, **manifest}
        self.raw: bytes = orjson.dumps(ordered)
        self.head = len(head_of(self.api_version, self.kind))
        self.forms: dict[Any, bytes] | None = None
        """Other serialisations of this entry that several readers may share; see kubeapi.present."""

    def manifest(self) -> Manifest:
        """A fresh copy; the caller may change it."""
        manifest: Manifest = orjson.loads(self.raw)
        return manifest

    def body(self) -> bytes:
        """The JSON after apiVersion and kind: starts with a comma, or is the closing brace."""
        return self.raw[self.head :]


def head_of(api_version: str, kind: str) -> bytes:
    """The bytes with which an entry's JSON starts."""
    return b'{"apiVersion":' + orjson.dumps(api_version) + b',"kind":' + orjson.dumps(kind)


class Change:
    """One write: the object afterwards and before. For DELETED, afterwards is its last state, at the resourceVersion of
    the deletion."""

    __slots__ = ("_left", "before", "entry", "rv", "storage", "type")

    def __init__(self, storage: Storage, type_: str, entry: Entry, before: Entry | None):
        self.storage = storage
        self.type = type_
        self.rv = entry.rv
        self.entry = entry
        self.before = before
        self._left: Entry | None = None

    def left(self) -> Entry:
        """The object before, at this change's resourceVersion: what a selection sees when the object leaves it."""
        if self._left is None:
            assert self.before is not None
            self._left = Entry(self.before.key, self.rv, self.before.manifest())
        return self._left


Listener = Callable[[Change], None]


class Journal(Protocol):
    """Where writes go to survive the process. `write` returns once they would."""

    def write(self, storage: Storage, key: str, rv: int, raw: bytes | None) -> None: ...


class Shelf:
    """All objects of one resource and their recent changes."""

    __slots__ = ("entries", "floor", "history", "history_bytes", "keys", "listeners")

    def __init__(self, floor: int) -> None:
        self.entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        self.history: deque[Change] = deque()
        self.history_bytes = 0
        self.floor = floor
        """Every change after this resourceVersion is in the history."""
        self.listeners: dict[int, Listener] = {}

    def remember(self, change: Change) -> None:
        self.history.append(change)
        self.history_bytes += len(change.entry.raw)
        while len(self.history) > HISTORY or self.history_bytes > HISTORY_BYTES:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        oldest = self.history.popleft()
        self.history_bytes -= len(oldest.entry.raw)
        self.floor = oldest.rv


class Store:
    """All objects. Namespaced objects are keyed "namespace/name", the others "name"."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.rv = 1
        self.journal = journal
        self._shelves: dict[Storage, Shelf] = {}
        self._listeners: dict[int, Listener] = {}
        self._next = 0

    def _shelf(self, storage: Storage) -> Shelf:
        shelf = self._shelves.get(storage)
        if shelf is None:
            # With nothing ever stored here, a watch may resume from any resourceVersion there has been.
            shelf = self._shelves[storage] = Shelf(0)
        return shelf

    # -- reading

    def get(self, storage: Storage, namespace: str, name: str) -> Entry | None:
        shelf = self._shelves.get(storage)
        return None if shelf is None else shelf.entries.get(f"{namespace}/{name}" if namespace else name)

    def entries(self, storage: Storage, namespace: str = "") -> list[Entry]:
        """The current objects in key order."""
        shelf = self._shelves.get(storage)
        if shelf is None:
            return []
        entries = shelf.entries
        if not namespace:
            return [entries[key] for key in shelf.keys]
        start = bisect_left(shelf.keys, namespace + "/")
        end = bisect_left(shelf.keys, namespace + "0")  # "0" follows "/"
        return [entries[key] for key in shelf.keys[start:end]]

    def entries_at(self, storage: Storage, rv: int, namespace: str = "") -> list[Entry]:
        """The objects as they were at an older resourceVersion; 410 when the history doesn't reach back that far."""
        if rv >= self.rv:
            return self.entries(storage, namespace)
        shelf = self._shelf(storage)
        if rv < shelf.floor:
            raise expired(f"The provided resource version {rv} is too old to display a consistent list result.")
        entries = dict(shelf.entries)
        for change in reversed(shelf.history):
            if change.rv <= rv:
                break
            if change.before is None:
                entries.pop(change.entry.key, None)
            else:
                entries[change.entry.key] = change.before
        prefix = namespace + "/" if namespace else ""
        return [entries[key] for key in sorted(entries) if key.startswith(prefix)]

    def count(self, storage: Storage) -> int:
        shelf = self._shelves.get(storage)
        return 0 if shelf is None else len(shelf.entries)

    def storages(self) -> Iterator[Storage]:
        yield from list(self._shelves)

    def changes_since(self, storage: Storage, rv: int) -> list[Change]:
        """The changes after a resourceVersion; 410 when some of them are forgotten."""
        shelf = self._shelf(storage)
        if rv < shelf.floor:
            raise expired(f"too old resource version: {rv} ({shelf.floor})")
        found: list[Change] = []
        for change in reversed(shelf.history):
            if change.rv <= rv:
                break
            found.append(change)
        found.reverse()
        return found

    # -- writing

    def put(self, storage: Storage, manifest: Manifest) -> Entry:
        """Create or replace an object; the manifest is taken over and gets the new resourceVersion."""
        metadata = manifest["metadata"]
        namespace = metadata.get("namespace", "")
        name = metadata["name"]
        key = f"{namespace}/{name}" if namespace else name
        shelf = self._shelf(storage)
        before = shelf.entries.get(key)
        entry = Entry(key, self.rv + 1, manifest)
        if self.journal is not None:
            self.journal.write(storage, key, entry.rv, entry.raw)
        self.rv = entry.rv
        if before is None:
            insort(shelf.keys, key)
        shelf.entries[key] = entry
        self._publish(shelf, Change(storage, "ADDED" if before is None else "MODIFIED", entry, before))
        return entry

    def remove(self, storage: Storage, entry: Entry) -> Entry:
        """Delete an object; gives its last state at the resourceVersion of the deletion."""
        shelf = self._shelf(storage)
        before = shelf.entries[entry.key]
        last = Entry(entry.key, self.rv + 1, before.manifest())
        if self.journal is not None:
            self.journal.write(storage, entry.key, last.rv, None)
        self.rv = last.rv
        del shelf.entries[entry.key]
        del shelf.keys[bisect_left(shelf.keys, entry.key)]
        self._publish(shelf, Change(storage, "DELETED", last, before))
        return last

    def load(self, storage: Storage, key: str, raw: bytes) -> None:
        """Take in an object from the journal at its own resourceVersion: nobody is told."""
        manifest: Manifest = orjson.loads(raw)
        shelf = self._shelf(storage)
        entry = Entry(key, int(manifest["metadata"]["resourceVersion"]), manifest)
        if key not in shelf.entries:
            insort(shelf.keys, key)
        shelf.entries[key] = entry

    def loaded(self, rv: int) -> None:
        """End of loading: changes up to `rv` are not known, so no watch resumes from before it."""
        self.rv = max(self.rv, rv)
        for shelf in self._shelves.values():
            shelf.floor = self.rv

    def expire(self, storage: Storage | None = None) -> None:
        """Forget the history: every watch that resumes from before now gets 410."""
        for key, shelf in self._shelves.items():
            if storage is None or key == storage:
                shelf.history.clear()
                shelf.history_bytes = 0
                shelf.floor = self.rv

    # -- being told

    def listen(self, listener: Listener, storage: Storage | None = None) -> Callable[[], None]:
        """Call `listener` with every later change (of one resource, or of all); gives the function that ends it."""
        self._next += 1
        token = self._next
        listeners = self._listeners if storage is None else self._shelf(storage).listeners
        listeners[token] = listener
        return lambda: listeners.pop(token, None) and None

    def _publish(self, shelf: Shelf, change: Change) -> None:
        shelf.remember(change)
        for listener in list(shelf.listeners.values()):
            listener(change)
        for listener in list(self._listeners.values()):
            listener(change)
