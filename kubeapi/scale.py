"""The scale subresource: autoscaling/v1 Scale ↔ the replicas of a workload or of a custom resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import bodies, selectors, writes
from kubeapi.errors import Cause, bad_request, conflict, invalid
from kubeapi.resources import Resource
from kubeapi.seam import fields
from shared import schema
from shared.schema import Schema

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


def written(
    cluster: Cluster, resource: Resource, live: Manifest, kind: str, body: Any, options: writes.Options
) -> Manifest:
    """Store the replicas that a request on the Scale asks for; gives the scaled object.

    `kind` says what the body is: a whole Scale ("update"), or a kind of patch of it."""
    described = schema.lookup(fields.SCALE_VERSION, "Scale")
    assert described is not None
    options.subresource = "scale"
    replicas = ("spec", "replicas") if resource.scale is None else _steps(resource.scale["specReplicasPath"])
    owned = tuple(f"f:{step}" for step in replicas)
    current = of(resource, live)
    entries = fields.entries_of(live["metadata"].get("managedFields"), owned)
    if entries:
        current["metadata"]["managedFields"] = entries
    now = cluster.clock.now()
    if kind == "apply":
        wanted = fields.apply(
            current,
            _applied(body, live),
            options.field_manager,
            force=options.force,
            subresource="scale",
            schema=described,
            now=now,
            api_version=fields.SCALE_VERSION,
        )
        wanted = bodies.typed(wanted, described)
    else:
        wanted = bodies.typed(body, described) if kind == "update" else _patched(current, kind, body, described)
        wanted = fields.updated(current, wanted, options.field_manager, schema=described, now=now, subresource="scale")
    count = _count(live, current, wanted, resource)
    changed = _with_replicas(live, replicas, count)
    after = wanted["metadata"].get("managedFields")
    changed["metadata"] = {
        **live["metadata"],
        "managedFields": fields.entries_after(
            live["metadata"].get("managedFields"), after, owned, resource.api_version
        ),
    }
    return writes.replace_live(cluster, resource, live, changed, options, applied=True)


def _applied(body: Any, live: Manifest) -> Manifest:
    """The Scale that somebody applies, which names the object."""
    if not isinstance(body, dict) or not isinstance(body.get("metadata") or {}, dict):
        raise bad_request("the body of an apply patch must be an object")
    name, given = live["metadata"]["name"], (body.get("metadata") or {}).get("name")
    if given != name:
        raise bad_request(f"the name of the object ({given or ''}) does not match the name on the URL ({name})")
    return body


def _patched(current: Manifest, kind: str, patch: Any, described: Schema) -> Manifest:
    """The Scale after a patch; a strategic one counts as a merge, for a Scale has no lists."""
    changed = fields.json_patch(current, patch) if kind == "json" else fields.merge_patch(current, patch)
    if not isinstance(changed, dict):
        raise bad_request("the patch leaves no Scale")
    shown = orjson.dumps(changed).decode()
    return bodies.patched(changed, described, shown)


def _count(live: Manifest, current: Manifest, wanted: Manifest, resource: Resource) -> int:
    """How many replicas a Scale asks for; 422 for fewer than none, 409 when it is of another version of the object."""
    name = live["metadata"]["name"]
    count = int((wanted.get("spec") or {}).get("replicas") or 0)
    if count < 0:
        problem = f"Invalid value: {count}: must be greater than or equal to 0"
        raise invalid("autoscaling", "Scale", name, [Cause("FieldValueInvalid", problem, "spec.replicas")])
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    if version and version != current["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, name)
    return count


def _with_replicas(live: Manifest, path: Sequence[str], count: int) -> Manifest:
    changed = dict(live)
    node = changed
    for step in path[:-1]:
        node[step] = dict(node.get(step) or {})
        node = node[step]
    node[path[-1]] = count
    return changed
