"""Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import cron, pods

Struct = Mapping[str, Any]

_MISMATCH = "`selector` does not match template `labels`"
_STATEFUL = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
_STATEFUL_MUTABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def _labels(template: Struct) -> dict[str, str] | None:
    labels: dict[str, str] | None = (template.get("metadata") or {}).get("labels")
    return labels


def _selected(spec: Struct, owner: str, kind: str, *, needed: bool = True) -> list[Cause]:
    """The selector, the template, and that one selects the pods of the other. `owner` is how a template's problems
    name the kind, `kind` how a selector's do."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    found: list[Cause] = []
    if selector is None:
        if needed:
            found.append(causes.required("spec.selector"))
    else:
        problems = fields.selector(selector, "spec.selector")
        found += problems
        if fields.is_empty(selector):
            shown = fields.ordered_selector(selector)
            found.append(causes.invalid("spec.selector", shown, f"empty selector is invalid for {kind}"))
        if problems:
            detail = "" if kind == "statefulset" else "invalid label selector"
            if kind != "daemonset":
                return [*found, causes.invalid("spec.selector", fields.ordered_selector(selector), detail)]
            return found + _template(template, "spec.template", owner)
    labels = _labels(template)
    if selector is None or (not fields.is_empty(selector) and not fields.matches(selector, labels or {})):
        found.append(causes.invalid("spec.template.metadata.labels", labels, _MISMATCH))
    return found + _template(template, "spec.template", owner)


