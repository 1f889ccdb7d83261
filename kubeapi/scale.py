"""The scale subresource: autoscaling/v1 Scale ↔ the replicas of a workload or of a custom resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import selectors, writes
from kubeapi.errors import Cause, bad_request, conflict, invalid
from kubeapi.resources import Resource
from kubeapi.seam import fields

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]


def _steps(path: str) -> list[str]:
    return [step for step in path.split(".") if step]


def _dig(manifest: Any, path: str) -> Any:
    for step in _steps(path):
        if not isinstance(manifest, dict):
            return None
        manifest = manifest.get(step)
    return manifest


def of(resource: Resource, live: Manifest) -> Manifest:
    """The Scale of a live object."""
    paths = resource.scale or {}
    replicas = _dig(live, paths.get("specReplicasPath", ".spec.replicas")) or 0
    status: Manifest = {"replicas": _dig(live, paths.get("statusReplicasPath", ".status.replicas")) or 0}
    if resource.custom:
        selector = _dig(live, paths["labelSelectorPath"]) if paths.get("labelSelectorPath") else ""
    else:
        raw = (live.get("spec") or {}).get("selector")
        if resource.plural == "replicationcontrollers":
            raw = {"matchLabels": raw or {}}
        selector = selectors.format_labels(selectors.of_label_selector(raw) or ())
    if selector:
        status["selector"] = selector
    metadata = live["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def patched(current: Manifest, kind: str, patch: Any) -> Manifest:
    """A Scale after a patch; an apply counts as a merge, for a Scale has one field to own."""
    changed = fields.json_patch(current, patch) if kind == "json" else fields.merge_patch(current, patch)
    if not isinstance(changed, dict):
        raise bad_request("the patch leaves no Scale")
    return changed


def write(
    cluster: Cluster, resource: Resource, live: Manifest, current: Manifest, wanted: Manifest, options: writes.Options
) -> Manifest:
    """Store the replicas that a Scale asks for; gives the scaled object."""
    spec, metadata = wanted.get("spec") or {}, wanted.get("metadata") or {}
    if not isinstance(spec, dict) or not isinstance(metadata, dict):
        raise bad_request("spec and metadata of a Scale must be objects")
    replicas = spec.get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        if not isinstance(replicas, int) or isinstance(replicas, bool):
            raise bad_request("spec.replicas must be a whole number")
        problem = f"Invalid value: {replicas}: must be greater than or equal to 0"
        cause = Cause("FieldValueInvalid", problem, "spec.replicas")
        raise invalid("autoscaling", "Scale", live["metadata"]["name"], [cause])
    version = metadata.get("resourceVersion")
    if version and version != current["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, live["metadata"]["name"])
    changed = dict(live)
    steps = _steps((resource.scale or {}).get("specReplicasPath", ".spec.replicas"))
    node = changed
    for step in steps[:-1]:
        node[step] = dict(node.get(step) or {})
        node = node[step]
    node[steps[-1]] = replicas
    options.subresource = "scale"
    return writes.replace_live(cluster, resource, live, changed, options)
