"""Pods and pod templates."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, metadata, names
from kubeapi.validation.kinds import containers, volumes

Struct = Mapping[str, Any]

_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def template(value: Struct, path: str) -> list[Cause]:
    """The problems of a pod template."""
    meta = value.get("metadata") or {}
    found = fields.plain_labels(meta.get("labels"), f"{path}.labels")
    if meta.get("annotations"):
        found += metadata.annotation_map(meta["annotations"], f"{path}.annotations")
    return found + spec(value.get("spec") or {}, f"{path}.spec")


def new(manifest: Struct) -> list[Cause]:
    below = manifest.get("spec") or {}
    return spec(below, "spec") + _tokens(below)


def _tokens(value: Struct) -> list[Cause]:
    """A pod that has no account can't be given a token of one."""
    if value.get("serviceAccountName"):
        return []
    return [
        causes.forbidden(
            f"spec.volumes[{index}].projected.sources[{position}].serviceAccountToken",
            "must not be specified when serviceAccountName is not set",
        )
        for index, volume in enumerate(value.get("volumes") or ())
        for position, source in enumerate((volume.get("projected") or {}).get("sources") or ())
        if source.get("serviceAccountToken") is not None
    ]


def changed(manifest: Struct, old: Struct) -> list[Cause]:
    """A pod's spec hardly changes once it is there."""
    now, before = manifest["spec"], old["spec"]
    if now == before:
        return []
    found = spec(now, "spec") + _tokens(now)
    for key, words in (("containers", "containers"), ("initContainers", "init containers")):
        if len(now.get(key) or ()) != len(before.get(key) or ()):
            return [causes.forbidden(f"spec.{key}", f"pod updates may not add or remove {words}"), *found]
    aligned = _with_mutable_fields_of(now, before)
    if aligned != before:
        found.append(causes.forbidden("spec", f"{_MUTABLE}\n{difference(before, aligned)}"))
    return found


def _with_mutable_fields_of(now: Struct, before: Struct) -> dict[str, Any]:
    """The new spec with everything that may change put back."""
    out = dict(now)
    for key in ("containers", "initContainers"):
        if key in out:
            pairs = zip(out[key], before.get(key) or (), strict=True)
            out[key] = [{**one, "image": known.get("image")} for one, known in pairs]
    mutable = ["activeDeadlineSeconds", "schedulingGates"]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and now.get("terminationGracePeriodSeconds") == 1:
        mutable.append("terminationGracePeriodSeconds")
    for key in mutable:
        if key in before:
            out[key] = before[key]
        else:
            out.pop(key, None)
    known = before.get("tolerations") or []
    if all(one in (now.get("tolerations") or []) for one in known):
        if known:
            out["tolerations"] = known
        else:
            out.pop("tolerations", None)
    return out


def difference(before: Any, now: Any) -> str:
    """What changed between two values, as lines with their surroundings."""
    old, new = (json.dumps(value, indent=1, sort_keys=True).splitlines() for value in (before, now))
    lines = [line for line in difflib.unified_diff(old, new, lineterm="") if not line.startswith(("--- ", "+++ "))]
    return "\n".join(lines) + "\n"


