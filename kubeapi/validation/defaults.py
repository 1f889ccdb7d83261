"""The defaults that a real API server sets in objects of the built-in kinds, by the Go type that they belong to.

Each function gets one struct after all below it was read and its own empty fields left out, and changes it in place.
An empty string, a zero in an optional field and an absent field are one and the same here, as they are in Go.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

Struct = dict[str, Any]

CORE = "io.k8s.api.core.v1."


def image_tag(image: str) -> str:
    """The tag of an image reference: what it says, "" with only a digest, otherwise latest."""
    name, _, digest = image.partition("@")
    last = name.rpartition("/")[2]
    tag = last.partition(":")[2]
    if not re.fullmatch(r"[\w][\w./:@-]*", image):
        return ""
    return tag or ("" if digest else "latest")


def _pull_policy(image: str) -> str:
    return "Always" if image_tag(image) == "latest" else "IfNotPresent"


def container(one: Struct) -> None:
    one.setdefault("imagePullPolicy", _pull_policy(one.get("image", "")))
    one.setdefault("terminationMessagePath", "/dev/termination-log")
    one.setdefault("terminationMessagePolicy", "File")


def probe(one: Struct) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        one.setdefault(name, value)


def http_get(one: Struct) -> None:
    one.setdefault("path", "/")
    one.setdefault("scheme", "HTTP")


def volume(one: Struct) -> None:
    if len(one) == 1:
        one["emptyDir"] = {}
    if "image" in one:
        one["image"].setdefault("pullPolicy", _pull_policy(one["image"].get("reference", "")))


def host_path(one: Struct) -> None:
    one.setdefault("type", "")


def pod_spec(one: Struct) -> None:
    for name, value in (
        ("dnsPolicy", "ClusterFirst"),
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("schedulerName", "default-scheduler"),
    ):
        one.setdefault(name, value)
    one.setdefault("securityContext", {})
    # The two names are one field inside the server.
    account = one.get("serviceAccountName") or one.get("serviceAccount")
    if account:
        one["serviceAccountName"] = one["serviceAccount"] = account


def pod(one: Struct) -> None:
    spec = one["spec"]
    for each in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
        limits = each["resources"].get("limits")
        if limits:
            each["resources"]["requests"] = {**limits, **each["resources"].get("requests", {})}
    pod_level = spec.get("resources") or {}
    if pod_level.get("limits"):
        pod_level["requests"] = {**pod_level["limits"], **pod_level.get("requests", {})}
    spec.setdefault("enableServiceLinks", True)
    if spec.get("hostNetwork"):  # of pods only: templates stay as they are
        for each in (*(spec.get("containers") or ()), *spec.get("initContainers", ())):
            for port in each.get("ports", ()):
                port.setdefault("hostPort", port["containerPort"])


def service(one: Struct) -> None:
    spec = one["spec"]
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.get("sessionAffinityConfig") or {}
        if (config.get("clientIP") or {}).get("timeoutSeconds") is None:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports", ()):
        if port.get("targetPort") in (0, "", None):
            port["targetPort"] = port["port"]
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in (one.get("status") or {}).get("loadBalancer", {}).get("ingress", ()):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def secret(one: Struct) -> None:
    """stringData is for writing only: what it has goes over data."""
    one.setdefault("type", "Opaque")
    texts = one.pop("stringData", None)
    if texts:
        data = one.setdefault("data", {})
        for key, text in texts.items():
            data[key] = base64.b64encode(text.encode()).decode()


def namespace(one: Struct) -> None:
    name = one["metadata"].get("name")
    if name:
        one["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = name


def endpoints(one: Struct) -> None:
    for subset in one.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def persistent_volume(one: Struct) -> None:
    one["status"].setdefault("phase", "Pending")
    one["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    one["spec"].setdefault("volumeMode", "Filesystem")


def limit_range_item(one: Struct) -> None:
    if one.get("type") != "Container":
        return
    limits = {**one.get("max", {}), **one.get("default", {})}
    requests = {**one.get("min", {}), **limits, **one.get("defaultRequest", {})}
    for name, value in (("default", limits), ("defaultRequest", requests)):
        if value:
            one[name] = value


def replication_controller(one: Struct) -> None:
    labels = ((one["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels:
        one["spec"].setdefault("selector", dict(labels))
        one["metadata"].setdefault("labels", dict(labels))


def deployment(one: Struct) -> None:
    spec = one["spec"]
    spec.setdefault("replicas", 1)
    strategy = spec["strategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)


def daemon_set(one: Struct) -> None:
    spec = one["spec"]
    strategy = spec["updateStrategy"]
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    # The server keeps this annotation as a number; "0" until it counts.
    one["metadata"].setdefault("annotations", {}).setdefault("deprecated.daemonset.template.generation", "0")


def stateful_set(one: Struct) -> None:
    spec = one["spec"]
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec["updateStrategy"]
    if "type" not in strategy:
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and "rollingUpdate" in strategy:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    # A claim template's status has a phase before there is a claim.
    for template in spec.get("volumeClaimTemplates", ()):
        template["status"].setdefault("phase", "Pending")
        template.setdefault("kind", "PersistentVolumeClaim")
        template.setdefault("apiVersion", "v1")


def job(one: Struct) -> None:
    spec = one["spec"]
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6)
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if labels:
        one["metadata"].setdefault("labels", dict(labels))
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")
    spec.setdefault("manualSelector", False)


def cron_job(one: Struct) -> None:
    spec = one["spec"]
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)


def network_policy(one: Struct) -> None:
    spec = one["spec"]
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


SCALE_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
SCALE_DOWN = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


def autoscaler_v2(one: Struct) -> None:
    spec = one["spec"]
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        behavior["scaleUp"] = {**SCALE_UP, **(behavior.get("scaleUp") or {})}
        behavior["scaleDown"] = {**SCALE_DOWN, **(behavior.get("scaleDown") or {})}


def autoscaler_v1(one: Struct) -> None:
    one["spec"].setdefault("minReplicas", 1)
    one["spec"].setdefault("targetCPUUtilizationPercentage", 80)


def role_binding(one: Struct) -> None:
    if not one["roleRef"].get("apiGroup"):
        one["roleRef"]["apiGroup"] = "rbac.authorization.k8s.io"


def subject(one: Struct) -> None:
    if one.get("kind") in ("User", "Group"):
        one.setdefault("apiGroup", "rbac.authorization.k8s.io")


def csi_driver(one: Struct) -> None:
    spec = one["spec"]
    for name, value in (
        ("attachRequired", True),
        ("podInfoOnMount", False),
        ("storageCapacity", False),
        ("fsGroupPolicy", "ReadWriteOnceWithFSType"),
        ("requiresRepublish", False),
        ("seLinuxMount", False),
    ):
        spec.setdefault(name, value)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def webhook(one: Struct) -> None:
    one.setdefault("failurePolicy", "Fail")
    one.setdefault("matchPolicy", "Equivalent")
    one.setdefault("namespaceSelector", {})
    one.setdefault("objectSelector", {})
    one.setdefault("timeoutSeconds", 10)


def mutating_webhook(one: Struct) -> None:
    webhook(one)
    one.setdefault("reinvocationPolicy", "Never")


def match_resources(one: Struct) -> None:
    one.setdefault("matchPolicy", "Equivalent")
    one.setdefault("namespaceSelector", {})
    one.setdefault("objectSelector", {})


def definition(one: Struct) -> None:
    spec, names = one["spec"], one["spec"]["names"]
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if not one["status"].get("storedVersions"):
        stored = [version["name"] for version in spec.get("versions") or () if version.get("storage")]
        if stored:
            one["status"]["storedVersions"] = stored[:1]


def _sets(**values: Any) -> Callable[[Struct], None]:
    def set_defaults(one: Struct) -> None:
        for name, value in values.items():
            one.setdefault(name, value)

    return set_defaults


DEFAULTS: dict[str, Callable[[Struct], None]] = {
    **{
        f"{CORE}{name}": function
        for name, function in {
            "Container": container,
            "EphemeralContainer": container,
            "Probe": probe,
            "HTTPGetAction": http_get,
            "Volume": volume,
            "HostPathVolumeSource": host_path,
            "PodSpec": pod_spec,
            "Pod": pod,
            "Service": service,
            "Secret": secret,
            "Namespace": namespace,
            "NamespaceStatus": _sets(phase="Active"),
            "Endpoints": endpoints,
            "PersistentVolume": persistent_volume,
            "PersistentVolumeClaimSpec": _sets(volumeMode="Filesystem"),
            "PersistentVolumeClaim": lambda one: one["status"].setdefault("phase", "Pending"),
            "LimitRangeItem": limit_range_item,
            "ReplicationController": replication_controller,
            "SecretVolumeSource": _sets(defaultMode=0o644),
            "ConfigMapVolumeSource": _sets(defaultMode=0o644),
            "DownwardAPIVolumeSource": _sets(defaultMode=0o644),
            "ProjectedVolumeSource": _sets(defaultMode=0o644),
            "ServiceAccountTokenProjection": _sets(expirationSeconds=3600),
            "ObjectFieldSelector": _sets(apiVersion="v1"),
        }.items()
    },
    "io.k8s.api.apps.v1.Deployment": deployment,
    "io.k8s.api.apps.v1.DaemonSet": daemon_set,
    "io.k8s.api.apps.v1.StatefulSet": stateful_set,
    "io.k8s.api.apps.v1.ReplicaSet": lambda one: one["spec"].setdefault("replicas", 1),
    "io.k8s.api.batch.v1.Job": job,
    "io.k8s.api.batch.v1.CronJob": cron_job,
    "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern": _sets(status="True"),
    "io.k8s.api.networking.v1.NetworkPolicy": network_policy,
    "io.k8s.api.networking.v1.NetworkPolicyPort": _sets(protocol="TCP"),
    "io.k8s.api.networking.v1.IngressClassParametersReference": _sets(scope="Cluster"),
    "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler": autoscaler_v2,
    "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler": autoscaler_v1,
    "io.k8s.api.rbac.v1.ClusterRoleBinding": role_binding,
    "io.k8s.api.rbac.v1.RoleBinding": role_binding,
    "io.k8s.api.rbac.v1.Subject": subject,
    "io.k8s.api.storage.v1.StorageClass": _sets(reclaimPolicy="Delete", volumeBindingMode="Immediate"),
    "io.k8s.api.storage.v1.CSIDriver": csi_driver,
    "io.k8s.api.admissionregistration.v1.ValidatingWebhook": webhook,
    "io.k8s.api.admissionregistration.v1.MutatingWebhook": mutating_webhook,
    "io.k8s.api.admissionregistration.v1.RuleWithOperations": _sets(scope="*"),
    "io.k8s.api.admissionregistration.v1.NamedRuleWithOperations": _sets(scope="*"),
    "io.k8s.api.admissionregistration.v1.ServiceReference": _sets(port=443),
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference": _sets(port=443),
    "io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicySpec": _sets(failurePolicy="Fail"),
    "io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicySpec": _sets(failurePolicy="Fail"),
    "io.k8s.api.admissionregistration.v1.MatchResources": match_resources,
    "io.k8s.api.discovery.v1.EndpointPort": _sets(name="", protocol="TCP"),
    "io.k8s.api.scheduling.v1.PriorityClass": _sets(preemptionPolicy="PreemptLowerPriority"),
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition": definition,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference": _sets(port=443),
}
