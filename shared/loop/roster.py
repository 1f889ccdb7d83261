"""The custom resources that a controller has seen, newest first hand: what stories and wakes read instead of the API.

Watches feed it, and so do the answers to our own writes; of two the one with the greater resourceVersion stays, so a
story never works on an object that is older than its own last write. Objects are decoded once, here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from shared.api.meta import Named

R = TypeVar("R", bound=Named)
Name = tuple[str, str]
"""Namespace and name."""


class Roster(Generic[R]):
    """The objects of one kind by namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[Name, R] = {}
        self._gone: dict[str, None] = {}
        self.changes = 0
        """How often something changed: whoever made something of the objects can tell whether it still holds."""

    def put(self, obj: R) -> R | None:
        """Take in a state of an object; returns the one it replaces, or the same object when it is not newer."""
        name = (obj.metadata.namespace or "", obj.metadata.name)
        old = self._objects.get(name)
        if obj.metadata.uid in self._gone or (old is not None and not _newer(obj, old)):
            return obj
        self._objects[name] = obj
        self.changes += 1
        return old

    def drop(self, namespace: str, name: str, uid: str | None = None) -> R | None:
        """Forget an object that is gone; a late state of the same uid is not taken in again."""
        old = self._objects.get((namespace, name))
        if old is None or (uid is not None and old.metadata.uid != uid):
            return None
        del self._objects[(namespace, name)]
        self.changes += 1
        if old.metadata.uid:
            self._gone[old.metadata.uid] = None
            while len(self._gone) > 1024:
                del self._gone[next(iter(self._gone))]
        return old

    def get(self, namespace: str, name: str) -> R | None:
        """The newest known state of an object."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)


def _newer(obj: Named, old: Named) -> bool:
    return version(obj) > version(old)


def version(obj: Named) -> int:
    """The resourceVersion as a number; API servers promise that those of one resource compare as such."""
    try:
        return int(obj.metadata.resource_version or 0)
    except ValueError:
        return 0
