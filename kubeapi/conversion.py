"""Objects between the versions of one resource: how they are stored and how each served version shows them."""

from __future__ import annotations

import copy
from typing import Any

from kubeapi.resources import Registry, Resource

Manifest = dict[str, Any]

# events.k8s.io/v1 field → core/v1 field
_EVENT_FIELDS = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_METRIC_SOURCES = {"Resource": "resource"}


def convert(manifest: Manifest, resource: Resource) -> Manifest:
    """An object as `resource`'s version shows it."""
    if manifest.get("apiVersion") == resource.api_version:
        return manifest
    if resource.storage == ("", "events"):
        manifest = _event_to_new(manifest) if resource.group else _event_to_core(manifest)
    elif resource.storage == ("autoscaling", "horizontalpodautoscalers"):
        manifest = _autoscaler_to_v1(manifest) if resource.version == "v1" else _autoscaler_to_v2(manifest)
    manifest["apiVersion"] = resource.api_version
    if resource.custom:
        manifest = resource.definition.versions[resource.version].convert(manifest)
    return manifest


def to_storage(manifest: Manifest, resource: Resource, registry: Registry) -> Manifest:
    """An object in the version it is stored in; the same object when that is the resource's."""
    group, plural = resource.storage
    if group == resource.group and resource.storage_version in ("", resource.version):
        return manifest
    version = resource.storage_version or "v1"
    target = registry.find(group, version, plural)
    if target is None:
        # The storage version isn't served: only its name differs.
        return {**manifest, "apiVersion": f"{group}/{version}" if group else version}
    return convert(copy.deepcopy(manifest) if resource.custom else dict(manifest), target)


def _event_to_new(event: Manifest) -> Manifest:
    out = {key: value for key, value in event.items() if key not in _EVENT_FIELDS.values()}
    for new, core in _EVENT_FIELDS.items():
        if core in event and event[core] != "":
            out[new] = event[core]
    if out.get("reportingInstance") == "":
        del out["reportingInstance"]
    return out


def _event_to_core(event: Manifest) -> Manifest:
    out = {key: value for key, value in event.items() if key not in _EVENT_FIELDS}
    for new, core in _EVENT_FIELDS.items():
        if new in event:
            out[core] = event[new]
    return out


def _autoscaler_to_v1(manifest: Manifest) -> Manifest:
    """v1 knows the target for CPU only; all else is dropped from what it shows."""
    out = {**manifest, "spec": dict(manifest.get("spec") or {}), "status": dict(manifest.get("status") or {})}
    for metric in out["spec"].pop("metrics", None) or ():
        source = metric.get("resource") or {}
        if metric.get("type") == "Resource" and source.get("name") == "cpu":
            utilization = (source.get("target") or {}).get("averageUtilization")
            if utilization is not None:
                out["spec"]["targetCPUUtilizationPercentage"] = utilization
    out["spec"].pop("behavior", None)
    out["status"].pop("conditions", None)
    for metric in out["status"].pop("currentMetrics", None) or ():
        source = metric.get("resource") or {}
        if metric.get("type") == "Resource" and source.get("name") == "cpu":
            utilization = (source.get("current") or {}).get("averageUtilization")
            if utilization is not None:
                out["status"]["currentCPUUtilizationPercentage"] = utilization
    out["status"].setdefault("currentReplicas", 0)
    out["status"].setdefault("desiredReplicas", 0)
    return out


def _autoscaler_to_v2(manifest: Manifest) -> Manifest:
    out = {**manifest, "spec": dict(manifest.get("spec") or {}), "status": dict(manifest.get("status") or {})}
    utilization = out["spec"].pop("targetCPUUtilizationPercentage", None)
    if utilization is not None:
        target = {"type": "Utilization", "averageUtilization": utilization}
        out["spec"]["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    current = out["status"].pop("currentCPUUtilizationPercentage", None)
    if current is not None:
        value = {"averageUtilization": current}
        out["status"]["currentMetrics"] = [{"type": "Resource", "resource": {"name": "cpu", "current": value}}]
    return out
