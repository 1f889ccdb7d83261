"""CustomResourceDefinitions: their names accepted, their resources served; removed, they take the instances along."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.errors import StatusError
from kubeapi.resources import Resource
from kubeapi.seam import crd
from kubeapi.store import Change
from kubeapi.writes import DeleteOptions

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

log = logging.getLogger("kubeapi.controllers")

STORAGE = ("apiextensions.k8s.io", "customresourcedefinitions")
FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class Definitions(Controller[str]):
    """Serves what the stored CRDs define."""

    name = "crd-controller"

    def __init__(self, cluster: Cluster):
        super().__init__(cluster)
        self._served: dict[str, tuple[Resource, ...]] = {}

    def load(self) -> None:
        """Serve every stored CRD whose names were accepted, before the first request comes."""
        for entry in self.cluster.store.entries(STORAGE):
            manifest = entry.manifest()
            if _condition(manifest, "Established") == "True":
                self._serve(entry.name, manifest)

    def keys(self, change: Change) -> list[str]:
        if change.storage == STORAGE:
            if change.type == "DELETED":
                self._withdraw(change.entry.name)
                # Names it held may be free for others now.
                return [entry.name for entry in self.cluster.store.entries(STORAGE)]
            return [change.entry.name]
        if change.type == "DELETED":
            # The last instances of a CRD that waits for them are going.
            group, plural = change.storage
            name = f"{plural}.{group}"
            waiting = self.cluster.store.get(STORAGE, "", name) if group else None
            return [name] if waiting is not None and waiting.deleting else []
        return []

    def initial(self) -> list[str]:
        return [entry.name for entry in self.cluster.store.entries(STORAGE)]

    def act(self, key: str) -> None:
        entry = self.cluster.store.get(STORAGE, "", key)
        if entry is None:
            return
        if entry.deleting:
            self._clean(key)
            return
        resource = self.cluster.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        stored = writes.change(
            self.cluster, resource, "", key, self._accept, subresource="status", manager="kube-apiserver"
        )
        if stored is not None and _condition(stored, "Established") == "True":
            self._serve(key, stored)
        elif key in self._served:
            self._withdraw(key)

    def _serve(self, name: str, manifest: Manifest) -> None:
        try:
            resources = tuple(crd.Definition.of(manifest).resources)
        except StatusError as error:
            log.error("the CRD %s can't be served: %s", name, error)
            return
        before = self._served.get(name, ())
        for resource in before:
            self.cluster.registry.remove(resource)
        for resource in resources:
            self.cluster.registry.add(resource)
        self._served[name] = resources

    def _withdraw(self, name: str) -> None:
        for resource in self._served.pop(name, ()):
            self.cluster.registry.remove(resource)

    # -- names

    def _accept(self, live: Manifest) -> Manifest:
        """The CRD with its names judged and, once they are accepted, established."""
        spec, status = live["spec"], dict(live.get("status") or {})
        names = spec["names"]
        problem = self._conflict(live["metadata"]["name"], spec["group"], names)
        conditions = [dict(condition) for condition in status.get("conditions") or ()]
        now = self.cluster.clock.stamp()
        if problem is None:
            _set(conditions, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            established = ("True", "InitialNamesAccepted", "the initial names have been accepted")
            status["acceptedNames"] = names
            if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                _set(conditions, "Established", *established, now)
        else:
            _set(conditions, "NamesAccepted", "False", problem[0], problem[1], now)
            if not any(c["type"] == "Established" for c in conditions):
                message = "not all names are accepted"
                _set(conditions, "Established", "False", "NotAccepted", message, now)
        stored = list(status.get("storedVersions") or ())
        for version in spec["versions"]:
            if version.get("storage") and version["name"] not in stored:
                stored.append(version["name"])
        status["storedVersions"] = stored
        status["conditions"] = conditions
        live["status"] = status
        return live

    def _conflict(self, own: str, group: str, names: Manifest) -> tuple[str, str] | None:
        """Which of the names another resource of the group already has."""
        taken_names: set[str] = set()
        taken_kinds: set[str] = set()
        for resource in self.cluster.registry.served():
            if resource.group == group and f"{resource.plural}.{resource.group}" != own:
                taken_names |= {resource.plural, resource.singular_name, *resource.short_names}
                taken_kinds |= {resource.kind, resource.list_name}
        for key, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
            if names.get(key) in taken_names:
                return reason, f'"{names[key]}" is already in use'
        clashes = [name for name in names.get("shortNames") or () if name in taken_names]
        if clashes:
            return "ShortNamesConflict", ", ".join(f'"{name}" is already in use' for name in clashes)
        for key, reason in (("kind", "KindConflict"), ("listKind", "ListKindConflict")):
            if names.get(key) in taken_kinds:
                return reason, f'"{names[key]}" is already in use'
        return None

    # -- removal

    def _clean(self, name: str) -> None:
        """Delete the instances of a CRD that is going; once they are gone, let it go."""
        resources = self._served.get(name, ())
        resource = self.cluster.resource("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        if resources:
            one = resources[0]
            for entry in self.cluster.store.entries(one.storage):
                if not entry.deleting:
                    options = DeleteOptions(propagation="Background")
                    writes.delete(self.cluster, one, entry.namespace, entry.name, options)
            left = self.cluster.store.count(one.storage)
            if left:
                message = f"CustomResource deletion is in progress, {left} left"
                writes.change(
                    self.cluster,
                    resource,
                    "",
                    name,
                    lambda live: self._terminating(live, "InstanceDeletionInProgress", message),
                    subresource="status",
                    manager="kube-apiserver",
                )
                return

        def done(live: Manifest) -> Manifest:
            metadata = live["metadata"]
            metadata["finalizers"] = [f for f in metadata.get("finalizers") or () if f != FINALIZER]
            if not metadata["finalizers"]:
                del metadata["finalizers"]
            return live

        writes.change(self.cluster, resource, "", name, done, manager="kube-apiserver")

    def _terminating(self, live: Manifest, reason: str, message: str) -> Manifest:
        status = live.setdefault("status", {})
        conditions = [dict(condition) for condition in status.get("conditions") or ()]
        _set(conditions, "Terminating", "True", reason, message, self.cluster.clock.stamp())
        status["conditions"] = conditions
        return live


def _condition(manifest: Manifest, type_: str) -> str:
    for condition in (manifest.get("status") or {}).get("conditions") or ():
        if condition.get("type") == type_:
            return str(condition.get("status"))
    return ""


def _set(conditions: list[Manifest], type_: str, status: str, reason: str, message: str, now: str) -> None:
    new = {"type": type_, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for position, known in enumerate(conditions):
        if known["type"] == type_:
            if known["status"] == status:
                new["lastTransitionTime"] = known["lastTransitionTime"]
            conditions[position] = new
            return
    conditions.append(new)