def _template(template: Struct, path: str, owner: str) -> list[Cause]:
    """A template whose pods are always there."""
    found = pods.template(template, path)
    spec = template.get("spec") or {}
    if spec.get("restartPolicy") != "Always":
        found.append(causes.unsupported(f"{path}.spec.restartPolicy", spec.get("restartPolicy") or "", ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = f"activeDeadlineSeconds in {owner} is not Supported"
        found.append(causes.forbidden(f"{path}.spec.activeDeadlineSeconds", detail))
    return found


def deployment(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found = fields.negatives(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    found += _selected(spec, "ReplicaSet", "deployment")
    found += _strategy(spec.get("strategy") or {})
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        found += fields.not_negative(deadline, "spec.progressDeadlineSeconds")
        if deadline <= spec.get("minReadySeconds", 0):
            found.append(
                causes.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
            )
    if old is not None:
        found += fields.unchanged(spec, old["spec"], "spec", "selector")
    return found


def _strategy(strategy: Struct) -> list[Cause]:
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            detail = "may not be specified when strategy `type` is 'Recreate'"
            return [causes.forbidden("spec.strategy.rollingUpdate", detail)]
        return []
    if kind != "RollingUpdate":
        shown = causes.Ordered({"Type": kind, "RollingUpdate": rolling})
        return [causes.unsupported("spec.strategy", shown, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [causes.required("spec.strategy.rollingUpdate", "this should be defaulted and never be nil")]
    path = "spec.strategy.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = fields.amount(unavailable, f"{path}.maxUnavailable") + fields.amount(surge, f"{path}.maxSurge")
    if fields.is_zero(unavailable) and fields.is_zero(surge):
        found.append(causes.invalid(f"{path}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    return found + fields.at_most_all(unavailable, f"{path}.maxUnavailable")


def replica_set(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found = fields.negatives(spec, "spec", "replicas", "minReadySeconds")
    found += _selected(spec, "ReplicaSet", "deployment")
    if old is not None:
        found += fields.unchanged(spec, old["spec"], "spec", "selector")
    return found


def daemon_set(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found = _selected(spec, "DaemonSet", "daemonset", needed=False)
    found += fields.negatives(spec, "spec", "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == "RollingUpdate":
        if rolling is None:
            found.append(causes.required("spec.updateStrategy.rollingUpdate"))
        else:
            found += _daemon_rolling(rolling)
    elif kind != "OnDelete":
        shown = causes.Ordered({"Type": kind, "RollingUpdate": rolling})
        found.append(causes.unsupported("spec.updateStrategy", shown, ("RollingUpdate", "OnDelete")))
    if old is not None:
        found += fields.unchanged(spec, old["spec"], "spec", "selector")
    return found


def _daemon_rolling(rolling: Struct) -> list[Cause]:
    path = "spec.updateStrategy.rollingUpdate"
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found: list[Cause] = []
    for key, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        found += fields.amount(value, f"{path}.{key}") + fields.at_most_all(value, f"{path}.{key}")
    if not fields.is_zero(unavailable) and not fields.is_zero(surge):
        detail = "may not be set when maxUnavailable is non-zero"
        found.append(causes.invalid(f"{path}.maxSurge", surge, detail))
    elif fields.is_zero(unavailable) and fields.is_zero(surge):
        found.append(causes.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found


def stateful_set(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found: list[Cause] = []
    if (spec.get("podManagementPolicy") or "") not in ("OrderedReady", "Parallel"):
        value = spec.get("podManagementPolicy") or ""
        detail = "must be 'OrderedReady' or 'Parallel'"
        found.append(causes.invalid("spec.podManagementPolicy", value, detail))
    strategy = spec.get("updateStrategy") or {}
    kind, rolling = strategy.get("type") or "", strategy.get("rollingUpdate")
    if kind == "OnDelete":
        if rolling is not None:
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            found.append(causes.invalid("spec.updateStrategy.rollingUpdate", rolling, detail))
    elif kind == "RollingUpdate":
        if rolling is not None:
            found += fields.negatives(rolling, "spec.updateStrategy.rollingUpdate", "partition")
    else:
        shown = causes.Ordered({"Type": kind, "RollingUpdate": rolling})
        found.append(causes.invalid("spec.updateStrategy", shown, "must be 'RollingUpdate' or 'OnDelete'"))
    found += _retention(spec.get("persistentVolumeClaimRetentionPolicy") or {})
    found += fields.negatives(spec, "spec", "replicas", "minReadySeconds", "revisionHistoryLimit")
    if spec.get("serviceName"):
        found += fields.named(spec["serviceName"], names.label, "spec.serviceName") if old is None else []
    found += _selected(_with_claims(spec), "StatefulSet", "statefulset")
    if old is not None:
        before = old["spec"]
        if {k: v for k, v in spec.items() if k not in _STATEFUL_MUTABLE} != {
            k: v for k, v in before.items() if k not in _STATEFUL_MUTABLE
        }:
            found.append(causes.forbidden("spec", _STATEFUL))
    return found


def _with_claims(spec: Struct) -> Struct:
    """The spec with a volume for each claim template: containers mount them by name."""
    claims = spec.get("volumeClaimTemplates") or ()
    if not claims:
        return spec
    template = spec.get("template") or {}
    below = template.get("spec") or {}
    named = [(one.get("metadata") or {}).get("name") or "" for one in claims]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in named]
    own = [one for one in below.get("volumes") or () if one.get("name") not in named]
    return {**spec, "template": {**template, "spec": {**below, "volumes": [*volumes, *own]}}}


def _retention(policy: Struct) -> list[Cause]:
    found: list[Cause] = []
    for key in ("whenDeleted", "whenScaled"):
        value = policy.get(key, "Retain")
        if value not in ("Retain", "Delete"):
            path = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            found.append(causes.unsupported(path, value, ("Retain", "Delete")))
    return found


def job(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found = job_spec(spec, "spec")
    name = manifest["metadata"].get("name") or ""
    if old is None and spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > 0:
        longest = f"{name}-{spec['completions'] - 1}"
        if names.label(longest):
            detail = f"will not able to create pod with invalid DNS label: {longest}"
            found.append(causes.invalid("metadata.name", name, detail))
    if not spec.get("manualSelector"):
        found += _generated_selector(manifest, spec)
    selector, labels = spec.get("selector"), _labels(spec.get("template") or {})
    if selector is None:
        found.append(causes.required("spec.selector"))
    if selector is None or (fields.is_sound(selector) and not fields.matches(selector, labels or {})):
        found.append(causes.invalid("spec.template.metadata.labels", labels, _MISMATCH))
    if old is not None:
        found += _job_changes(spec, old["spec"])
    return found


def _generated_selector(manifest: Struct, spec: Struct) -> list[Cause]:
    """The selector that the server makes is the only one."""
    found: list[Cause] = []
    if spec.get("selector") is None:
        return found
    labels = _labels(spec.get("template") or {}) or {}
    uid, name = manifest["metadata"].get("uid"), manifest["metadata"].get("name")
    keys = ("batch.kubernetes.io/controller-uid", "controller-uid", "batch.kubernetes.io/job-name", "job-name")
    for key in keys:
        wanted = uid if key.endswith("uid") else name
        if labels.get(key) != wanted:
            path = f"spec.template.metadata.labels[{key}]"
            given = labels.get(key)
            detail = f"must be '{wanted}'"
            found.append(causes.invalid(path, given, detail) if given else causes.required(path, detail))
    selector = spec.get("selector") or {}
    if selector != {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}:
        found.append(
            causes.invalid("spec.selector", fields.ordered_selector(selector), "`selector` not auto-generated")
        )
    return found


def job_spec(spec: Struct, path: str) -> list[Cause]:
    """What a Job and a CronJob's jobs have in common."""
    keys = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    found = fields.negatives(spec, path, *keys)
    found += fields.negatives(spec, path, "backoffLimitPerIndex", "maxFailedIndexes")
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        found.append(causes.unsupported(f"{path}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed" and spec.get("completions") is None:
        found.append(causes.required(f"{path}.completions", "when completion mode is Indexed"))
    replacement = spec.get("podReplacementPolicy")
    if replacement is not None and replacement not in ("Failed", "TerminatingOrFailed"):
        known = ("Failed", "TerminatingOrFailed")
        found.append(causes.unsupported(f"{path}.podReplacementPolicy", replacement, known))
    template = spec.get("template") or {}
    found += pods.template(template, f"{path}.template")
    below = template.get("spec") or {}
    if below.get("restartPolicy") not in ("OnFailure", "Never"):
        where = f"{path}.template.spec.restartPolicy"
        given = below.get("restartPolicy") or ""
        if given in ("Always", ""):
            found.append(causes.required(where, 'valid values: "OnFailure", "Never"'))
        else:
            found.append(causes.unsupported(where, given, ("OnFailure", "Never")))
    return found


def _job_changes(spec: Struct, before: Struct) -> list[Cause]:
    found: list[Cause] = []
    keys = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    if spec.get("completionMode") != "Indexed":
        keys.insert(0, "completions")
    found += fields.unchanged(spec, before, "spec", *keys)
    now, then = spec.get("template") or {}, before.get("template") or {}
    if now != then:
        if not before.get("suspend"):
            found.append(causes.immutable("spec.template", now))
        elif not _same_but_scheduling(now, then):
            found.append(causes.immutable("spec.template.spec", now.get("spec")))
    return found


def _same_but_scheduling(now: Struct, then: Struct) -> bool:
    """While a Job is suspended, where its pods may run can change."""
    free = ("nodeSelector", "tolerations", "affinity", "schedulingGates")

    def fixed(template: Struct) -> Any:
        meta = {k: v for k, v in (template.get("metadata") or {}).items() if k not in ("labels", "annotations")}
        return meta, {k: v for k, v in (template.get("spec") or {}).items() if k not in free}

    return bool(fixed(now) == fixed(then))


def cron_job(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found: list[Cause] = []
    schedule = spec.get("schedule") or ""
    if not schedule:
        found.append(causes.required("spec.schedule"))
    else:
        problem = cron.problem(schedule)
        if problem:
            found.append(causes.invalid("spec.schedule", schedule, problem))
        if "TZ" in schedule and (old is None or old["spec"].get("schedule") != schedule):
            detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
            found.append(causes.invalid("spec.schedule", schedule, detail))
    zone = spec.get("timeZone")
    if zone is not None and (old is None or old["spec"].get("timeZone") != zone):
        found += _zone(zone)
    found += fields.one_of(
        spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"), "spec.concurrencyPolicy", needed=True
    )
    keys = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found += fields.negatives(spec, "spec", *keys)
    found += job_spec((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    name = manifest["metadata"].get("name") or ""
    if old is None and len(name) > 52:
        found.append(causes.invalid("metadata.name", name, "must be no more than 52 characters"))
    return found


def _zone(zone: str) -> list[Cause]:
    if not zone:
        return [causes.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            causes.invalid(
                "spec.timeZone",
                zone,
                "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            )
        ]
    try:
        zoneinfo.ZoneInfo(zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return [causes.invalid("spec.timeZone", zone, f"unknown time zone {zone}")]
    return []
