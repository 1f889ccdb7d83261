"""PersistentVolumeClaims: bound to a volume made for them after a while, unless asked to fail; it goes along."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.errors import StatusError
from kubeapi.resources import Resource
from kubeapi.store import Change
from kubeapi.workloads.base import FAIL, PODS, Tools, Workload
from kubeapi.writes import DeleteOptions, Options

Manifest = dict[str, Any]

PROTECTION = "kubernetes.io/pvc-protection"


def _protect(resource: Resource, claim: Manifest, old: Manifest | None, options: Options) -> None:
    """A new claim can't go while a pod uses it."""
    if resource.storage == ("", "persistentvolumeclaims") and old is None and not options.subresource:
        finalizers = claim["metadata"].get("finalizers") or []
        if PROTECTION not in finalizers:
            claim["metadata"]["finalizers"] = [*finalizers, PROTECTION]


class Claims(Workload):
    api_version = "v1"
    kind = "PersistentVolumeClaim"
    children = ()

    def __init__(self, tools: Tools):
        super().__init__(tools)
        self._times: dict[str, float] = {}
        tools.cluster.admission.on_before.append(_protect)

    def keys(self, change: Change) -> list[str]:
        if change.storage == PODS:
            # A pod that is gone may have been the last one to use a claim that is being deleted.
            entries = self.cluster.store.entries(self.resource.storage, change.entry.namespace)
            return [entry.key for entry in entries if entry.deleting] if change.type == "DELETED" else []
        if change.storage == self.resource.storage and change.type == "DELETED":
            self._times.pop(change.entry.uid, None)
            return [f"gone:{change.entry.uid}"]
        return super().keys(change)

    def act(self, key: str) -> None:
        kind, found, uid = key.partition("gone:")
        if found and not kind:
            self._release(uid)
        else:
            super().act(key)

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        if "deletionTimestamp" in metadata:
            self._let_go(live)
            return
        if (live.get("status") or {}).get("phase") == "Bound":
            return
        wish = self.tools.annotation(live, FAIL)
        if wish:
            self.record(live, "ProvisioningFailed", wish, "persistentvolume-controller", warning=True)
            return
        assert self._loop is not None
        due = self._times.setdefault(metadata["uid"], self._loop.time() + self.tools.delay_of(live))
        left = due - self._loop.time()
        if left > 0.0005:
            self.queue_after(key, left)
            return
        volume = spec.get("volumeName") or f"pvc-{metadata['uid']}"
        size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "1Gi")
        modes = spec.get("accessModes") or ["ReadWriteOnce"]
        self._provision(live, volume, size, modes)

        def bound(current: Manifest) -> Manifest:
            current["spec"]["volumeName"] = volume
            annotations = current["metadata"].setdefault("annotations", {})
            annotations["pv.kubernetes.io/bind-completed"] = "yes"
            annotations["pv.kubernetes.io/bound-by-controller"] = "yes"
            current["status"] = {"phase": "Bound", "accessModes": modes, "capacity": {"storage": size}}
            return current

        writes.change(self.cluster, self.resource, metadata["namespace"], metadata["name"], bound)

    def _let_go(self, live: Manifest) -> None:
        """Take the protection from a claim that is being deleted, once no pod uses it."""
        metadata = live["metadata"]
        if PROTECTION not in (metadata.get("finalizers") or ()):
            return
        for entry in self.cluster.store.entries(PODS, metadata["namespace"]):
            pod = entry.manifest()
            volumes = (pod.get("spec") or {}).get("volumes") or ()
            used = any((v.get("persistentVolumeClaim") or {}).get("claimName") == metadata["name"] for v in volumes)
            if used and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                return

        def unprotected(current: Manifest) -> Manifest:
            kept = [one for one in current["metadata"]["finalizers"] if one != PROTECTION]
            current["metadata"]["finalizers"] = kept
            if not kept:
                del current["metadata"]["finalizers"]
            return current

        writes.change(self.cluster, self.resource, metadata["namespace"], metadata["name"], unprotected)

    def _provision(self, live: Manifest, name: str, size: str, modes: list[str]) -> None:
        metadata, spec = live["metadata"], live["spec"]
        resource = self.cluster.resource("v1", "PersistentVolume")
        if self.cluster.entry(resource, "", name) is None:
            manifest: Manifest = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "kubeapi"}},
                "spec": {
                    "capacity": {"storage": size},
                    "accessModes": modes,
                    "persistentVolumeReclaimPolicy": "Delete",
                    "volumeMode": spec.get("volumeMode", "Filesystem"),
                    "hostPath": {"path": f"/var/lib/kubeapi/{name}"},
                    "claimRef": {
                        "apiVersion": "v1",
                        "kind": "PersistentVolumeClaim",
                        "namespace": metadata["namespace"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                    },
                },
            }
            if spec.get("storageClassName"):
                manifest["spec"]["storageClassName"] = spec["storageClassName"]
            try:
                writes.create(self.cluster, resource, "", manifest, Options())
            except StatusError as error:
                if error.reason != "AlreadyExists":
                    raise

        def bound(current: Manifest) -> Manifest:
            current["status"] = {"phase": "Bound"}
            return current

        writes.change(self.cluster, resource, "", name, bound, subresource="status")

    def _release(self, uid: str) -> None:
        """Delete the volume that was made for a claim that is gone."""
        name = f"pvc-{uid}"
        resource = self.cluster.resource("v1", "PersistentVolume")
        entry = self.cluster.entry(resource, "", name)
        if entry is not None and not entry.deleting:
            writes.delete(self.cluster, resource, "", name, DeleteOptions(uid=entry.uid))
