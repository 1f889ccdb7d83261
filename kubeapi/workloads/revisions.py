"""ControllerRevisions: each template that a StatefulSet or DaemonSet had, numbered, for `kubectl rollout history`."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.store import Storage
from kubeapi.workloads.base import Workload, reference_to
from kubeapi.writes import DeleteOptions, Options

Manifest = dict[str, Any]

STORAGE: Storage = ("apps", "controllerrevisions")
_HASH = {"StatefulSet": "controller.kubernetes.io/hash", "DaemonSet": "controller-revision-hash"}
_KEPT = 10


def keep(workload: Workload, live: Manifest, revision: str) -> None:
    """Record the present template as the newest revision, and forget the oldest ones beyond the limit."""
    metadata, spec = live["metadata"], live["spec"]
    cluster = workload.cluster
    resource = cluster.resource("apps/v1", "ControllerRevision")
    known = {entry.name: entry.manifest() for entry in workload.tools.owned(metadata["uid"], STORAGE)}
    name = f"{metadata['name']}-{revision}"
    newest = max((int(one.get("revision", 0)) for one in known.values()), default=0)
    found = known.get(name)
    if found is not None and found.get("revision") == newest:
        return
    if found is not None:

        def renumbered(one: Manifest) -> Manifest:
            one["revision"] = newest + 1
            return one

        writes.change(cluster, resource, metadata["namespace"], name, renumbered)
        return
    template = spec["template"]
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), _HASH[workload.kind]: revision},
            "ownerReferences": [reference_to(live)],
        },
        "data": {"spec": {"template": {"$patch": "replace", **template}}},
        "revision": newest + 1,
    }
    writes.create(cluster, resource, metadata["namespace"], manifest, Options())
    oldest = sorted(known.values(), key=lambda one: int(one.get("revision", 0)))
    for one in oldest[: max(0, len(known) - int(spec.get("revisionHistoryLimit", _KEPT)))]:
        options = DeleteOptions(uid=one["metadata"]["uid"])
        writes.delete(cluster, resource, metadata["namespace"], one["metadata"]["name"], options)
