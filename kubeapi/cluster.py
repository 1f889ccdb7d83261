"""The state of one embedded cluster: its objects, the resources it serves, its clock, and what admits a write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeapi import conversion
from kubeapi.clock import Clock
from kubeapi.errors import StatusError
from kubeapi.resources import Registry, Resource, built_in
from kubeapi.store import Entry, Journal, Store
from kubeapi.writes import DeleteOptions, Options

Manifest = dict[str, Any]
Before = Callable[[Resource, Manifest, Manifest | None, Options], None]
Created = Callable[[Resource, str, Manifest, Options], None]
Updated = Callable[[Resource, Manifest, Manifest, Options], None]
Requested = Callable[[Resource, Manifest, tuple[str, str], Options], None]
Deleting = Callable[[Resource, Manifest, DeleteOptions], None]


class Admission:
    """Functions that see each write before it is stored and may refuse it (StatusError) or change the new object."""

    def __init__(self) -> None:
        self.on_admitting: list[Before] = []
        """First, as the client sent it: (resource, new, old or None, options); may change the new object in place. Its
        name may not be generated yet."""
        self.on_changing: list[Before] = []
        """Then, the same for what the cluster's users declare."""
        self.on_before: list[Before] = []
        """Before defaulting and validation, as it is to be stored; may change the new object."""
        self.on_judging: list[Before] = []
        """After validation: may refuse, and change nothing."""
        self.on_created: list[Created] = []
        self.on_updated: list[Updated] = []
        self.on_requested: list[Requested] = []
        """Before a subresource that stores nothing of its own acts: (resource, the body, namespace and name of whose it
        is, options with the subresource); may refuse it."""
        self.on_deleting: list[Deleting] = []
        """Before a deletion: (resource, the live object, options)."""

    def admitting(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        for function in (*self.on_admitting, *self.on_changing):
            function(resource, manifest, old, options)

    def judging(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        for function in self.on_judging:
            function(resource, manifest, old, options)

    def before(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        for function in self.on_before:
            function(resource, manifest, old, options)

    def created(self, resource: Resource, namespace: str, manifest: Manifest, options: Options) -> None:
        for function in self.on_created:
            function(resource, namespace, manifest, options)

    def updated(self, resource: Resource, manifest: Manifest, old: Manifest, options: Options) -> None:
        for function in self.on_updated:
            function(resource, manifest, old, options)

    def requested(self, resource: Resource, body: Manifest, key: tuple[str, str], options: Options) -> None:
        for function in self.on_requested:
            function(resource, body, key, options)

    def deleting(self, resource: Resource, live: Manifest, options: DeleteOptions) -> None:
        for function in self.on_deleting:
            function(resource, live, options)


class Cluster:
    """All that handlers and controllers share."""

    def __init__(self, journal: Journal | None = None) -> None:
        self.store = Store(journal)
        self.registry = Registry(built_in())
        self.clock = Clock()
        self.admission = Admission()
        self.read_only = False
        """Refuses every write that changes something, as a server that lost its storage does."""

    # -- objects as one version shows them

    def entry(self, resource: Resource, namespace: str, name: str) -> Entry | None:
        return self.store.get(resource.storage, namespace, name)

    def live(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """A copy of the live object in the resource's version, or None."""
        entry = self.store.get(resource.storage, namespace, name)
        return None if entry is None else self.manifest(resource, entry)

    def manifest(self, resource: Resource, entry: Entry) -> Manifest:
        """A copy of an entry in the resource's version."""
        manifest = entry.manifest()
        if entry.api_version != resource.api_version:
            manifest = conversion.convert(manifest, resource)
        return manifest

    def manifests(self, resource: Resource, namespace: str = "") -> list[Manifest]:
        return [self.manifest(resource, entry) for entry in self.store.entries(resource.storage, namespace)]

    # -- writing what has been decided

    def put(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Store an object in its storage version; gives it in the resource's version, as stored."""
        self._require_writable()
        stored = conversion.to_storage(manifest, resource, self.registry)
        entry = self.store.put(resource.storage, stored)
        if stored is not manifest:
            return self.manifest(resource, entry)
        return manifest

    def remove(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """Take an object out; gives its last state."""
        self._require_writable()
        entry = self.store.get(resource.storage, namespace, name)
        assert entry is not None
        return self.manifest(resource, self.store.remove(resource.storage, entry))

    def _require_writable(self) -> None:
        if self.read_only:
            raise StatusError(
                503, "ServiceUnavailable", "the embedded Kubernetes API is read-only: faults.read_only is set"
            )

    def resource(self, api_version: str, kind: str) -> Resource:
        """A resource that must be served; LookupError otherwise."""
        found = self.registry.of_kind(api_version, kind)
        if found is None:
            raise LookupError(f"{api_version} {kind} is not served")
        return found
