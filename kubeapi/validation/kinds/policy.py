"""RBAC, disruption budgets, priority classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_GROUP = "rbac.authorization.k8s.io"


def role(manifest: Struct, old: Struct | None) -> list[Cause]:
    return _rules(manifest, namespaced=True)


def cluster_role(manifest: Struct, old: Struct | None) -> list[Cause]:
    found = _rules(manifest, namespaced=False)
    aggregation = manifest.get("aggregationRule")
    if aggregation is not None:
        selectors = aggregation.get("clusterRoleSelectors") or ()
        path = "aggregationRule.clusterRoleSelectors"
        if not selectors:
            found.append(
                causes.required(path, "at least one clusterRoleSelector required if aggregationRule is non-nil")
            )
        for index, one in enumerate(selectors):
            problems = fields.selector(one, f"{path}[{index}]")
            if problems:
                problems.append(causes.invalid(f"{path}[{index}]", None, "invalid label selector."))
            found += problems
    return found


def _rules(manifest: Struct, *, namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(manifest.get("rules") or ()):
        path = f"rules[{index}]"
        if not one.get("verbs"):
            found.append(causes.required(f"{path}.verbs", "verbs must contain at least one value"))
        addresses = one.get("nonResourceURLs") or ()
        if addresses:
            if namespaced:
                detail = "namespaced rules cannot apply to non-resource URLs"
                found.append(causes.invalid(f"{path}.nonResourceURLs", list(addresses), detail))
            if one.get("apiGroups") or one.get("resources") or one.get("resourceNames"):
                detail = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(causes.invalid(f"{path}.nonResourceURLs", list(addresses), detail))
            continue
        if not one.get("apiGroups"):
            detail = "resource rules must supply at least one api group"
            found.append(causes.required(f"{path}.apiGroups", detail))
        if not one.get("resources"):
            detail = "resource rules must supply at least one resource"
            found.append(causes.required(f"{path}.resources", detail))
    return found


def role_binding(manifest: Struct, old: Struct | None) -> list[Cause]:
    return _binding(manifest, old, ("Role", "ClusterRole"), namespaced=True)


def cluster_role_binding(manifest: Struct, old: Struct | None) -> list[Cause]:
    return _binding(manifest, old, ("ClusterRole",), namespaced=False)


def _binding(manifest: Struct, old: Struct | None, kinds: tuple[str, ...], *, namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    reference = manifest.get("roleRef") or {}
    if old is not None and reference != old.get("roleRef"):
        shown = {"APIGroup": reference.get("apiGroup") or "", "Kind": reference.get("kind") or ""}
        value = causes.Ordered({**shown, "Name": reference.get("name") or ""})
        found.append(causes.invalid("roleRef", value, "cannot change roleRef"))
    if reference.get("apiGroup") != _GROUP:
        found.append(causes.unsupported("roleRef.apiGroup", reference.get("apiGroup") or "", (_GROUP,)))
    if reference.get("kind") not in kinds:
        found.append(causes.unsupported("roleRef.kind", reference.get("kind") or "", kinds))
    name = reference.get("name") or ""
    if not name:
        found.append(causes.required("roleRef.name"))
    else:
        found += [causes.invalid("roleRef.name", name, problem) for problem in names.path_segment(name)]
    for index, one in enumerate(manifest.get("subjects") or ()):
        found += _subject(one, f"subjects[{index}]", namespaced=namespaced)
    return found


def _subject(one: Struct, path: str, *, namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    name, kind, group = one.get("name") or "", one.get("kind") or "", one.get("apiGroup") or ""
    if not name:
        found.append(causes.required(f"{path}.name"))
    if kind == "ServiceAccount":
        if name:
            found += fields.named(name, names.subdomain, f"{path}.name")
        if group:
            found.append(causes.unsupported(f"{path}.apiGroup", group, ("",)))
        if not one.get("namespace") and not namespaced:
            found.append(causes.required(f"{path}.namespace"))
    elif kind in ("User", "Group"):
        if group != _GROUP:
            found.append(causes.unsupported(f"{path}.apiGroup", group, (_GROUP,)))
    else:
        found.append(causes.unsupported(f"{path}.kind", kind, ("ServiceAccount", "User", "Group")))
    return found


def disruption_budget(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest.get("spec") or {}
    found: list[Cause] = []
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None and most is not None:
        shown = {"MinAvailable": least, "Selector": spec.get("selector"), "MaxUnavailable": most}
        whole = causes.Ordered({**shown, "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy")})
        found.append(causes.invalid("spec", whole, "minAvailable and maxUnavailable cannot be both set"))
    for key, value in (("minAvailable", least), ("maxUnavailable", most)):
        if value is not None:
            found += fields.amount(value, f"spec.{key}") + fields.at_most_all(value, f"spec.{key}")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("IfHealthyBudget", "AlwaysAllow"):
        found.append(causes.unsupported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget")))
    return found + fields.selector(spec.get("selector"), "spec.selector")


_PREEMPTION = ("PreemptLowerPriority", "Never")


SYSTEM_PRIORITIES = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def _system_problem(name: str, value: int, is_default: bool) -> str:
    """Why a PriorityClass is none of those that every cluster has; "" when it is."""
    if name not in SYSTEM_PRIORITIES:
        return f"{name} is not a known system priority class"
    if value != SYSTEM_PRIORITIES[name]:
        return f"value of {name} PriorityClass must be {SYSTEM_PRIORITIES[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def priority_class(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    value, name = manifest.get("value", 0), manifest["metadata"].get("name") or ""
    if old is None:
        if name.startswith("system-"):
            problem = _system_problem(name, value, bool(manifest.get("globalDefault")))
            if problem:
                detail = (
                    f"priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
                )
                found.append(causes.forbidden("metadata.name", detail))
        elif value > 1_000_000_000:
            detail = "maximum allowed value of a user defined priority is 1000000000"
            found.append(causes.forbidden("value", detail))
        policy = manifest.get("preemptionPolicy")
        if policy is not None and policy not in _PREEMPTION:
            found.append(causes.unsupported("preemptionPolicy", policy, _PREEMPTION))
    else:
        if value != old.get("value", 0):
            found.append(causes.forbidden("value", "may not be changed in an update."))
        if manifest.get("preemptionPolicy") != old.get("preemptionPolicy"):
            found.append(causes.immutable("preemptionPolicy", manifest.get("preemptionPolicy")))
    return found
