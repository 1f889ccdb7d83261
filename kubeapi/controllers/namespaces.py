"""Namespaces: nothing is created in one that isn't there or is going, and a deleted one takes its contents along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.errors import Cause, StatusError, forbidden, not_found, shown_name
from kubeapi.resources import Resource
from kubeapi.store import Change
from kubeapi.writes import DeleteOptions, Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

STORAGE = ("", "namespaces")
LABEL = "kubernetes.io/metadata.name"
_AGAIN = 1.0
"""Seconds until what could not be deleted is tried again."""
IMMORTAL = ("default", "kube-system", "kube-public")


class Namespaces(Controller[str]):
    """Empties and removes namespaces that are being deleted; admits what is created in the others."""

    name = "namespace-controller"

    def __init__(self, cluster: Cluster):
        super().__init__(cluster)
        self._waits: dict[str, None] = {}
        cluster.admission.on_admitting.append(self._require_living)
        cluster.admission.on_before.append(_label)
        cluster.admission.on_deleting.append(_require_mortal)

    def _require_living(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        """Nothing is made in a namespace that isn't there or that is going."""
        metadata = manifest["metadata"]
        if old is not None or not resource.namespaced or "create" not in resource.verbs:
            return
        name = metadata.get("namespace", "")
        entry = self.cluster.store.get(STORAGE, "", name)
        if entry is None:
            raise not_found("", "namespaces", name)
        if entry.deleting:
            problem = f"unable to create new content in namespace {name} because it is being terminated"
            cause = Cause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
            raise forbidden(resource.group, resource.plural, shown_name(metadata), problem, [cause])

    def keys(self, change: Change) -> list[str]:
        if change.storage == STORAGE:
            return [change.entry.name] if change.entry.deleting and change.type != "DELETED" else []
        # The last objects of a namespace that waits for them are going.
        if change.type == "DELETED" and change.entry.namespace in self._waits:
            return [change.entry.namespace]
        return []

    def initial(self) -> list[str]:
        return [entry.name for entry in self.cluster.store.entries(STORAGE) if entry.deleting]

    def act(self, key: str) -> None:
        entry = self.cluster.store.get(STORAGE, "", key)
        if entry is None or not entry.deleting:
            self._waits.pop(key, None)
            return
        self._waits[key] = None
        remaining, problems = self._empty(key)
        resource = self.cluster.resource("v1", "Namespace")
        elsewhere = self.cluster.registry.elsewhere()
        if elsewhere or problems:
            # Nothing that changes here tells when another server, a policy or a webhook thinks better of it.
            self.queue_after(key, _AGAIN)
        if remaining or elsewhere:
            writes.change(self.cluster, resource, "", key, lambda live: self._report(live, remaining, problems))
            return
        self._waits.pop(key, None)
        writes.change(self.cluster, resource, "", key, _finalized, subresource="finalize")

    def _empty(self, namespace: str) -> tuple[list[tuple[str, list[str]]], list[str]]:
        """Delete everything in a namespace; gives what is still there, by resource with its finalizers, and why what
        could not be deleted."""
        remaining: list[tuple[str, list[str]]] = []
        problems: dict[str, str] = {}
        for storage in list(self.cluster.store.storages()):
            entries = self.cluster.store.entries(storage, namespace)
            if not entries:
                continue
            resource = self.cluster.registry.any_version(*storage)
            if resource is None or not resource.namespaced:
                continue
            for entry in entries:
                if entry.deleting:
                    continue
                try:
                    writes.delete(
                        self.cluster, resource, namespace, entry.name, DeleteOptions(propagation="Background")
                    )
                except StatusError as error:
                    problems.setdefault(resource.group_resource, error.message)
            for entry in self.cluster.store.entries(storage, namespace):
                finalizers = entry.manifest()["metadata"].get("finalizers") or []
                remaining.append((resource.group_resource, finalizers))
        return remaining, list(problems.values())

    def _discovery(self) -> tuple[str, str, str, str]:
        """Whether all that may be in a namespace is known: not while a group is said to be served elsewhere."""
        type_ = "NamespaceDeletionDiscoveryFailure"
        elsewhere = [f"{group}/{version}" for group, version in self.cluster.registry.elsewhere()]
        if not elsewhere:
            return type_, "False", "ResourcesDiscovered", "All resources successfully discovered"
        stale = ", ".join(f"{one}: stale GroupVersion discovery: {one}" for one in elsewhere)
        told = f"unable to retrieve the complete list of server APIs: {stale}"
        return type_, "True", "DiscoveryFailed", f"Discovery failed for some groups, {len(elsewhere)} failing: {told}"

    def _report(self, live: Manifest, remaining: list[tuple[str, list[str]]], problems: list[str]) -> Manifest:
        counts: dict[str, int] = {}
        finalizers: dict[str, int] = {}
        for name, held in remaining:
            counts[name] = counts.get(name, 0) + 1
            for finalizer in held:
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
        content = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(counts.items()))
        held_text = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
        now = self.cluster.clock.stamp()
        wanted = [
            self._discovery(),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                "False",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            (
                "NamespaceDeletionContentFailure",
                "True" if problems else "False",
                "ContentDeletionFailed" if problems else "ContentDeleted",
                f"Failed to delete all resource types, {len(problems)} remaining: {', '.join(problems)}"
                if problems
                else "All content successfully deleted, may be waiting on finalization",
            ),
            (
                "NamespaceContentRemaining",
                "True" if remaining else "False",
                "SomeResourcesRemain" if remaining else "ContentRemoved",
                f"Some resources are remaining: {content}" if remaining else "All content successfully removed",
            ),
            (
                "NamespaceFinalizersRemaining",
                "True" if finalizers else "False",
                "SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
                f"Some content in the namespace has finalizers remaining: {held_text}"
                if finalizers
                else "All content-preserving finalizers finished",
            ),
        ]
        status = live.setdefault("status", {})
        known = {condition["type"]: condition for condition in status.get("conditions") or ()}
        conditions = []
        for type_, value, reason, message in wanted:
            before = known.get(type_)
            since = before["lastTransitionTime"] if before and before["status"] == value else now
            conditions.append(
                {"type": type_, "status": value, "lastTransitionTime": since, "reason": reason, "message": message}
            )
        status["conditions"] = conditions
        return live


def _label(resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
    """A namespace has its name as a label."""
    metadata = manifest["metadata"]
    if resource.storage == STORAGE and metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: metadata["name"]}


def _require_mortal(resource: Resource, live: Manifest, options: DeleteOptions) -> None:
    name = live["metadata"]["name"]
    if resource.storage == STORAGE and name in IMMORTAL:
        raise forbidden(resource.group, resource.plural, name, "this namespace may not be deleted")


def _finalized(live: Manifest) -> Manifest:
    spec = live.get("spec") or {}
    finalizers = [f for f in spec.get("finalizers") or () if f != "kubernetes"]
    live["spec"] = {**spec, "finalizers": finalizers}
    if not finalizers:
        del live["spec"]["finalizers"]
    return live
