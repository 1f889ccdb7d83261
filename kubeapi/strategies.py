"""What the API server itself decides about built-in kinds on a write: which part of the object a request may change,
what status a new object has, when the generation grows, how an update without resourceVersion is taken.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from kubeapi.resources import Resource

Manifest = dict[str, Any]
Storage = tuple[str, str]

# What a kind's status looks like in a new object: the fields that its wire type never omits.
NEW_STATUS: dict[Storage, Manifest] = {
    ("", "namespaces"): {"phase": "Active"},
    ("", "pods"): {"phase": "Pending"},
    ("", "persistentvolumeclaims"): {"phase": "Pending"},
    ("", "persistentvolumes"): {"phase": "Pending"},
    ("", "services"): {"loadBalancer": {}},
    ("", "nodes"): {},
    ("", "replicationcontrollers"): {"replicas": 0},
    ("", "resourcequotas"): {},
    ("apps", "deployments"): {},
    ("apps", "replicasets"): {"replicas": 0},
    ("apps", "statefulsets"): {"replicas": 0, "availableReplicas": 0},
    ("apps", "daemonsets"): {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    },
    ("batch", "jobs"): {},
    ("batch", "cronjobs"): {},
    ("networking.k8s.io", "ingresses"): {"loadBalancer": {}},
    ("policy", "poddisruptionbudgets"): {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 0,
        "expectedPods": 0,
    },
    ("autoscaling", "horizontalpodautoscalers"): {"currentMetrics": None, "desiredReplicas": 0},
    ("certificates.k8s.io", "certificatesigningrequests"): {},
    ("apiregistration.k8s.io", "apiservices"): {},
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): {},
    ("apiextensions.k8s.io", "customresourcedefinitions"): {
        "conditions": None,
        "acceptedNames": {"plural": "", "kind": ""},
        "storedVersions": None,
    },
}

# Built-in kinds whose generation counts the changes of their spec.
GENERATIONS: frozenset[Storage] = frozenset(
    {
        ("", "pods"),
        ("", "replicationcontrollers"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("batch", "jobs"),
        ("batch", "cronjobs"),
        ("networking.k8s.io", "ingresses"),
        ("networking.k8s.io", "networkpolicies"),
        ("networking.k8s.io", "ingressclasses"),
        ("policy", "poddisruptionbudgets"),
        ("scheduling.k8s.io", "priorityclasses"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("discovery.k8s.io", "endpointslices"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("flowcontrol.apiserver.k8s.io", "flowschemas"),
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    }
)

# Kinds whose generation looks at more than spec.
_WHOLE: dict[Storage, tuple[str, ...]] = {
    ("scheduling.k8s.io", "priorityclasses"): (),
    ("discovery.k8s.io", "endpointslices"): ("endpoints", "ports", "addressType"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): ("webhooks",),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): ("webhooks",),
}

_NOT_BY_STATUS = frozenset({(("apps", "deployments"), "labels"), (("", "pods"), "ownerReferences")})
"""What of the metadata a write of the status leaves alone."""

CREATE_ON_UPDATE: frozenset[Storage] = frozenset(
    {
        ("", "endpoints"),
        ("", "events"),
        ("", "limitranges"),
        ("", "services"),
        ("coordination.k8s.io", "leases"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("rbac.authorization.k8s.io", "roles"),
        ("rbac.authorization.k8s.io", "rolebindings"),
    }
)

NEEDS_RESOURCE_VERSION: frozenset[Storage] = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("apiregistration.k8s.io", "apiservices"),
        ("coordination.k8s.io", "leases"),
        ("policy", "poddisruptionbudgets"),
        ("storage.k8s.io", "csidrivers"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "volumeattachments"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    }
)

RETURNS_DELETED: frozenset[Storage] = frozenset(
    {
        ("", "namespaces"),
        ("", "pods"),
        ("", "services"),
        ("", "persistentvolumes"),
        ("", "persistentvolumeclaims"),
        ("", "serviceaccounts"),
        ("", "resourcequotas"),
        ("", "podtemplates"),
        ("storage.k8s.io", "csinodes"),
        ("storage.k8s.io", "csistoragecapacities"),
        ("storage.k8s.io", "storageclasses"),
        ("storage.k8s.io", "volumeattachments"),
    }
)
"""Kinds whose deletion answers with the object instead of a Status."""

_PREFIXES: dict[Storage, str] = {
    ("", "endpoints"): "services/endpoints",
    ("", "nodes"): "minions",
    ("", "replicationcontrollers"): "controllers",
    ("", "services"): "services/specs",
    ("networking.k8s.io", "ingresses"): "ingress",
}


def storage_prefix(resource: Resource) -> str:
    """Where a real server keeps a kind's objects in etcd, as its messages show."""
    group, plural = resource.storage
    if resource.custom or group in ("apiextensions.k8s.io", "apiregistration.k8s.io"):
        return f"{group}/{plural}"
    return _PREFIXES.get(resource.storage, plural)