def spec(value: Struct, path: str) -> list[Cause]:
    """The problems of a pod's spec."""
    found: list[Cause] = []
    known: set[str] = set()
    if value.get("volumes"):
        found += volumes.check(value["volumes"], f"{path}.volumes")
        known = {one["name"] for one in value["volumes"] if one.get("name")}
    restart = value.get("restartPolicy") or ""
    listed = value.get("containers") or ()
    seen: set[str] = set()
    if not listed:
        found.append(causes.required(f"{path}.containers"))
    for index, one in enumerate(listed):
        where = f"{path}.containers[{index}]"
        found += containers.check(one, where, known, restart)
        name = one.get("name")
        if name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
    for index, one in enumerate(value.get("initContainers") or ()):
        where = f"{path}.initContainers[{index}]"
        found += containers.check(one, where, known, restart, "init")
        name = one.get("name")
        if name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
    if restart not in _RESTART:
        found += fields.one_of(restart, _RESTART, f"{path}.restartPolicy", needed=True)
    if value.get("dnsPolicy") not in _DNS:
        found += fields.one_of(value.get("dnsPolicy"), _DNS, f"{path}.dnsPolicy", needed=True)
    found += fields.plain_labels(value.get("nodeSelector"), f"{path}.nodeSelector")
    for key in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        if value.get(key):
            found += fields.named(value[key], names.subdomain, f"{path}.{key}")
    if value.get("securityContext"):
        found += _security(value["securityContext"], f"{path}.securityContext")
    if value.get("affinity"):
        found += _affinity(value["affinity"], f"{path}.affinity")
    if value.get("tolerations"):
        found += _tolerations(value["tolerations"], f"{path}.tolerations")
    if value.get("hostAliases"):
        found += _host_aliases(value["hostAliases"], f"{path}.hostAliases")
    deadline = value.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        found.append(
            causes.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
        )
    if value.get("hostname"):
        found += fields.named(value["hostname"], names.label, f"{path}.hostname")
    if value.get("subdomain"):
        found += fields.named(value["subdomain"], names.label, f"{path}.subdomain")
    if value.get("topologySpreadConstraints"):
        found += _spread(value["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    if value.get("preemptionPolicy") not in (None, "Never", "PreemptLowerPriority"):
        found.append(
            causes.unsupported(f"{path}.preemptionPolicy", value["preemptionPolicy"], ("Never", "PreemptLowerPriority"))
        )
    return found


def warnings(value: Struct, path: str) -> list[str]:
    """What a client is warned of in a pod's spec."""
    out: list[str] = []
    grace = value.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        out.append(
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        )
    for index, one in enumerate(value.get("imagePullSecrets") or ()):
        if not one.get("name"):
            out.append(f'{path}.imagePullSecrets[{index}].name: invalid empty name ""')
    for kind in ("initContainers", "containers"):
        for index, one in enumerate(value.get(kind) or ()):
            where = f"{path}.{kind}[{index}]"
            out += _repeated_variables(one.get("env") or (), where)
            out += _repeated_ports(one.get("ports") or (), where)
            for sort in ("limits", "requests"):
                amounts = (one.get("resources") or {}).get(sort) or {}
                out += [
                    f'{where}.resources.{sort}[{name}]: fractional byte value "{text}" is invalid, must be an integer'
                    for name, text in amounts.items()
                    if name in ("memory", "ephemeral-storage") and text.endswith("m")
                ]
    return out


def _repeated_variables(variables: Any, path: str) -> list[str]:
    seen: set[str] = set()
    out = []
    for index, one in enumerate(variables):
        name = one.get("name")
        if name in seen:
            quoted = "$(" + str(name) + ")"
            if quoted not in (one.get("value") or ""):
                out.append(
                    f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
                )
        seen.add(name)
    return out


def _repeated_ports(ports: Any, path: str) -> list[str]:
    seen: dict[tuple[Any, Any], int] = {}
    out = []
    for index, one in enumerate(ports):
        key = (one.get("containerPort"), one.get("protocol"))
        if key in seen:
            out.append(f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{seen[key]}]")
        seen.setdefault(key, index)
    return out


def _security(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("fsGroup", "runAsUser", "runAsGroup"):
        found += containers.user_id(one.get(key), f"{path}.{key}")
    for index, group in enumerate(one.get("supplementalGroups") or ()):
        found += containers.user_id(group, f"{path}.supplementalGroups[{index}]")
    if one.get("seccompProfile"):
        found += containers.seccomp(one["seccompProfile"], f"{path}.seccompProfile")
    if one.get("fsGroupChangePolicy") not in (None, "OnRootMismatch", "Always"):
        found.append(
            causes.unsupported(f"{path}.fsGroupChangePolicy", one["fsGroupChangePolicy"], ("OnRootMismatch", "Always"))
        )
    return found


def _tolerations(tolerations: list[Struct], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(tolerations):
        where = f"{path}[{index}]"
        key, operator, effect = one.get("key"), one.get("operator") or "", one.get("effect") or ""
        if key:
            found += [causes.invalid(f"{where}.key", key, problem) for problem in names.qualified(key)]
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(causes.invalid(f"{where}.operator", operator, detail))
        if one.get("tolerationSeconds") is not None and effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(causes.invalid(f"{where}.effect", effect, detail))
        if operator in ("", "Equal"):
            problems = names.label_value(one.get("value") or "")
            if problems:
                found.append(causes.invalid(f"{where}.operator", one["value"], ";".join(problems)))
        elif operator == "Exists":
            if one.get("value"):
                detail = "value must be empty when `operator` is 'Exists'"
                found.append(causes.invalid(f"{where}.operator", one["value"], detail))
        else:
            found.append(causes.unsupported(f"{where}.operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            found.append(causes.unsupported(f"{where}.effect", effect, _EFFECTS))
    return found


def _host_aliases(aliases: list[Struct], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(aliases):
        found += fields.address(one.get("ip") or "", f"{path}[{index}].ip")
        for position, host in enumerate(one.get("hostnames") or ()):
            found += fields.named(host, names.subdomain, f"{path}[{index}].hostnames[{position}]")
    return found


def _spread(constraints: list[Struct], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(constraints):
        where = f"{path}[{index}]"
        if one.get("maxSkew", 0) <= 0:
            found.append(causes.invalid(f"{where}.maxSkew", one.get("maxSkew", 0), "must be greater than zero"))
        if not one.get("topologyKey"):
            found.append(causes.required(f"{where}.topologyKey", "can not be empty"))
        else:
            found += fields.named(one["topologyKey"], names.qualified, f"{where}.topologyKey")
        action = one.get("whenUnsatisfiable") or ""
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            found.append(causes.unsupported(f"{where}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        least = one.get("minDomains")
        if least is not None and least <= 0:
            found.append(causes.invalid(f"{where}.minDomains", least, "must be greater than zero"))
        found += fields.selector(one.get("labelSelector"), f"{where}.labelSelector")
    return found


def _affinity(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    node = one.get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        where = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = required.get("nodeSelectorTerms") or ()
        if not terms:
            found.append(causes.required(where, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            found += _node_term(term, f"{where}[{index}]")
    for index, wish in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        found += _weight(wish, where) + _node_term(wish.get("preference") or {}, f"{where}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        below = one.get(kind) or {}
        for index, term in enumerate(below.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            found += _pod_term(term, f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{index}]")
        for index, wish in enumerate(below.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
            found += _weight(wish, where) + _pod_term(wish.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")
    return found


def _weight(one: Struct, path: str) -> list[Cause]:
    weight = one.get("weight", 0)
    return [] if 1 <= weight <= 100 else [causes.invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _node_term(term: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(term.get("matchExpressions") or ()):
        where, operator, values = (
            f"{path}.matchExpressions[{index}]",
            one.get("operator") or "",
            one.get("values") or (),
        )
        if operator in ("In", "NotIn"):
            if not values:
                detail = "must be specified when `operator` is 'In' or 'NotIn'"
                found.append(causes.required(f"{where}.values", detail))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                found.append(causes.forbidden(f"{where}.values", detail))
        elif operator in ("Gt", "Lt"):
            if len(values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                found.append(causes.required(f"{where}.values", detail))
        else:
            found.append(causes.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        found += [causes.invalid(f"{where}.key", one["key"], problem) for problem in names.qualified(one["key"])]
    return found


def _pod_term(term: Struct, path: str) -> list[Cause]:
    found = fields.selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += fields.selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        found += fields.named(name, names.label, f"{path}.namespace")
    key = term.get("topologyKey") or ""
    if not key:
        found.append(causes.required(f"{path}.topologyKey", "can not be empty"))
    found += [causes.invalid(f"{path}.topologyKey", key, problem) for problem in names.qualified(key)]
    return found
