"""What the generated sequences are about: manifests by kind, and the values that users set in them, right and wrong.

A setting is a path and values for it. A path goes through maps by key and through lists by an Element: the one whose
key has that value.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.kubeapi.differential import cases

Manifest = dict[str, Any]


class Element(NamedTuple):
    """A step of a path into a list: the element whose `key` is `value`."""

    key: str
    value: Any


Path = tuple[str | Element, ...]


@dataclass(frozen=True)
class Setting:
    """A field, values that are right for it, and values that a server must refuse or warn of."""

    path: Path
    good: list[Any]
    bad: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Kind:
    """A kind of object: the least that is valid, and its settings."""

    base: Manifest
    settings: list[Setting]
    status: list[Setting] = field(default_factory=list)
    scale: bool = False


def _at(*path: str | Element, good: list[Any], bad: list[Any] | None = None) -> Setting:
    return Setting(path, good, bad or [])


METADATA = [
    _at("metadata", "labels", "team", good=["a", "b", ""], bad=["not ok", 1, "-x"]),
    _at("metadata", "labels", "example.com/tier", good=["web", "db"], bad=[True]),
    _at("metadata", "annotations", "note", good=["x", "a b", ""], bad=[1, {"a": "b"}]),
    _at(
        "metadata", "finalizers", good=[["example.com/hold"], ["example.com/hold", "example.com/other"]], bad=[["hold"]]
    ),
    _at(
        "metadata",
        "ownerReferences",
        good=[
            [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "6f0e64bd-0000-4000-8000-000000000001"}]
        ],
        bad=[
            [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}],
            [{"apiVersion": "v1/x/y", "kind": "", "uid": "1"}],
        ],
    ),
]
APP, SIDE = Element("name", "app"), Element("name", "side")
_PODSPEC = ("spec", "template", "spec")


def _pod_settings(*at: str) -> list[Setting]:
    """Settings of a pod spec that stands at this path."""
    first: Path = (*at, "containers", APP)
    return [
        Setting((*first, "image"), ["nginx:1", "nginx:2"], ["", 5]),
        Setting((*first, "imagePullPolicy"), ["Always", "Never"], ["always"]),
        Setting((*first, "env", Element("name", "A"), "value"), ["1", "2", ""], [1, False]),
        Setting((*first, "env", Element("name", "B"), "value"), ["x"], [None]),
        Setting(
            (*first, "ports", Element("containerPort", 80), "name"),
            ["http", "web"],
            ["HTTP!", "too-long-a-name-for-it"],
        ),
        Setting((*first, "ports", Element("containerPort", 81), "protocol"), ["TCP", "UDP"], ["HTTP"]),
        Setting((*first, "resources", "limits", "cpu"), ["1", "500m", "0.5", 2], ["1x", ""]),
        Setting((*first, "resources", "requests", "memory"), ["64Mi", "1Gi", "128974848"], ["-1", "1GB"]),
        Setting((*first, "args"), [["a"], ["a", "b"], []], ["a"]),
        Setting(
            (*first, "livenessProbe"), [{"httpGet": {"port": 80}}, {"exec": {"command": ["x"]}}], [{}, {"httpGet": {}}]
        ),
        Setting((*first, "securityContext", "runAsNonRoot"), [True, False], ["true"]),
        Setting((*first, "volumeMounts", Element("mountPath", "/v"), "name"), ["v"], ["nowhere"]),
        Setting((*at, "containers", SIDE, "image"), ["busybox", "busybox:1"], [""]),
        Setting((*at, "volumes", Element("name", "v"), "emptyDir"), [{}, {"medium": "Memory"}], ["x"]),
        Setting((*at, "nodeSelector", "disk"), ["ssd", "hdd"], ["not ok"]),
        Setting((*at, "tolerations"), [[{"key": "a", "operator": "Exists"}], []], [[{"key": "a", "operator": "Is"}]]),
        Setting((*at, "terminationGracePeriodSeconds"), [10, 30], ["10", -1]),
        Setting((*at, "serviceAccountName"), ["default"], ["Not_ok"]),
        Setting((*at, "hostNetwork"), [True, False], [1]),
    ]


_TEMPLATE = [
    *_pod_settings(*_PODSPEC),
    _at(*_PODSPEC, "restartPolicy", good=["Always"], bad=["Never", "sometimes"]),
    _at("spec", "template", "metadata", "labels", "version", good=["1", "2"], bad=["a b"]),
    _at("spec", "template", "metadata", "annotations", "restarted", good=["now", "then"], bad=[5]),
    _at("spec", "template", "metadata", "labels", "app", good=["web"], bad=["other"]),
]
_REPLICAS = _at("spec", "replicas", good=[0, 1, 2, 5], bad=[-1, "2", 1.5])
_CONDITION = Element("type", "Available")
_STATUS = [
    _at("status", "replicas", good=[1, 2], bad=[-1, "x"]),
    _at("status", "conditions", _CONDITION, "status", good=["True", "False"], bad=[True]),
    _at("status", "observedGeneration", good=[1, 2], bad=[-5]),
]
_RBAC = "rbac.authorization.k8s.io/v1"
_RULES = [
    [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
    [
        {"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    ],
]
_BAD_RULES = [[{"apiGroups": [""], "resources": ["pods"]}], [{"verbs": ["get"]}]]
_ACCOUNT = {"kind": "ServiceAccount", "name": "default", "namespace": "{namespace}"}

KINDS: dict[str, Kind] = {
    "ConfigMap": Kind(
        cases.configmap(),
        [
            _at("data", "a", good=["1", "2", "", "x\ny"], bad=[1, True, {"x": "y"}]),
            _at("data", "b", good=["1", "2"], bad=[["x"]]),
            _at("data", "key", good=["value", "other"], bad=[None, 0.5]),
            _at("binaryData", "c", good=["YQ==", "YWI="], bad=["?", "YQ="]),
            _at("data", "Bad Key", good=[], bad=["x"]),
            _at("immutable", good=[True, False], bad=["yes"]),
        ],
    ),
    "Secret": Kind(
        cases.of("v1", "Secret", data={"key": "dmFsdWU="}),
        [
            _at("data", "a", good=["YQ==", "Yg=="], bad=["not base64!", 1]),
            _at("stringData", "b", good=["x", "y"], bad=[1]),
            _at(
                "type", good=["Opaque", "example.com/kind"], bad=["kubernetes.io/tls", "kubernetes.io/dockerconfigjson"]
            ),
            _at("immutable", good=[True, False], bad=[0]),
        ],
    ),
    "Service": Kind(
        cases.service(),
        [
            _at("spec", "ports", Element("port", 80), "targetPort", good=[80, "http", 8080], bad=["No!", 70000]),
            _at("spec", "ports", Element("port", 80), "name", good=["http", "web"], bad=["UP"]),
            _at("spec", "ports", Element("port", 443), "name", good=["https"], bad=["http"]),
            _at("spec", "ports", Element("port", 443), "protocol", good=["TCP", "UDP"], bad=["ICMP"]),
            _at("spec", "selector", "app", good=["web", "db"], bad=["a b", 1]),
            _at("spec", "type", good=["ClusterIP"], bad=["Nothing", "ExternalName"]),
            _at("spec", "sessionAffinity", good=["ClientIP", "None"], bad=["Always"]),
            _at("spec", "clusterIP", good=[], bad=["10.0.0.300", "1.2.3.4"]),
            _at("spec", "publishNotReadyAddresses", good=[True, False], bad=["no"]),
        ],
        [_at("status", "loadBalancer", "ingress", good=[[]], bad=[[{"ip": "x"}]])],
    ),
    "Deployment": Kind(
        cases.deployment(),
        [
            _REPLICAS,
            *_TEMPLATE,
            _at("spec", "strategy", "type", good=["Recreate", "RollingUpdate"], bad=["Slow"]),
            _at("spec", "strategy", "rollingUpdate", "maxSurge", good=["25%", 1, "50%"], bad=["a", -1]),
            _at("spec", "minReadySeconds", good=[0, 5], bad=[-1]),
            _at("spec", "revisionHistoryLimit", good=[1, 3], bad=["3"]),
            _at("spec", "paused", good=[True, False], bad=["no"]),
            _at("spec", "selector", "matchLabels", "app", good=["web"], bad=["other"]),
            _at("spec", "progressDeadlineSeconds", good=[60, 600], bad=[0]),
        ],
        _STATUS,
        scale=True,
    ),
    "StatefulSet": Kind(
        cases.statefulset(),
        [
            _REPLICAS,
            *_TEMPLATE,
            _at("spec", "serviceName", good=["web"], bad=["other"]),
            _at("spec", "podManagementPolicy", good=["OrderedReady"], bad=["Parallel", "Any"]),
            _at("spec", "updateStrategy", "type", good=["RollingUpdate", "OnDelete"], bad=["Now"]),
        ],
        _STATUS,
        scale=True,
    ),
    "DaemonSet": Kind(
        cases.daemonset(),
        [*_TEMPLATE, _at("spec", "updateStrategy", "type", good=["RollingUpdate", "OnDelete"], bad=["Recreate"])],
    ),
    "Job": Kind(
        cases.job(),
        [
            _at("spec", "parallelism", good=[1, 2], bad=[-1]),
            _at("spec", "completions", good=[1, 2], bad=["2"]),
            _at("spec", "backoffLimit", good=[0, 6], bad=[-2]),
            _at("spec", "suspend", good=[True, False], bad=["x"]),
            _at("spec", "ttlSecondsAfterFinished", good=[0, 100], bad=[-1]),
            _at("spec", "activeDeadlineSeconds", good=[10], bad=[0]),
            *_pod_settings(*_PODSPEC),
            _at(*_PODSPEC, "restartPolicy", good=["Never", "OnFailure"], bad=["Always"]),
        ],
        [_at("status", "active", good=[1, 0], bad=["1"])],
    ),
    "CronJob": Kind(
        cases.cronjob(),
        [
            _at(
                "spec",
                "schedule",
                good=["*/5 * * * *", "@daily", "0 0 1 1 *"],
                bad=["often", "* * *", "TZ=UTC * * * * *"],
            ),
            _at("spec", "suspend", good=[True, False], bad=["no"]),
            _at("spec", "concurrencyPolicy", good=["Forbid", "Allow", "Replace"], bad=["Maybe"]),
            _at("spec", "timeZone", good=["Etc/UTC", "Europe/Berlin"], bad=["Mars/Base", ""]),
            _at("spec", "successfulJobsHistoryLimit", good=[0, 3], bad=[-1]),
            _at("spec", "startingDeadlineSeconds", good=[10], bad=[-1]),
            _at("spec", "jobTemplate", "spec", "backoffLimit", good=[1], bad=[-1]),
        ],
    ),
    "Pod": Kind(
        cases.pod(),
        [*_pod_settings("spec"), _at("spec", "restartPolicy", good=["Always", "Never"], bad=["Sometimes"])],
        [
            _at("status", "phase", good=["Running", "Pending"], bad=[1]),
            _at("status", "conditions", Element("type", "Ready"), "status", good=["True", "False"], bad=[False]),
        ],
    ),
    "PersistentVolumeClaim": Kind(
        cases.claim(),
        [
            _at("spec", "resources", "requests", "storage", good=["1Gi", "2Gi"], bad=["0", "1x", "-1Gi"]),
            _at("spec", "accessModes", good=[["ReadWriteOnce"]], bad=[["Write"], [], ["ReadWriteMany"]]),
            _at("spec", "storageClassName", good=["fast", ""], bad=["Not_Ok"]),
            _at("spec", "volumeMode", good=["Filesystem", "Block"], bad=["Tape"]),
        ],
    ),
    "Ingress": Kind(
        cases.ingress(),
        [
            _at("spec", "ingressClassName", good=["nginx"], bad=["Not Ok"]),
            _at("spec", "tls", good=[[{"hosts": ["a.example"], "secretName": "t"}]], bad=[[{"hosts": ["*.*.x"]}]]),
            _at(
                "spec",
                "rules",
                good=[],
                bad=[[{"host": "1.2.3.4"}], [{"host": "a.example", "http": {"paths": []}}], []],
            ),
            _at(
                "spec",
                "defaultBackend",
                good=[{"service": {"name": "a", "port": {"name": "b"}}}],
                bad=[{}, {"service": {"name": "a"}}],
            ),
        ],
    ),
    "NetworkPolicy": Kind(
        cases.of("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}}),
        [
            _at("spec", "policyTypes", good=[["Ingress"], ["Ingress", "Egress"]], bad=[["Both"]]),
            _at(
                "spec",
                "ingress",
                good=[[{}], [{"from": [{"podSelector": {}}]}]],
                bad=[[{"from": [{}]}], [{"ports": [{"port": 0}]}]],
            ),
            _at(
                "spec",
                "egress",
                good=[[{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]],
                bad=[[{"to": [{"ipBlock": {"cidr": "x"}}]}]],
            ),
            _at("spec", "podSelector", "matchLabels", "app", good=["web"], bad=["a b"]),
        ],
    ),
    "HorizontalPodAutoscaler": Kind(
        cases.hpa(),
        [
            _at("spec", "minReplicas", good=[1, 2], bad=[0, 10]),
            _at("spec", "maxReplicas", good=[3, 5], bad=[0]),
            _at(
                "spec",
                "metrics",
                good=[
                    [
                        {
                            "type": "Resource",
                            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                        }
                    ]
                ],
                bad=[[{"type": "Resource"}], [{"type": "Guess"}]],
            ),
            _at("spec", "scaleTargetRef", "name", good=["a", "b"], bad=["", "a/b"]),
        ],
    ),
    "PodDisruptionBudget": Kind(
        cases.of("policy/v1", "PodDisruptionBudget", spec={"selector": {"matchLabels": {"app": "web"}}}),
        [
            _at("spec", "minAvailable", good=[1, "50%"], bad=[-1, "half"]),
            _at("spec", "maxUnavailable", good=[1, "10%"], bad=["110%"]),
            _at("spec", "selector", "matchLabels", "app", good=["web", "db"], bad=["a b"]),
            _at("spec", "unhealthyPodEvictionPolicy", good=["AlwaysAllow"], bad=["Never"]),
        ],
    ),
    "ServiceAccount": Kind(
        cases.of("v1", "ServiceAccount"),
        [
            _at("automountServiceAccountToken", good=[True, False], bad=["x"]),
            _at("imagePullSecrets", good=[[{"name": "a"}], []], bad=["a"]),
            _at("secrets", good=[[{"name": "s"}]], bad=[{}]),
        ],
    ),
    "Role": Kind(cases.of(_RBAC, "Role", rules=[]), [_at("rules", good=_RULES, bad=_BAD_RULES)]),
    "ClusterRole": Kind(
        cases.of(_RBAC, "ClusterRole", rules=[]),
        [
            _at("rules", good=_RULES, bad=_BAD_RULES),
            _at(
                "aggregationRule",
                good=[{"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}],
                bad=[{"clusterRoleSelectors": []}, {"clusterRoleSelectors": [{"matchLabels": {"a b": "c"}}]}],
            ),
        ],
    ),
    "RoleBinding": Kind(
        cases.of(
            _RBAC,
            "RoleBinding",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            subjects=[_ACCOUNT],
        ),
        [
            _at(
                "subjects",
                good=[[_ACCOUNT], [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}], []],
                bad=[[{"kind": "Robot", "name": "r"}], [{"kind": "User"}]],
            ),
            _at("roleRef", "name", good=["view"], bad=["edit", ""]),
        ],
    ),
    "PriorityClass": Kind(
        cases.of("scheduling.k8s.io/v1", "PriorityClass", value=5),
        [
            _at("value", good=[5], bad=[6, 2000000000]),
            _at("description", good=["x", "y"], bad=[1]),
            _at("preemptionPolicy", good=["PreemptLowerPriority"], bad=["Never", "Now"]),
        ],
    ),
    "StorageClass": Kind(
        cases.of("storage.k8s.io/v1", "StorageClass", provisioner="example.com/disk"),
        [
            _at("allowVolumeExpansion", good=[True, False], bad=["x"]),
            _at("reclaimPolicy", good=["Delete"], bad=["Retain", "Burn"]),
            _at("parameters", "type", good=["fast"], bad=["slow", 1]),
            _at("volumeBindingMode", good=["Immediate"], bad=["Later"]),
        ],
    ),
    "Lease": Kind(
        cases.of("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "a"}),
        [
            _at("spec", "holderIdentity", good=["a", "b"], bad=[1]),
            _at("spec", "leaseDurationSeconds", good=[15], bad=[0, "15"]),
            _at("spec", "renewTime", good=["2026-01-01T00:00:00.000000Z"], bad=["yesterday"]),
        ],
    ),
    "EndpointSlice": Kind(
        cases.of("discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4", endpoints=[]),
        [
            _at("endpoints", good=[[{"addresses": ["10.1.2.3"]}]], bad=[[{"addresses": []}], [{"addresses": ["x"]}]]),
            _at("ports", good=[[{"name": "http", "port": 80}]], bad=[[{"port": 80}, {"port": 81}]]),
            _at("addressType", good=["IPv4"], bad=["IPv6", "DNS"]),
        ],
    ),
    "LimitRange": Kind(
        cases.of("v1", "LimitRange", spec={"limits": []}),
        [
            _at(
                "spec",
                "limits",
                good=[[{"type": "PersistentVolumeClaim", "max": {"storage": "10Gi"}}]],
                bad=[[{"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}], [{"max": {"cpu": "1"}}]],
            ),
        ],
    ),
    "Widget": Kind(
        cases.widget(),
        [
            _at("spec", "size", good=[3, 4, 5, 50], bad=[9, -1, 100, "3", 1]),
            _at("spec", "ratio", good=[0.5, 1, 1.5], bad=[0.7, 2]),
            _at("spec", "mode", good=["A", "B"], bad=["C", 1]),
            _at("spec", "label", good=["abc"], bad=["ABC", ""]),
            _at("spec", "when", good=["2026-01-01T00:00:00Z"], bad=["now"]),
            _at("spec", "flag", good=[True, False], bad=["true"]),
            _at("spec", "name", good=["one"], bad=["two", "x" * 31]),
            _at("spec", "tags", good=[["a"], ["a", "b"]], bad=[["a", "a"], ["x" * 11], ["a", "b", "c", "d", "e"]]),
            _at("spec", "parts", Element("name", "p"), "size", good=[1, 20], bad=[401, "1"]),
            _at("spec", "parts", Element("name", "q"), "size", good=[2], bad=[2**40]),
            _at("spec", "limits", "cpu", good=["1", "20"], bad=["x", 1]),
            _at("spec", "many", "a", good=[1, 2], bad=["x"]),
            _at("spec", "many", "b", good=[1], bad=[0.5]),
            _at("spec", "many", "c", good=[1], bad=[None]),
            _at("spec", "either", good=[{"a": 1}, {"b": 1}], bad=[{"a": 1, "b": 2}, {}]),
            _at("spec", "port", good=[80, "http"], bad=[True, 1.5]),
            _at("spec", "nothing", good=["x", None], bad=[0]),
            _at("spec", "nested", "depth", good=[1, 2], bad=["deep"]),
            _at("spec", "free", "any", good=[1, {"x": [1, 2]}, "y"]),
            _at("spec", "object", good=[cases.configmap()], bad=[{"kind": "ConfigMap"}, {"apiVersion": "v1"}]),
        ],
        [
            _at("status", "phase", good=["Ready", "Set"], bad=["Gone"]),
            _at("status", "count", good=[1, 2], bad=["1"]),
            _at("status", "conditions", good=[[{"type": "Ready"}], []], bad=["x"]),
        ],
    ),
    "ClusterWidget": Kind(
        cases.of("example.com/v1", "ClusterWidget", spec={"a": 1}),
        [_at("spec", "a", good=[1, 2], bad=["1"]), _at("spec", "b", "x", good=[1, "y", {"z": []}])],
    ),
    "GitRepository": Kind(
        cases.git(),
        [
            _at("spec", "url", good=["https://example.com/b.git", "ssh://git@example.com/x"], bad=["ftp://x", 1]),
            _at("spec", "interval", good=["1m", "10m0s"], bad=["1 minute", "1d"]),
            _at("spec", "ref", "branch", good=["main"], bad=[1]),
            _at("spec", "timeout", good=["60s"], bad=["1h"]),
            _at("spec", "suspend", good=[True, False], bad=["no"]),
            _at("spec", "include", good=[[{"repository": {"name": "a"}}]], bad=[[{}]]),
            _at("spec", "provider", good=["generic"], bad=["gitlab"]),
        ],
        [_at("status", "observedGeneration", good=[1, -1], bad=["1"])],
    ),
    "Kustomization": Kind(
        cases.kustomization(),
        [
            _at("spec", "path", good=["./a", "./b"], bad=[1]),
            _at("spec", "prune", good=[True, False], bad=["yes"]),
            _at("spec", "wait", good=[True, False], bad=[1]),
            _at("spec", "interval", good=["5m", "1h"], bad=["5"]),
            _at("spec", "sourceRef", "kind", good=["OCIRepository", "Bucket"], bad=["HelmRepository"]),
            _at("spec", "dependsOn", good=[[{"name": "a"}], []], bad=[[{}], "a"]),
            _at("spec", "targetNamespace", good=["x"], bad=["", "x" * 64]),
            _at("spec", "postBuild", "substitute", "a", good=["b", ""], bad=[1]),
            _at("spec", "patches", good=[[{"patch": "x"}]], bad=[[{"target": {}}], [{}]]),
            _at("spec", "deletionPolicy", good=["Orphan", "Delete"], bad=["Keep"]),
        ],
        [
            _at("status", "lastAppliedRevision", good=["main@sha1:a"], bad=[1]),
            _at("status", "observedGeneration", good=[1], bad=["x"]),
        ],
    ),
    "HelmRelease": Kind(
        cases.release(chart={"spec": {"chart": "a", "sourceRef": {"kind": "HelmRepository", "name": "b"}}}),
        [
            _at("spec", "values", "replicas", good=[1, "x", {"a": None}]),
            _at("spec", "releaseName", good=["app"], bad=["", "x" * 54]),
            _at("spec", "interval", good=["5m"], bad=["x"]),
            _at("spec", "chart", "spec", "version", good=["1.x", "*"], bad=[1]),
            _at("spec", "install", "crds", good=["Skip", "Create"], bad=["Maybe"]),
            _at("spec", "dependsOn", good=[[{"name": "x"}]], bad=[[{"namespace": "y"}]]),
            _at("spec", "chartRef", good=[], bad=[{"kind": "OCIRepository", "name": "y"}]),
        ],
    ),
}
"""By kind, what is generated."""


def with_value(manifest: Manifest, path: Path, value: Any) -> Manifest:
    """A copy of the manifest in which the field has the value; list elements that aren't there are added."""
    out = copy.deepcopy(manifest)
    node: Any = out
    for step, following in zip(path, (*path[1:], None), strict=True):
        last = following is None
        if isinstance(step, Element):
            if not isinstance(node, list):
                return out
            found = next((one for one in node if isinstance(one, dict) and one.get(step.key) == step.value), None)
            if found is None:
                found = {step.key: step.value}
                node.append(found)
            node = found
        elif last:
            node[step] = copy.deepcopy(value)
        else:
            child = node.get(step)
            if child is None:
                child = node[step] = [] if isinstance(following, Element) else {}
            if not isinstance(child, dict | list):
                return out
            node = child
    return out


def partial(path: Path, value: Any) -> Manifest:
    """Only this field, as a strategic merge patch or an apply names it: list elements with their key."""
    return with_value({}, path, value)


def pointer(path: Path, manifest: Manifest) -> str:
    """The JSON pointer of a field; an element that the manifest hasn't stands at the end of its list."""
    parts: list[str] = []
    node: Any = manifest
    for step in path:
        if isinstance(step, Element):
            items = node if isinstance(node, list) else []
            position = next((i for i, one in enumerate(items) if one.get(step.key) == step.value), None)
            parts.append("0" if position is None else str(position))
            node = None if position is None else items[position]
        else:
            parts.append(step.replace("~", "~0").replace("/", "~1"))
            node = node.get(step) if isinstance(node, dict) else None
    return "/" + "/".join(parts)
