"""ConfigMaps, Secrets, Leases, ServiceAccounts, Namespaces, quotas and limits."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from typing import Any

from kubeapi import quantity
from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import containers

Struct = Mapping[str, Any]

_LIMIT = 1024 * 1024
"""Bytes of all values of a ConfigMap or Secret, at most."""
_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
}
_QUOTA = frozenset(
    {
        *("cpu", "memory", "ephemeral-storage", "requests.storage"),
        *(f"{kind}.{name}" for kind in ("requests", "limits") for name in ("cpu", "memory", "ephemeral-storage")),
        *("pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps"),
        *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
    }
)
"""What a quota can count without a domain before its name."""
_HUGE = ("hugepages-", "requests.hugepages-")
_ACCOUNT = "kubernetes.io/service-account.name"
_FROZEN = "field is immutable when `immutable` is set"


def config_map(manifest: Struct, old: Struct | None) -> list[Cause]:
    data, binary = manifest.get("data") or {}, manifest.get("binaryData") or {}
    found: list[Cause] = []
    size = 0
    for key, value in data.items():
        found += [causes.invalid(f"data[{key}]", key, problem) for problem in names.config_key(key)]
        if key in binary:
            found.append(causes.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size += len(value.encode())
    for key, value in binary.items():
        found += [causes.invalid(f"binaryData[{key}]", key, problem) for problem in names.config_key(key)]
        size += len(value) * 3 // 4
    if size > _LIMIT:
        found.append(causes.too_long("[]", _LIMIT))
    if old is not None and old.get("immutable"):
        if not manifest.get("immutable"):
            found.append(causes.forbidden("immutable", _FROZEN))
        found += [
            causes.forbidden(key, _FROZEN)
            for key in ("data", "binaryData")
            if (manifest.get(key) or {}) != (old.get(key) or {})
        ]
    return found


def secret(manifest: Struct, old: Struct | None) -> list[Cause]:
    data, kind = manifest.get("data") or {}, manifest.get("type") or ""
    found: list[Cause] = []
    if old is not None:
        if kind != (old.get("type") or ""):
            found.append(causes.immutable("type", kind))
        if old.get("immutable"):
            if not manifest.get("immutable"):
                found.append(causes.forbidden("immutable", _FROZEN))
            if data != (old.get("data") or {}):
                found.append(causes.forbidden("data", _FROZEN))
    size = 0
    for key, value in data.items():
        found += [causes.invalid(f"data[{key}]", key, problem) for problem in names.config_key(key)]
        size += len(value) * 3 // 4
    if size > _LIMIT:
        found.append(causes.too_long("data", _LIMIT))
    for key in _KEYS.get(kind, ()):
        if key not in data:
            found.append(causes.required(f"data[{key}]"))
        elif key.startswith(".docker"):
            found += _is_json(data[key], f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not ("username" in data or "password" in data):
        found += [causes.required("data[username]"), causes.required("data[password]")]
    if kind == "kubernetes.io/service-account-token" and not (
        (manifest["metadata"].get("annotations") or {}).get(_ACCOUNT)
    ):
        found.append(causes.required(f"metadata.annotations[{_ACCOUNT}]"))
    return found


def _is_json(value: str, path: str) -> list[Cause]:
    hidden = "<secret contents redacted>"
    try:
        text = binascii.a2b_base64(value).decode()
    except (ValueError, UnicodeDecodeError):
        text = ""
    try:
        json.loads(text)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        shown = f"'{text[at]}'" if at < len(text) else ""
        problem = (
            f"invalid character {shown} looking for beginning of value" if shown else "unexpected end of JSON input"
        )
        return [causes.invalid(path, hidden, problem)]
    return []


def resource_quota(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    for name, text in ((manifest.get("spec") or {}).get("hard") or {}).items():
        path = f"spec.hard[{name}]"
        problems = names.qualified(name)
        found += [causes.invalid(path, name, problem) for problem in problems]
        if not problems and "/" not in name and name not in _QUOTA and not name.startswith(_HUGE):
            found.append(causes.invalid(path, name, "must be a standard resource type or fully qualified"))
            found.append(causes.invalid(path, name, "must be a standard resource for quota"))
        if text.startswith("-"):
            found.append(causes.invalid(path, text, "must be greater than or equal to 0"))
    return found


def limit_range(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate((manifest.get("spec") or {}).get("limits") or ()):
        path, kind = f"spec.limits[{index}]", one.get("type") or ""
        problems = names.qualified(kind)
        found += [causes.invalid(f"{path}.type", kind, problem) for problem in problems]
        if not problems and "/" not in kind and kind not in ("Pod", "Container", "PersistentVolumeClaim"):
            detail = "must be a standard limit type or fully qualified"
            found.append(causes.invalid(f"{path}.type", kind, detail))
        if kind in seen:
            found.append(causes.duplicate(f"{path}.type", kind))
        seen.add(kind)
        found += _limits(one, path)
    return found


def _limits(one: Struct, path: str) -> list[Cause]:
    """The amounts of a limit, and that each is between the others."""
    found: list[Cause] = []
    kind = one.get("type") or ""
    amounts = {key: one.get(key) or {} for key in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")}
    if kind == "Pod":
        for key in ("default", "defaultRequest"):
            if amounts[key]:
                found.append(causes.forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'"))
                amounts[key] = {}
    for key, given in amounts.items():
        for name in given:
            where = f"{path}.{key}[{name}]"
            found += (
                containers.resource_name(name, where, containers.RESOURCES)
                if kind in ("Pod", "Container")
                else _standard_resource(name, where)
            )
    if kind == "PersistentVolumeClaim" and "storage" not in {**amounts["min"], **amounts["max"]}:
        detail = "either minimum or maximum storage value is required, but neither was provided"
        found.append(causes.required(f"{path}.limits", detail))
    for low, high, at, words in _BETWEEN:
        for name, text in amounts[low].items():
            limit = amounts[high].get(name)
            if limit is not None and quantity.parse(text)[0] > quantity.parse(limit)[0]:
                field, shown = at
                value = limit if shown == "high" else text
                found.append(causes.invalid(f"{path}.{field}[{name}]", value, words.format(text, limit)))
    return found


def _standard_resource(name: str, path: str) -> list[Cause]:
    """The name of what is not a container's."""
    found = [causes.invalid(path, name, problem) for problem in names.qualified(name)]
    if not found and "/" not in name and name not in _QUOTA and name != "storage" and not name.startswith("hugepages-"):
        found = [causes.invalid(path, name, "must be a standard resource type or fully qualified")]
    return found


