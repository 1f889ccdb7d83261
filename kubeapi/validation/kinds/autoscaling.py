"""Horizontal pod autoscalers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_METRICS = ("ContainerResource", "External", "Object", "Pods", "Resource")
_FIELDS = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_POLICIES = ("Percent", "Pods")
_SELECTIONS = ("Disabled", "Max", "Min")
_TARGETS = ("AverageValue", "Utilization", "Value")
_MAX_PERIOD, _MAX_WINDOW = 1800, 3600


def check(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest.get("spec") or {}
    found: list[Cause] = []
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if least is not None and least < 1:
        found.append(causes.invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most == 0:
        found.append(causes.required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        found.append(causes.invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        found.append(causes.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    found += _reference(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
    metrics = spec.get("metrics") or ()
    for index, one in enumerate(metrics):
        found += _metric(one, f"spec.metrics[{index}]")
    if least == 0 and not any(one.get("type") in ("Object", "External") for one in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        found.append(causes.forbidden("spec.metrics", detail))
    for key in ("scaleUp", "scaleDown"):
        rules = (spec.get("behavior") or {}).get(key)
        if rules is not None:
            found += _rules(rules, f"spec.behavior.{key}")
    return found


def _reference(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("kind", "name"):
        value = one.get(key) or ""
        if not value:
            found.append(causes.required(f"{path}.{key}"))
        else:
            found += [causes.invalid(f"{path}.{key}", value, problem) for problem in names.path_segment(value)]
    version = one.get("apiVersion") or ""
    if version.count("/") > 1:
        found.append(causes.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}"))
    elif "/" not in version:
        found.append(causes.invalid(f"{path}.apiVersion", version, "apiVersion must specify API group"))
    return found


def _metric(one: Struct, path: str) -> list[Cause]:
    kind = one.get("type") or ""
    found: list[Cause] = []
    if not kind:
        found.append(causes.required(f"{path}.type", "must specify a metric source type"))
    if kind not in _METRICS:
        found += [causes.unsupported(f"{path}.type", kind, _METRICS)] * 2
    given = fields.set_fields(one, _FIELDS.values())
    if given:
        found += _source(given[0], one[given[0]], f"{path}.{given[0]}")
    wanted = _FIELDS.get(kind)
    if wanted and wanted not in given:
        found.append(causes.required(f"{path}.{wanted}", "must populate information for the given metric source"))
    if len(given) != 1:
        detail = "must populate the given metric source only"
        found += [causes.forbidden(f"{path}.{key}", detail) for key in given if key != wanted]
    return found


def _source(kind: str, one: Struct, path: str) -> list[Cause]:
    target = one.get("target") or {}
    found: list[Cause] = []
    if kind == "object":
        found += _reference(one.get("describedObject") or {}, f"{path}.describedObject")
    if kind in ("object", "external", "pods"):
        name = (one.get("metric") or {}).get("name") or ""
        if not name:
            found.append(causes.required(f"{path}.metric.name", "must specify a metric name"))
        else:
            found += [causes.invalid(f"{path}.metric.name", name, problem) for problem in names.path_segment(name)]
    elif not one.get("name"):
        found.append(causes.required(f"{path}.name", "must specify a resource name"))
    if kind == "containerResource" and not one.get("container"):
        found.append(causes.required(f"{path}.container", "must specify a container"))
    found += _target(target, f"{path}.target")
    value, average, share = (target.get(key) for key in ("value", "averageValue", "averageUtilization"))
    where = f"{path}.target"
    if kind in ("resource", "containerResource"):
        if share is None and average is None:
            detail = "must set either a target raw value or a target utilization"
            found.append(causes.required(f"{where}.averageUtilization", detail))
        if share is not None and average is not None:
            detail = "may not set both a target raw value and a target utilization"
            found.append(causes.forbidden(f"{where}.averageValue", detail))
    elif kind == "pods":
        if average is None:
            found.append(causes.required(f"{where}.averageValue", "must specify a positive target averageValue"))
    elif value is None and average is None:
        words = "value or averageValue" if kind == "object" else "value for metric or a per-pod target"
        found.append(causes.required(f"{where}.averageValue", f"must set either a target {words}"))
    elif kind == "external" and value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        found.append(causes.forbidden(f"{where}.value", detail))
    return found


def _target(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    kind = one.get("type") or ""
    if not kind:
        found.append(causes.required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGETS:
        detail = "must be either Utilization, Value, or AverageValue"
        found.append(causes.invalid(f"{path}.type", kind, detail))
    found += [
        causes.invalid(f"{path}.{key}", one[key], "must be positive")
        for key in ("value", "averageValue")
        if one.get(key) is not None and (one[key].startswith("-") or one[key] == "0")
    ]
    share = one.get("averageUtilization")
    if share is not None and share < 1:
        found.append(causes.invalid(f"{path}.averageUtilization", share, "must be greater than 0"))
    return found


def _rules(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    window = one.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        detail = "must be greater than or equal to zero"
        found.append(causes.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if window is not None and window > _MAX_WINDOW:
        detail = f"must be less than or equal to {_MAX_WINDOW}"
        found.append(causes.invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if one.get("selectPolicy") is not None and one["selectPolicy"] not in _SELECTIONS:
        found.append(causes.unsupported(f"{path}.selectPolicy", one["selectPolicy"], _SELECTIONS))
    policies = one.get("policies") or ()
    if not policies:
        found.append(causes.required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        where = f"{path}.policies[{index}]"
        if policy.get("type") not in _POLICIES:
            found.append(causes.unsupported(f"{where}.type", policy.get("type") or "", _POLICIES))
        found += [
            causes.invalid(f"{where}.{key}", policy.get(key, 0), "must be greater than zero")
            for key in ("value", "periodSeconds")
            if policy.get(key, 0) <= 0
        ]
        if policy.get("periodSeconds", 0) > _MAX_PERIOD:
            detail = f"must be less than or equal to {_MAX_PERIOD}"
            found.append(causes.invalid(f"{where}.periodSeconds", policy["periodSeconds"], detail))
    return found
