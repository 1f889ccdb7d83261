"""Volumes of a pod: each has a name of its own and one source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import containers

Struct = Mapping[str, Any]
Check = Callable[[Struct, str], list[Cause]]

_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_DOWNWARD = frozenset(
    {"metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid"}
)


def check(volumes: list[Struct], path: str) -> list[Cause]:
    """The problems of a pod's volumes."""
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(volumes):
        where, name = f"{path}[{index}]", one.get("name") or ""
        sources = [key for key in one if key != "name" and one[key] is not None]
        for position, key in enumerate(sources):
            if position:
                found.append(causes.forbidden(f"{where}.{key}", "may not specify more than 1 volume type"))
            elif key in _CHECKS:
                found += _CHECKS[key](one[key], f"{where}.{key}")
        if not sources:
            found.append(causes.required(where, "must specify a volume type"))
        if not name:
            found.append(causes.required(f"{where}.name"))
        else:
            problems = names.label(name)
            found += [causes.invalid(f"{where}.name", name, problem) for problem in problems]
            if not problems and name in seen:
                found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
    return found


def _mode(value: Any, path: str) -> list[Cause]:
    if value is not None and not 0 <= value <= 0o777:
        return [causes.invalid(path, value, _MODE)]
    return []


def _items(items: Any, path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(items or ()):
        where = f"{path}[{index}]"
        if not one.get("key"):
            found.append(causes.required(f"{where}.key"))
        found += _file(one.get("path"), f"{where}.path")
        found += _mode(one.get("mode"), f"{where}.mode")
    return found


def _file(value: Any, path: str) -> list[Cause]:
    if not value:
        return [causes.required(path)]
    found = containers.inside(value, path)
    if not found and value.startswith(".."):
        found.append(causes.invalid(path, value, "must not start with '..'"))
    return found


def _config_map(one: Struct, path: str) -> list[Cause]:
    found = [] if one.get("name") else [causes.required(f"{path}.name")]
    return found + _mode(one.get("defaultMode"), f"{path}.defaultMode") + _items(one.get("items"), f"{path}.items")


def _secret(one: Struct, path: str) -> list[Cause]:
    found = [] if one.get("secretName") else [causes.required(f"{path}.secretName")]
    return found + _mode(one.get("defaultMode"), f"{path}.defaultMode") + _items(one.get("items"), f"{path}.items")


def _claim(one: Struct, path: str) -> list[Cause]:
    return [] if one.get("claimName") else [causes.required(f"{path}.claimName")]


def host_path(one: Struct, path: str) -> list[Cause]:
    """A path of the node."""
    given = one.get("path") or ""
    if not given:
        return [causes.required(f"{path}.path")]
    found = []
    if ".." in given.split("/"):
        found.append(causes.invalid(f"{path}.path", given, "must not contain '..'"))
    if (one.get("type") or "") not in _HOST_PATH_TYPES:
        found.append(causes.unsupported(f"{path}.type", one["type"], _HOST_PATH_TYPES))
    return found


def _empty_dir(one: Struct, path: str) -> list[Cause]:
    limit = one.get("sizeLimit")
    if limit is not None and limit.startswith("-"):
        return [causes.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")]
    return []


def _downward(one: Struct, path: str) -> list[Cause]:
    found = _mode(one.get("defaultMode"), f"{path}.defaultMode")
    for item in one.get("items") or ():
        # The server reports them under the volume, not under the item.
        found += _file(item.get("path"), f"{path}.path")
        reference, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if reference is not None:
            found += containers.field_reference(reference, f"{path}.fieldRef", _DOWNWARD)
            if resource is not None:
                detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
                found.append(causes.invalid(path, "resource", detail))
        elif resource is not None:
            found += containers.resource_reference(resource, f"{path}.resourceFieldRef")
        else:
            found.append(causes.required(path, "one of fieldRef and resourceFieldRef is required"))
        found += _mode(item.get("mode"), f"{path}.mode")
    return found


def _projected(one: Struct, path: str) -> list[Cause]:
    found = _mode(one.get("defaultMode"), f"{path}.defaultMode")
    for index, source in enumerate(one.get("sources") or ()):
        where = f"{path}.sources[{index}]"
        given = [key for key in source if source[key] is not None]
        for position, key in enumerate(given):
            if position:
                found.append(causes.forbidden(where, "may not specify more than 1 volume type per source"))
                break
            below, at = source[key], f"{where}.{key}"
            if key in ("secret", "configMap"):
                if not below.get("name"):
                    found.append(causes.required(f"{at}.name"))
                found += _items(below.get("items"), f"{at}.items")
            elif key == "downwardAPI":
                found += _downward(below, at)
            elif key == "serviceAccountToken":
                found += _token(below, at)
    return found


def _token(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    seconds = one.get("expirationSeconds", 3600)
    if seconds < 600:
        found.append(
            causes.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        )
    elif seconds > 2**32:
        detail = "may not specify a duration larger than 2^32 seconds"
        found.append(causes.invalid(f"{path}.expirationSeconds", seconds, detail))
    if not one.get("path"):
        found.append(causes.required(f"{path}.path"))
    else:
        found += _file(one["path"], f"{path}.path")
    return found


def nfs(one: Struct, path: str) -> list[Cause]:
    """A directory that a server shares."""
    found = [causes.required(f"{path}.{key}") for key in ("server", "path") if not one.get(key)]
    if one.get("path") and not one["path"].startswith("/"):
        found.append(causes.invalid(f"{path}.path", one["path"], "must be an absolute path"))
    return found


def _csi(one: Struct, path: str) -> list[Cause]:
    driver = one.get("driver")
    if not driver:
        return [causes.required(f"{path}.driver")]
    return fields.named(driver.lower(), names.subdomain, f"{path}.driver")


def _ephemeral(one: Struct, path: str) -> list[Cause]:
    from kubeapi.validation.kinds import storage

    template = one.get("volumeClaimTemplate")
    if template is None:
        return [causes.required(f"{path}.volumeClaimTemplate")]
    return storage.claim_spec(template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")


_CHECKS: dict[str, Check] = {
    "configMap": _config_map,
    "secret": _secret,
    "persistentVolumeClaim": _claim,
    "hostPath": host_path,
    "emptyDir": _empty_dir,
    "downwardAPI": _downward,
    "projected": _projected,
    "nfs": nfs,
    "csi": _csi,
    "ephemeral": _ephemeral,
}