_BETWEEN = (
    ("min", "max", ("min", "low"), "min value {} is greater than max value {}"),
    ("min", "defaultRequest", ("defaultRequest", "high"), "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", ("defaultRequest", "low"), "default request value {} is greater than max value {}"),
    (
        "defaultRequest",
        "default",
        ("defaultRequest", "low"),
        "default request value {} is greater than default limit value {}",
    ),
    ("min", "default", ("default", "low"), "min value {} is greater than default value {}"),
    ("default", "max", ("default", "high"), "default value {} is greater than max value {}"),
)
"""What may not be more than what, the field that is told and which of the two it shows, and the words."""


def lease(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest.get("spec") or {}
    found: list[Cause] = []
    duration = spec.get("leaseDurationSeconds")
    if duration is not None and duration <= 0:
        found.append(causes.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    return found + fields.negatives(spec, "spec", "leaseTransitions")


def endpoints(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(manifest.get("subsets") or ()):
        path = f"subsets[{index}]"
        if not one.get("addresses") and not one.get("notReadyAddresses"):
            found.append(causes.required(path, "must specify `addresses` or `notReadyAddresses`"))
        for key in ("addresses", "notReadyAddresses"):
            for position, address in enumerate(one.get(key) or ()):
                found += fields.endpoint(address.get("ip") or "", f"{path}.{key}[{position}].ip")
        ports = one.get("ports") or ()
        for position, port in enumerate(ports):
            if len(ports) > 1 and not port.get("name"):
                found.append(causes.required(f"{path}.ports[{position}].name"))
            elif port.get("name"):
                found += fields.named(port["name"], names.label, f"{path}.ports[{position}].name")
            found += fields.port(port.get("port") or 0, f"{path}.ports[{position}].port")
            protocol = port.get("protocol")
            known = ("SCTP", "TCP", "UDP")
            found += fields.one_of(protocol, known, f"{path}.ports[{position}].protocol", needed=True)
    return found
