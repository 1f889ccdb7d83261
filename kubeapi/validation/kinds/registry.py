"""Which rules hold for which built-in kind: how its objects are named, and what is checked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import names
from kubeapi.validation.kinds import (
    aggregation,
    autoscaling,
    config,
    networking,
    pods,
    policies,
    policy,
    services,
    storage,
    webhooks,
    workloads,
)

Struct = Mapping[str, Any]
Check = Callable[[Struct, Struct | None], list[Cause]]
Key = tuple[str, str]


def _pod(manifest: Struct, old: Struct | None) -> list[Cause]:
    return pods.new(manifest) if old is None else pods.changed(manifest, old)


CHECKS: dict[Key, Check] = {
    ("", "Pod"): _pod,
    ("", "Service"): services.check,
    ("", "ConfigMap"): config.config_map,
    ("", "Secret"): config.secret,
    ("", "ResourceQuota"): config.resource_quota,
    ("", "LimitRange"): config.limit_range,
    ("", "Endpoints"): config.endpoints,
    ("", "PersistentVolumeClaim"): storage.claim,
    ("", "PersistentVolume"): storage.volume,
    ("apps", "Deployment"): workloads.deployment,
    ("apps", "ReplicaSet"): workloads.replica_set,
    ("apps", "DaemonSet"): workloads.daemon_set,
    ("apps", "StatefulSet"): workloads.stateful_set,
    ("batch", "Job"): workloads.job,
    ("batch", "CronJob"): workloads.cron_job,
    ("networking.k8s.io", "Ingress"): networking.ingress,
    ("networking.k8s.io", "IngressClass"): networking.ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): networking.network_policy,
    ("rbac.authorization.k8s.io", "Role"): policy.role,
    ("rbac.authorization.k8s.io", "ClusterRole"): policy.cluster_role,
    ("rbac.authorization.k8s.io", "RoleBinding"): policy.role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): policy.cluster_role_binding,
    ("discovery.k8s.io", "EndpointSlice"): networking.endpoint_slice,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): webhooks.check,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): webhooks.check,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): policies.mutating,
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): policies.mutating_binding,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): policies.validating,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): policies.binding,
    ("apiregistration.k8s.io", "APIService"): aggregation.api_service,
    ("policy", "PodDisruptionBudget"): policy.disruption_budget,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaling.check,
    ("scheduling.k8s.io", "PriorityClass"): policy.priority_class,
    ("storage.k8s.io", "StorageClass"): storage.storage_class,
    ("coordination.k8s.io", "Lease"): config.lease,
}

NAMES: dict[Key, names.Rule] = {
    ("", "Namespace"): names.label,
    ("", "Service"): names.label,
    ("", "Event"): names.path_segment,
    ("events.k8s.io", "Event"): names.path_segment,
    ("apps", "StatefulSet"): names.label,
    ("rbac.authorization.k8s.io", "Role"): names.path_segment,
    ("rbac.authorization.k8s.io", "ClusterRole"): names.path_segment,
    ("rbac.authorization.k8s.io", "RoleBinding"): names.path_segment,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): names.path_segment,
    ("apiregistration.k8s.io", "APIService"): names.path_segment,
    ("certificates.k8s.io", "CertificateSigningRequest"): names.subdomain,
}
"""How objects of a kind are named; all others have RFC 1123 subdomains."""

ANY_FINALIZER: frozenset[Key] = frozenset(
    {
        ("", "Event"),
        ("coordination.k8s.io", "Lease"),
        ("node.k8s.io", "RuntimeClass"),
        ("policy", "PodDisruptionBudget"),
    }
)
"""Kinds whose finalizers need no domain."""
ANY_FINALIZER_IN = frozenset({"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"})
"""Groups with such kinds only."""

# Where a kind keeps the pods that it makes: what they are warned of.
TEMPLATES: dict[Key, tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("apps", "Deployment"): ("spec", "template", "spec"),
    ("apps", "ReplicaSet"): ("spec", "template", "spec"),
    ("apps", "DaemonSet"): ("spec", "template", "spec"),
    ("apps", "StatefulSet"): ("spec", "template", "spec"),
    ("batch", "Job"): ("spec", "template", "spec"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}
