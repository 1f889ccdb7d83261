"""Containers of a pod: names, images, ports, environment, resources, mounts, probes, security."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from kubeapi import quantity
from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_PULL = ("Always", "IfNotPresent", "Never")
_TERMINATION = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
RESOURCES = ("cpu", "memory", "ephemeral-storage")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_FIELD_PATHS = frozenset(
    {
        *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
        *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
    }
)
_MAX_ID = 2**31 - 1


def check(one: Struct, path: str, volumes: Collection[str], restart: str = "Always", kind: str = "") -> list[Cause]:
    """The problems of a container; `kind` is "init" for one that runs before the others."""
    found: list[Cause] = []
    name = one.get("name")
    if not name:
        found.append(causes.required(f"{path}.name"))
    else:
        found += [causes.invalid(f"{path}.name", name, problem) for problem in names.label(name)]
    image = one.get("image")
    if not image:
        found.append(causes.required(f"{path}.image"))
    if one.get("imagePullPolicy") not in _PULL:
        found += fields.one_of(one.get("imagePullPolicy"), _PULL, f"{path}.imagePullPolicy", needed=True)
    if one.get("terminationMessagePolicy") not in _TERMINATION:
        policy = one.get("terminationMessagePolicy")
        found += fields.one_of(policy, _TERMINATION, f"{path}.terminationMessagePolicy", needed=True)
    if one.get("ports"):
        found += _ports(one["ports"], f"{path}.ports")
    if one.get("env"):
        found += environment(one["env"], f"{path}.env")
    if one.get("envFrom"):
        found += _environment_from(one["envFrom"], f"{path}.envFrom")
    if one.get("volumeMounts"):
        found += _mounts(one["volumeMounts"], volumes, f"{path}.volumeMounts")
    if one.get("resources"):
        found += resources(one["resources"], f"{path}.resources")
    sidecar = kind == "init" and one.get("restartPolicy") == "Always"
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if one.get(key) is not None:
            if kind == "init" and not sidecar:
                found.append(
                    causes.forbidden(f"{path}.{key}", "may not be set for init containers without restartPolicy=Always")
                )
                continue
            found += _probe(one[key], f"{path}.{key}")
            if key != "readinessProbe" and one[key].get("successThreshold", 1) != 1:
                value = one[key]["successThreshold"]
                found.append(causes.invalid(f"{path}.{key}.successThreshold", value, "must be 1"))
    if one.get("lifecycle") is not None:
        if kind == "init" and not sidecar:
            detail = "may not be set for init containers without restartPolicy=Always"
            found.append(causes.forbidden(f"{path}.lifecycle", detail))
        else:
            for key in ("postStart", "preStop"):
                if one["lifecycle"].get(key) is not None:
                    found += _handler(one["lifecycle"][key], f"{path}.lifecycle.{key}", (*_HANDLERS[:3], "sleep"))
    if one.get("securityContext"):
        found += _security(one["securityContext"], f"{path}.securityContext")
    return found


def _ports(ports: list[Struct], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(ports):
        where = f"{path}[{index}]"
        name, number, protocol = one.get("name"), one.get("containerPort") or 0, one.get("protocol")
        if name:
            problems = names.port_name(name)
            found += [causes.invalid(f"{where}.name", name, problem) for problem in problems]
            if not problems and name in seen:
                found.append(causes.duplicate(f"{where}.name", name))
            seen.add(name)
        if not number:
            found.append(causes.required(f"{where}.containerPort"))
        elif not 1 <= number <= 65535:
            detail = "must be between 1 and 65535, inclusive"
            found.append(causes.invalid(f"{where}.containerPort", number, detail))
        host = one.get("hostPort")
        if host and not 1 <= host <= 65535:
            found.append(causes.invalid(f"{where}.hostPort", host, "must be between 1 and 65535, inclusive"))
        if protocol not in _PROTOCOLS:
            found += fields.one_of(protocol, _PROTOCOLS, f"{where}.protocol", needed=True)
    return found


def environment(variables: list[Struct], path: str) -> list[Cause]:
    """The problems of environment variables."""
    found: list[Cause] = []
    for index, one in enumerate(variables):
        where, name = f"{path}[{index}]", one.get("name")
        if not name:
            found.append(causes.required(f"{where}.name"))
        else:
            problems = names.environment_variable(name)
            if problems:
                found += [causes.invalid(f"{where}.name", name, problem) for problem in problems]
        source = one.get("valueFrom")
        if source is not None:
            found += _source(source, one.get("value"), f"{where}.valueFrom")
    return found


def _source(source: Struct, value: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    given = fields.set_fields(source, _SOURCES)
    for key in given:
        found += _SOURCE_CHECKS[key](source[key], f"{path}.{key}")
    if not given:
        listed = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(causes.invalid(path, "", f"must specify one of: {listed}"))
    elif value:
        found.append(causes.invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        found.append(causes.invalid(path, "", "may not have more than one field specified at a time"))
    return found


def field_reference(one: Struct, path: str, supported: frozenset[str] = _FIELD_PATHS) -> list[Cause]:
    """A reference to a field of the pod."""
    given = one.get("fieldPath") or ""
    if not one.get("apiVersion"):
        return [causes.required(f"{path}.apiVersion")]
    if not given:
        return [causes.required(f"{path}.fieldPath")]
    base, bracket, key = given.partition("['")
    if bracket and base in ("metadata.labels", "metadata.annotations") and key.endswith("']"):
        key = key[:-2]
        rule = key.lower() if base == "metadata.annotations" else key
        return [causes.invalid(path, key, problem) for problem in names.qualified(rule)]
    known = supported | {
        "metadata.labels",
        "metadata.annotations",
        "status.phase",
        "spec.restartPolicy",
        "spec.schedulerName",
    }
    if given not in known:
        detail = f"error converting fieldPath: field label not supported: {given}"
        return [causes.invalid(f"{path}.fieldPath", given, detail)]
    if given not in supported:
        return [causes.unsupported(f"{path}.fieldPath", given, sorted(supported))]
    return []


def resource_reference(one: Struct, path: str) -> list[Cause]:
    """A reference to a container's resources."""
    resource = one.get("resource")
    if not resource:
        return [causes.required(f"{path}.resource")]
    known = [f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")]
    huge = resource.startswith(("limits.hugepages-", "requests.hugepages-"))
    return [] if resource in known or huge else [causes.unsupported(f"{path}.resource", resource, sorted(known))]


def key_reference(one: Struct, path: str) -> list[Cause]:
    """A reference to a key of a ConfigMap or Secret."""
    found = fields.named(one.get("name") or "", names.subdomain, f"{path}.name")
    key = one.get("key")
    if not key:
        found.append(causes.required(f"{path}.key"))
    else:
        found += [causes.invalid(f"{path}.key", key, problem) for problem in names.config_key(key)]
    return found


def _file_reference(one: Struct, path: str) -> list[Cause]:
    return [causes.required(f"{path}.{key}") for key in ("key", "volumeName", "path") if not one.get(key)]


_SOURCE_CHECKS = {
    "fieldRef": field_reference,
    "resourceFieldRef": resource_reference,
    "configMapKeyRef": key_reference,
    "secretKeyRef": key_reference,
    "fileKeyRef": _file_reference,
}


def _environment_from(sources: list[Struct], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(sources):
        where = f"{path}[{index}]"
        if one.get("prefix"):
            problems = names.environment_variable(one["prefix"])
            found += [causes.invalid(f"{where}.prefix", one["prefix"], problem) for problem in problems]
        given = fields.set_fields(one, ("configMapRef", "secretRef"))
        for key in given:
            found += fields.named(one[key].get("name") or "", names.subdomain, f"{where}.{key}.name")
        if not given:
            found.append(causes.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            found.append(causes.invalid(path, "", "may not have more than one field specified at a time"))
    return found


def _mounts(mounts: list[Struct], volumes: Collection[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(mounts):
        where = f"{path}[{index}]"
        name, place = one.get("name") or "", one.get("mountPath") or ""
        if not name:
            found.append(causes.required(f"{where}.name"))
        elif name not in volumes:
            found.append(causes.not_found(f"{where}.name", name))
        if not place:
            found.append(causes.required(f"{where}.mountPath"))
        elif place in seen:
            found.append(causes.invalid(f"{where}.mountPath", place, "must be unique"))
        seen.add(place)
        # Both are reported under the list, not under its element.
        for key in ("subPath", "subPathExpr"):
            if one.get(key):
                found += inside(one[key], f"{path}.{key}")
        if one.get("subPath") and one.get("subPathExpr"):
            found.append(
                causes.invalid(
                    f"{path}.subPathExpr", one["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
                )
            )
    return found


def inside(value: str, path: str) -> list[Cause]:
    """A path below some directory."""
    if posixpath.isabs(value):
        return [causes.invalid(path, value, "must be a relative path")]
    if ".." in value.split("/"):
        return [causes.invalid(path, value, "must not contain '..'")]
    return []


# -- resources


def resources(value: Struct, path: str, known: Collection[str] = RESOURCES) -> list[Cause]:
    """Limits and requests."""
    found: list[Cause] = []
    limits, requests = value.get("limits") or {}, value.get("requests") or {}
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, text in amounts.items():
            where = f"{path}.{kind}[{name}]"
            found += resource_name(name, where, known)
            if text.startswith("-"):
                found.append(causes.invalid(where, text, "must be greater than or equal to 0"))
    for name, text in requests.items():
        limit = limits.get(name)
        if limit is None:
            if not _may_overcommit(name):
                found.append(causes.required(f"{path}.limits", "Limit must be set for non overcommitable resources"))
        elif not _may_overcommit(name) and quantity.parse(limit)[0] != quantity.parse(text)[0]:
            detail = f"must be equal to {name} limit of {limit}"
            found.append(causes.invalid(f"{path}.requests", text, detail))
        elif limit != text and quantity.parse(text)[0] > quantity.parse(limit)[0]:
            detail = f"must be less than or equal to {name} limit of {limit}"
            found.append(causes.invalid(f"{path}.requests", text, detail))
    return found


def _may_overcommit(name: str) -> bool:
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith("hugepages-")


def resource_name(name: str, path: str, known: Collection[str]) -> list[Cause]:
    """The name of what a container can have some of."""
    if name in known or name.startswith("hugepages-"):
        return []
    found = [causes.invalid(path, name, problem) for problem in names.qualified(name)]
    if found:
        return found
    if "/" not in name:
        return [
            causes.invalid(path, name, "must be a standard resource type or fully qualified"),
            causes.invalid(path, name, "must be a standard resource for containers"),
        ]
    return found


# -- probes and handlers


def _probe(one: Struct, path: str) -> list[Cause]:
    found = _handler(one, path, _HANDLERS)
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        found += fields.not_negative(one.get(key), f"{path}.{key}")
    grace = one.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(causes.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    return found


def _handler(one: Struct, path: str, known: Collection[str]) -> list[Cause]:
    found: list[Cause] = []
    given = fields.set_fields(one, known)
    if not given:
        return [causes.required(path, "must specify a handler type")]
    for position, key in enumerate(given):
        where, handler = f"{path}.{key}", one[key]
        if position:
            found.append(causes.forbidden(where, "may not specify more than 1 handler type"))
            continue
        if key == "exec" and not handler.get("command"):
            found.append(causes.required(f"{where}.command"))
        elif key == "httpGet":
            if not handler.get("path"):
                found.append(causes.required(f"{where}.path"))
            found += fields.port(handler.get("port") or 0, f"{where}.port")
            if handler.get("scheme") not in ("HTTP", "HTTPS"):
                found.append(causes.unsupported(f"{where}.scheme", handler.get("scheme") or "", ("HTTP", "HTTPS")))
        elif key == "tcpSocket" or key == "grpc":
            found += fields.port(handler.get("port") or 0, f"{where}.port")
    return found


# -- security


def user_id(value: Any, path: str) -> list[Cause]:
    """A user's or group's number."""
    if value is not None and not 0 <= value <= _MAX_ID:
        return [causes.invalid(path, value, f"must be between 0 and {_MAX_ID}, inclusive")]
    return []


def _security(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("runAsUser", "runAsGroup"):
        found += user_id(one.get(key), f"{path}.{key}")
    if one.get("procMount") not in (None, "Default", "Unmasked"):
        found.append(causes.unsupported(f"{path}.procMount", one["procMount"], ("Default", "Unmasked")))
    if one.get("seccompProfile"):
        found += seccomp(one["seccompProfile"], f"{path}.seccompProfile")
    if one.get("allowPrivilegeEscalation") is False:
        if one.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(causes.invalid(path, one, detail))
        if "CAP_SYS_ADMIN" in ((one.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(causes.invalid(path, one, detail))
    return found


def seccomp(one: Struct, path: str) -> list[Cause]:
    """A seccomp profile."""
    kind, local = one.get("type") or "", one.get("localhostProfile")
    if kind == "Localhost":
        if not local:
            return [causes.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")]
        return inside(local, f"{path}.localhostProfile")
    if local is not None:
        return [causes.invalid(f"{path}.localhostProfile", one, "can only be set when seccomp type is Localhost")]
    if not kind:
        return [causes.required(f"{path}.type", "type is required when seccompProfile is set")]
    known = ("Localhost", "RuntimeDefault", "Unconfined")
    return [] if kind in known else [causes.unsupported(f"{path}.type", kind, known)]
