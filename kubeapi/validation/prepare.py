"""What the server itself puts into a built-in object before it is checked and stored; nobody owns these fields.

On a create it works after the fields' owners are written down; objects are changed in place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Manifest = dict[str, Any]
Prepare = Callable[[Manifest, Manifest | None, str], None]

GENERATION = "deprecated.daemonset.template.generation"
_COUNTED = ("cpu", "memory")
_KINDS_OF = ("limits", "requests")
_UID, _NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
_OLD_UID, _OLD_NAME = "controller-uid", "job-name"


def prepare(kind: tuple[str, str], manifest: Manifest, old: Manifest | None, now: str) -> None:
    """Bring an object of a built-in kind (group, kind) into the shape that is stored."""
    found = _KINDS.get(kind)
    if found is not None:
        found(manifest, old, now)


def _job(manifest: Manifest, old: Manifest | None, now: str) -> None:
    """A new Job selects its pods by its own uid, unless it says that it has a selector of its own."""
    spec = manifest["spec"]
    if old is not None or spec.get("manualSelector"):
        return
    metadata = manifest["metadata"]
    template = spec["template"] = dict(spec.get("template") or {})
    below = template["metadata"] = dict(template.get("metadata") or {})
    labels = below["labels"] = dict(below.get("labels") or {})
    uid, name = metadata["uid"], metadata.get("name") or ""
    for key, value in ((_OLD_NAME, name), (_NAME, name), (_OLD_UID, uid), (_UID, uid)):
        labels.setdefault(key, value)
    selector = spec["selector"] = dict(spec.get("selector") or {})
    chosen = selector["matchLabels"] = dict(selector.get("matchLabels") or {})
    chosen.setdefault(_UID, labels[_UID])
    if not metadata.get("labels"):
        metadata["labels"] = dict(labels)


def _daemon_set(manifest: Manifest, old: Manifest | None, now: str) -> None:
    """A DaemonSet's annotation counts the changes of its template."""
    before = _generation(old) if old is not None else 0
    if old is None:
        count = max(1, _generation(manifest))
    else:
        count = before + (manifest["spec"].get("template") != old["spec"].get("template"))
    metadata = manifest["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), GENERATION: str(count)}


def _generation(manifest: Manifest) -> int:
    text = (manifest["metadata"].get("annotations") or {}).get(GENERATION, "")
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def _volume(manifest: Manifest, old: Manifest | None, now: str) -> None:
    if old is None:
        manifest["status"] = {**(manifest.get("status") or {}), "lastPhaseTransitionTime": now}


def _pod(manifest: Manifest, old: Manifest | None, now: str) -> None:
    if old is None:
        spec = manifest.get("spec") or {}
        if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
            spec["terminationGracePeriodSeconds"] = 1
        manifest["status"] = {**(manifest.get("status") or {}), "qosClass": _quality(spec)}


def _quality(spec: Manifest) -> str:
    """Guaranteed when every container's limits are its requests, BestEffort when there are neither."""
    all_ = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    amounts = [one.get("resources") or {} for one in all_]
    asked = any(
        (one.get(kind) or {}).get(name) not in (None, "0") for one in amounts for kind in _KINDS_OF for name in _COUNTED
    )
    if not asked:
        return "BestEffort"
    for one in amounts:
        limits, requests = one.get("limits") or {}, one.get("requests") or {}
        if any(name not in limits or requests.get(name, limits[name]) != limits[name] for name in _COUNTED):
            return "Burstable"
    return "Guaranteed"


def _service(manifest: Manifest, old: Manifest | None, now: str) -> None:
    """A Service that changes its type leaves behind what only the former type has, unless the update says otherwise."""
    if old is None:
        return
    spec, before = manifest["spec"], old["spec"]
    now_is, was = spec.get("type"), before.get("type")
    if spec.get("clusterIP") != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
        if spec.get("clusterIP"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        else:
            spec.pop("clusterIPs", None)
    if was != "ExternalName" and now_is == "ExternalName":
        _leave(spec, before, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
        if "clusterIP" not in spec:
            spec.pop("clusterIPs", None)
    elif was == "ExternalName" and now_is != "ExternalName":
        _leave(spec, before, "externalName")
    exposed = ("NodePort", "LoadBalancer")
    if was in exposed and now_is not in exposed:
        _leave(spec, before, "externalTrafficPolicy")
        _leave_node_ports(spec, before)
    if was == "LoadBalancer" and now_is != "LoadBalancer":
        _leave(spec, before, "allocateLoadBalancerNodePorts", "loadBalancerClass", "healthCheckNodePort")


def _leave(spec: Manifest, before: Manifest, *keys: str) -> None:
    for key in keys:
        if key in spec and spec[key] == before.get(key):
            del spec[key]


def _leave_node_ports(spec: Manifest, before: Manifest) -> None:
    known = {port.get("nodePort") for port in before.get("ports") or ()}
    given = {port.get("nodePort") for port in spec.get("ports") or ()}
    if given == known:
        spec["ports"] = [{key: value for key, value in port.items() if key != "nodePort"} for port in spec["ports"]]


def _definition(manifest: Manifest, old: Manifest | None, now: str) -> None:
    if old is None:
        stored = [
            one["name"] for one in manifest["spec"].get("versions") or () if one.get("storage") and one.get("name")
        ]
        manifest["status"] = {**(manifest.get("status") or {}), "storedVersions": stored[:1] or None}


_KINDS: dict[tuple[str, str], Prepare] = {
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("batch", "Job"): _job,
    ("apps", "DaemonSet"): _daemon_set,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("", "PersistentVolume"): _volume,
}
