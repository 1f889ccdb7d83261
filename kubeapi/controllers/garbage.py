"""The garbage collector: what owners leave behind goes, waits or is set free, as ownerReferences and finalizers say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change, Entry, Storage
from kubeapi.writes import FOREGROUND, ORPHAN, DeleteOptions

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]
Place = tuple[Storage, str]
"""Where an object is: its storage and its key."""
Key = tuple[str, Place]
"""("dependent" or "owner", where)."""


class GarbageCollector(Controller[Key]):
    """Follows owner references by uid."""

    name = "garbage-collector"

    def __init__(self, cluster: Cluster):
        super().__init__(cluster)
        self._owners: dict[Place, tuple[str, ...]] = {}
        self._dependents: dict[str, dict[Place, None]] = {}

    def dependents(self, uid: str) -> list[Place]:
        """Where the objects are that refer to an owner."""
        return list(self._dependents.get(uid, ()))

    def initial(self) -> list[Key]:
        found: list[Key] = []
        for storage in list(self.cluster.store.storages()):
            for entry in self.cluster.store.entries(storage):
                place = (storage, entry.key)
                self._index(place, entry)
                if place in self._owners:
                    found.append(("dependent", place))
                if entry.deleting:
                    found.append(("owner", place))
        return found

    def _index(self, place: Place, entry: Entry | None) -> tuple[str, ...]:
        owners: tuple[str, ...] = ()
        if entry is not None:
            owners = tuple(str(reference.get("uid", "")) for reference in entry.owners)
        before = self._owners.get(place, ())
        if owners == before:
            return owners
        for uid in before:
            known = self._dependents.get(uid)
            if known is not None:
                known.pop(place, None)
                if not known:
                    del self._dependents[uid]
        for uid in owners:
            self._dependents.setdefault(uid, {})[place] = None
        if owners:
            self._owners[place] = owners
        else:
            self._owners.pop(place, None)
        return owners

    def keys(self, change: Change) -> list[Key]:
        entry = change.entry
        place = (change.storage, entry.key)
        gone = change.type == "DELETED"
        before = self._owners.get(place, ())
        owners = self._index(place, None if gone else entry)
        found: list[Key] = []
        if gone:
            found += [("dependent", dependent) for dependent in self._dependents.get(entry.uid, ())]
            # An owner that waits for this dependent may go now.
            for uid in before:
                owner = self._find(uid, change, entry)
                if owner is not None:
                    found.append(("owner", owner))
            return found
        if owners and (owners != before or change.type == "ADDED"):
            found.append(("dependent", place))
        if entry.deleting:
            found.append(("owner", place))
        return found

    def _find(self, uid: str, change: Change, entry: Entry) -> Place | None:
        """Where the owner with this uid is, by the reference that the change's object had to it."""
        for reference in entry.owners:
            if reference.get("uid") == uid:
                owner = self._owner(reference, entry.namespace)
                return None if owner is None else owner[0]
        return None

    def _owner(self, reference: Manifest, namespace: str) -> tuple[Place, Entry] | None:
        """The owner a reference means, or None when it isn't there (any more)."""
        api_version, kind = str(reference.get("apiVersion", "")), str(reference.get("kind", ""))
        resource = self.cluster.registry.of_kind(api_version, kind)
        if resource is None:
            # The reference may name a version that isn't served any more.
            group = api_version.rpartition("/")[0]
            resource = next((r for r in self.cluster.registry.served() if r.group == group and r.kind == kind), None)
            if resource is None:
                return None
        scope = namespace if resource.namespaced else ""
        entry = self.cluster.store.get(resource.storage, scope, str(reference.get("name", "")))
        if entry is None or entry.uid != reference.get("uid"):
            return None
        return (resource.storage, entry.key), entry

    def act(self, key: Key) -> None:
        role, (storage, name) = key
        namespace, _, short = name.rpartition("/")
        entry = self.cluster.store.get(storage, namespace, short)
        if entry is None:
            return
        if role == "dependent":
            self._look_after(storage, entry)
        else:
            self._release(storage, entry)

    def _look_after(self, storage: Storage, entry: Entry) -> None:
        """Delete an object whose owners are all gone; take single references to owners that are gone out."""
        manifest = entry.manifest()
        references = manifest["metadata"].get("ownerReferences") or []
        if not references:
            return
        solid: list[Manifest] = []
        waiting: list[Manifest] = []
        for reference in references:
            owner = self._owner(reference, entry.namespace)
            if owner is None:
                if self._unknowable(reference):
                    solid.append(reference)
            elif owner[1].deleting and FOREGROUND in (owner[1].manifest()["metadata"].get("finalizers") or ()):
                waiting.append(reference)
            else:
                solid.append(reference)
        if len(solid) == len(references):
            return
        resource = self.cluster.registry.any_version(*storage)
        if resource is None:
            return
        if solid:
            writes.change(self.cluster, resource, entry.namespace, entry.name, lambda live: _with_owners(live, solid))
            return
        if entry.deleting:
            return
        propagation = ""
        if waiting:
            # The dependents of a foreground deletion go the same way when they have dependents themselves.
            blocks = any(reference.get("blockOwnerDeletion") for reference in waiting)
            propagation = "Foreground" if blocks and self._dependents.get(entry.uid) else "Background"
        elif ORPHAN not in (manifest["metadata"].get("finalizers") or ()):
            propagation = "Background"
        options = DeleteOptions(uid=entry.uid, propagation=propagation)
        writes.delete(self.cluster, resource, entry.namespace, entry.name, options)

    def _unknowable(self, reference: Manifest) -> bool:
        """Whether the owner's kind isn't served at all: then nobody can say that the owner is gone."""
        api_version, kind = str(reference.get("apiVersion", "")), str(reference.get("kind", ""))
        group = api_version.rpartition("/")[0]
        return not any(r.group == group and r.kind == kind for r in self.cluster.registry.served())

    def _release(self, storage: Storage, entry: Entry) -> None:
        """Let an owner that is being deleted go, once its finalizers of this controller are served."""
        if not entry.deleting:
            return
        finalizers = entry.manifest()["metadata"].get("finalizers") or []
        resource = self.cluster.registry.any_version(*storage)
        if resource is None:
            return
        if ORPHAN in finalizers:
            for place in list(self._dependents.get(entry.uid, ())):
                self._set_free(place, entry.uid)
            self._drop_finalizer(resource, entry, ORPHAN)
        elif FOREGROUND in finalizers:
            blocking = False
            for place in list(self._dependents.get(entry.uid, ())):
                dependent = self._at(place)
                if dependent is None:
                    continue
                self.queue(("dependent", place))
                references = dependent.manifest()["metadata"].get("ownerReferences") or ()
                blocking = blocking or any(
                    r.get("uid") == entry.uid and r.get("blockOwnerDeletion") for r in references
                )
            if not blocking:
                self._drop_finalizer(resource, entry, FOREGROUND)

    def _at(self, place: Place) -> Entry | None:
        storage, key = place
        namespace, _, name = key.rpartition("/")
        return self.cluster.store.get(storage, namespace, name)

    def _set_free(self, place: Place, uid: str) -> None:
        dependent = self._at(place)
        resource = self.cluster.registry.any_version(*place[0])
        if dependent is None or resource is None:
            return
        writes.change(
            self.cluster,
            resource,
            dependent.namespace,
            dependent.name,
            lambda live: _with_owners(
                live, [r for r in live["metadata"].get("ownerReferences") or () if r.get("uid") != uid]
            ),
        )

    def _drop_finalizer(self, resource: Any, entry: Entry, finalizer: str) -> None:
        def without(live: Manifest) -> Manifest:
            kept = [f for f in live["metadata"].get("finalizers") or () if f != finalizer]
            if kept:
                live["metadata"]["finalizers"] = kept
            else:
                live["metadata"].pop("finalizers", None)
            return live

        writes.change(self.cluster, resource, entry.namespace, entry.name, without)


def _with_owners(live: Manifest, references: list[Manifest]) -> Manifest:
    if references:
        live["metadata"]["ownerReferences"] = references
    else:
        live["metadata"].pop("ownerReferences", None)
    return live
