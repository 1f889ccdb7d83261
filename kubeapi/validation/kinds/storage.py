"""Claims, volumes and storage classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi import quantity
from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import pods, volumes

Struct = Mapping[str, Any]

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM = ("Delete", "Recycle", "Retain")
_SPEC_FROZEN = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


def claim(manifest: Struct, old: Struct | None) -> list[Cause]:
    found = claim_spec(manifest["spec"], "spec")
    if old is not None:
        found += _claim_changes(manifest, old)
    return found


def claim_spec(spec: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    modes = spec.get("accessModes") or []
    if not modes:
        found.append(causes.required(f"{path}.accessModes", "at least 1 access mode is required"))
    found += fields.selector(spec.get("selector"), f"{path}.selector")
    found += [causes.unsupported(f"{path}.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        detail = "may not use ReadWriteOncePod with other access modes"
        found.append(causes.forbidden(f"{path}.accessModes", detail))
    wanted = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if wanted is None:
        found.append(causes.required(f"{path}.resources[storage]"))
    elif quantity.parse(wanted)[0] <= 0:
        found.append(causes.invalid(f"{path}.resources[storage]", wanted, "must be greater than zero"))
    if spec.get("storageClassName"):
        found += fields.named(spec["storageClassName"], names.subdomain, f"{path}.storageClassName")
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        found.append(causes.unsupported(f"{path}.volumeMode", mode, _VOLUME_MODES))
    return found


def _claim_changes(manifest: Struct, old: Struct) -> list[Cause]:
    spec, before = dict(manifest["spec"]), dict(old["spec"])
    found: list[Cause] = []
    # A claim may still be bound.
    if not before.get("volumeName") and "volumeName" in spec:
        before["volumeName"] = spec["volumeName"]
    bound = (old.get("status") or {}).get("phase") == "Bound"
    now, then = _size(spec), _size(before)
    if bound and now is not None:
        spec["resources"] = before.get("resources")
        if "volumeAttributesClassName" in spec or "volumeAttributesClassName" in before:
            spec["volumeAttributesClassName"] = before.get("volumeAttributesClassName")
    if spec != before and not _only_class_from_annotation(spec, before):
        detail = f"{_SPEC_FROZEN}\n{pods.difference(before, spec)}"
        found.append(causes.forbidden("spec", detail))
    has = quantity.parse(((old.get("status") or {}).get("capacity") or {}).get("storage") or "0")[0]
    if then is not None and (now or 0) < then and (now or 0) <= has:
        detail = "field can not be less than status.capacity"
        found.append(causes.forbidden("spec.resources.requests.storage", detail))
    if spec.get("volumeMode") != before.get("volumeMode"):
        found.append(causes.immutable("volumeMode", spec.get("volumeMode")))
    return found


def _size(spec: Struct) -> Any:
    text = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return None if text is None else quantity.parse(text)[0]


def _only_class_from_annotation(spec: Struct, before: Struct) -> bool:
    """A claim that has no class yet may get the default one."""
    if before.get("storageClassName") is not None:
        return False
    without = {key: value for key, value in spec.items() if key != "storageClassName"}
    return without == dict(before)


def volume(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    found: list[Cause] = []
    modes = spec.get("accessModes") or []
    if not modes:
        found.append(causes.required("spec.accessModes"))
    found += [causes.unsupported("spec.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]
    capacity = spec.get("capacity") or {}
    if not capacity:
        found.append(causes.required("spec.capacity"))
    if "storage" not in capacity or len(capacity) > 1:
        found.append(causes.unsupported("spec.capacity", spec.get("capacity"), ("storage",)))
    for name, text in capacity.items():
        if quantity.parse(text)[0] <= 0:
            found.append(causes.invalid(f"spec.capacity[{name}]", text, "must be greater than zero"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _RECLAIM:
        found.append(causes.unsupported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM))
    if spec.get("storageClassName"):
        found += fields.named(spec["storageClassName"], names.subdomain, "spec.storageClassName")
    mode = spec.get("volumeMode")
    if mode is not None and mode not in _VOLUME_MODES:
        found.append(causes.unsupported("spec.volumeMode", mode, _VOLUME_MODES))
    sources = [key for key in spec if key not in _NOT_SOURCES and isinstance(spec[key], Mapping)]
    if not sources:
        found.append(causes.required("spec", "must specify a volume type"))
    elif sources[0] in _SOURCE_CHECKS:
        found += _SOURCE_CHECKS[sources[0]](spec[sources[0]], f"spec.{sources[0]}")
    found += [causes.forbidden(f"spec.{key}", "may not specify more than 1 volume type") for key in sources[1:]]
    if old is not None:
        before = {key: value for key, value in old["spec"].items() if key not in _NOT_SOURCES}
        if {key: value for key, value in spec.items() if key not in _NOT_SOURCES} != before:
            detail = "spec.persistentvolumesource is immutable after creation"
            found.append(causes.forbidden("spec.persistentvolumesource", f"{detail}\n{pods.difference(before, spec)}"))
        if (spec.get("volumeMode") or "") != (old["spec"].get("volumeMode") or ""):
            found.append(causes.immutable("volumeMode", spec.get("volumeMode")))
    return found


_NOT_SOURCES = frozenset(
    {
        *("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy"),
        *("storageClassName", "volumeAttributesClassName", "volumeMode"),
    }
)


_SOURCE_CHECKS = {"hostPath": volumes.host_path, "nfs": volumes.nfs}


def storage_class(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    provisioner = manifest.get("provisioner") or ""
    if not provisioner:
        found.append(causes.required("provisioner"))
    else:
        found += fields.named(provisioner.lower(), names.qualified, "provisioner")
    for key in manifest.get("parameters") or {}:
        if not key:
            found.append(causes.invalid("parameters", "", "field can not be empty."))
    policy = manifest.get("reclaimPolicy")
    if policy and policy not in ("Delete", "Retain"):
        found.append(causes.unsupported("reclaimPolicy", policy, ("Delete", "Retain")))
    binding = manifest.get("volumeBindingMode")
    known = ("Immediate", "WaitForFirstConsumer")
    if binding is None:
        found.append(causes.required("volumeBindingMode"))
    elif binding not in known:
        found.append(causes.unsupported("volumeBindingMode", binding, known))
    if old is not None:
        found += [
            causes.immutable(key, manifest.get(key))
            for key in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
            if (manifest.get(key) or None) != (old.get(key) or None)
        ]
    return found
