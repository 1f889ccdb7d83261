"""The roles that every cluster has: cluster-admin, admin, edit, view, and what anybody may see."""

from __future__ import annotations

from typing import Any

Manifest = dict[str, Any]
Rule = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_AGGREGATE = f"{GROUP}/aggregate-to-"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ANNOTATIONS = {f"{GROUP}/autoupdate": "true"}

_READABLE: dict[str, list[str]] = {
    "": [
        "bindings",
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "namespaces/status",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "replicationcontrollers/status",
        "resourcequotas",
        "resourcequotas/status",
        "serviceaccounts",
        "services",
        "services/status",
        "namespaces",
    ],
    "discovery.k8s.io": ["endpointslices"],
    "apps": [
        "controllerrevisions",
        "daemonsets",
        "daemonsets/status",
        "deployments",
        "deployments/scale",
        "deployments/status",
        "replicasets",
        "replicasets/scale",
        "replicasets/status",
        "statefulsets",
        "statefulsets/scale",
        "statefulsets/status",
    ],
    "autoscaling": ["horizontalpodautoscalers", "horizontalpodautoscalers/status"],
    "batch": ["cronjobs", "cronjobs/status", "jobs", "jobs/status"],
    "policy": ["poddisruptionbudgets", "poddisruptionbudgets/status"],
    "networking.k8s.io": ["ingresses", "ingresses/status", "networkpolicies"],
}
_WRITABLE: dict[str, list[str]] = {
    "": [
        "configmaps",
        "events",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "secrets",
        "serviceaccounts",
        "services",
        "services/proxy",
    ],
    "apps": [
        "daemonsets",
        "deployments",
        "deployments/rollback",
        "deployments/scale",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
        "statefulsets/scale",
    ],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "policy": ["poddisruptionbudgets"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "coordination.k8s.io": ["leases"],
}


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _role(name: str, rules: list[Rule], *, labels: dict[str, str] | None = None, aggregates: str = "") -> Manifest:
    manifest: Manifest = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {**_LABELS, **(labels or {})}, "annotations": dict(_ANNOTATIONS)},
        "rules": rules,
    }
    if aggregates:
        selector = {"matchLabels": {_AGGREGATE + aggregates: "true"}}
        manifest["aggregationRule"] = {"clusterRoleSelectors": [selector]}
    return manifest


def default_roles() -> list[Manifest]:
    """The default ClusterRoles and Roles."""
    view = [_rule([group], list(resources), READ) for group, resources in _READABLE.items()]
    edit = [
        _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], READ),
        _rule([""], ["serviceaccounts"], ["impersonate"]),
        _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy"], WRITE),
        _rule([""], ["pods/eviction", "serviceaccounts/token"], ["create"]),
        *(_rule([group], list(resources), WRITE) for group, resources in _WRITABLE.items()),
        _rule(["coordination.k8s.io"], ["leases"], READ),
    ]
    admin = [
        _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
        _rule([GROUP], ["rolebindings", "roles"], [*READ, *WRITE]),
    ]
    everything = [
        _rule(["*"], ["*"], ["*"]),
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]
    paths = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz"]
    paths += ["/version", "/version/"]
    own = [
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ]
    reviews = [
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]
    public = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
    return [
        _role("cluster-admin", everything),
        _role("admin", [], aggregates="admin"),
        _role("edit", [], labels={_AGGREGATE + "admin": "true"}, aggregates="edit"),
        _role("view", [], labels={_AGGREGATE + "edit": "true"}, aggregates="view"),
        _role("system:aggregate-to-admin", admin, labels={_AGGREGATE + "admin": "true"}),
        _role("system:aggregate-to-edit", edit, labels={_AGGREGATE + "edit": "true"}),
        _role("system:aggregate-to-view", view, labels={_AGGREGATE + "view": "true"}),
        _role("system:discovery", [{"nonResourceURLs": paths, "verbs": ["get"]}]),
        _role("system:public-info-viewer", [{"nonResourceURLs": public, "verbs": ["get"]}]),
        _role("system:basic-user", own),
        _role("system:auth-delegator", reviews),
        _role("system:monitoring", [{"nonResourceURLs": ["/metrics", "/metrics/*", *public], "verbs": ["get"]}]),
    ]


def _binding(name: str, role: str, groups: list[str]) -> Manifest:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(_LABELS), "annotations": dict(_ANNOTATIONS)},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in groups],
    }


def default_bindings() -> list[Manifest]:
    """The default ClusterRoleBindings."""
    return [
        _binding("cluster-admin", "cluster-admin", ["system:masters"]),
        _binding("system:discovery", "system:discovery", ["system:authenticated"]),
        _binding("system:basic-user", "system:basic-user", ["system:authenticated"]),
        _binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            ["system:authenticated", "system:unauthenticated"],
        ),
        _binding("system:monitoring", "system:monitoring", ["system:monitoring"]),
    ]