ORPHANS_BY_DEFAULT: frozenset[Storage] = frozenset({("batch", "jobs"), ("", "replicationcontrollers")})


def has_status(resource: Resource) -> bool:
    return "status" in resource.subresources


def has_generation(resource: Resource) -> bool:
    return resource.custom or resource.storage in GENERATIONS


def prepare_create(resource: Resource, manifest: Manifest) -> None:
    """Take out of a new object what its creator may not set."""
    if has_status(resource):
        if resource.custom:
            manifest.pop("status", None)
        elif resource.storage in NEW_STATUS:
            manifest["status"] = copy.deepcopy(NEW_STATUS[resource.storage])
        else:
            manifest.pop("status", None)
    if resource.storage == ("", "namespaces"):
        spec = manifest.setdefault("spec", {})
        finalizers = spec.setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")


def prepare_update(resource: Resource, manifest: Manifest, live: Mapping[str, Any], subresource: str) -> Manifest:
    """The new object with everything this request may not change put back as it lives."""
    if subresource == "status":
        changed = dict(live)
        if "status" in manifest:
            changed["status"] = manifest["status"]
        else:
            changed.pop("status", None)
        metadata = dict(live["metadata"])
        incoming = manifest["metadata"]
        if not resource.custom:
            # The status of a built-in kind travels with its labels and annotations.
            for key in ("labels", "annotations", "finalizers", "ownerReferences"):
                if (resource.storage, key) in _NOT_BY_STATUS:
                    continue
                if key in incoming:
                    metadata[key] = incoming[key]
                else:
                    metadata.pop(key, None)
        if "resourceVersion" in incoming:
            metadata["resourceVersion"] = incoming["resourceVersion"]
        if "managedFields" in incoming:
            metadata["managedFields"] = incoming["managedFields"]
        else:
            metadata.pop("managedFields", None)
        changed["metadata"] = metadata
        for key in ("apiVersion", "kind"):
            changed[key] = manifest[key]
        return changed
    if has_status(resource):
        manifest = dict(manifest)
        if "status" in live:
            manifest["status"] = live["status"]
        else:
            manifest.pop("status", None)
    if resource.storage == ("", "namespaces") and subresource != "finalize":
        spec = dict(manifest.get("spec") or {})
        finalizers = (live.get("spec") or {}).get("finalizers")
        if finalizers:
            spec["finalizers"] = finalizers
        else:
            spec.pop("finalizers", None)
        manifest["spec"] = spec
    return manifest


def changes_generation(resource: Resource, manifest: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Whether this update changes what the generation counts."""
    if resource.custom:
        skipped = {"metadata", "apiVersion", "kind"} | ({"status"} if has_status(resource) else set())
        keys = (set(manifest) | set(live)) - skipped
        return any(manifest.get(key) != live.get(key) for key in keys)
    if resource.storage not in GENERATIONS:
        return False
    if resource.storage == ("apps", "deployments"):
        # The one kind whose annotations count: its ReplicaSets take them over.
        same = manifest.get("spec") == live.get("spec")
        return not same or _annotations(manifest) != _annotations(live)
    if resource.storage == ("", "pods"):
        return _but_node(manifest) != _but_node(live)
    if resource.storage == ("discovery.k8s.io", "endpointslices") and _labels(manifest) != _labels(live):
        return True
    return any(manifest.get(key) != live.get(key) for key in _WHOLE.get(resource.storage, ("spec",)))


def _labels(manifest: Mapping[str, Any]) -> Manifest:
    found: Manifest = manifest["metadata"].get("labels") or {}
    return found


def _annotations(manifest: Mapping[str, Any]) -> Manifest:
    found: Manifest = manifest["metadata"].get("annotations") or {}
    return found


def _but_node(pod: Mapping[str, Any]) -> Manifest:
    """A pod's spec without its node: binding it is no change of what it is to be."""
    return {key: value for key, value in (pod.get("spec") or {}).items() if key != "nodeName"}
