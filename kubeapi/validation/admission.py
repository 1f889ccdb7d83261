"""Reading and checking an object, whatever its kind; what a client is told of fields that the kind doesn't have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kubeapi.errors import Cause, StatusError, bad_request, invalid
from kubeapi.resources import Resource
from kubeapi.validation import causes, metadata, names, wire
from kubeapi.validation import prepare as preparation
from kubeapi.validation.defaults import DEFAULTS
from kubeapi.validation.kinds import definitions, pods, registry, services

Manifest = dict[str, Any]


class Merged:
    """In the place of a patch: the object is what server-side apply merged of what `applied` says and the live one."""

    __slots__ = ("applied",)

    def __init__(self, applied: Mapping[str, Any]) -> None:
        self.applied = applied


def read(
    resource: Resource,
    manifest: Manifest,
    *,
    field_validation: str = "Ignore",
    patch: Any = None,
) -> tuple[Manifest, list[str]]:
    """The object as the server holds it, and warnings. `manifest` is taken over.

    `patch` is None for a body, Merged, or says how the patch that made the object is shown (a function). 400 for values
    of a wrong type and, with field_validation Strict, for unknown fields; 422 when a patch led to them, 500 when
    server-side apply did. With Warn, unknown fields are warned of.
    """
    try:
        if resource.custom:
            version = resource.definition.versions[resource.version]
            manifest, unknown = version.read(manifest, merged=isinstance(patch, Merged))
        elif resource.schema is not None:
            manifest, unknown = wire.read(manifest, resource.schema, DEFAULTS)
        else:
            return manifest, []
    except wire.DecodeProblem as problem:
        raise _unreadable(resource, manifest, problem, patch) from None
    if not unknown or field_validation == "Ignore" or isinstance(patch, Merged):
        return manifest, []
    texts = [f'unknown field "{path}"' for path in unknown]
    if field_validation == "Warn":
        return manifest, texts
    raise _unreadable(resource, manifest, wire.DecodeProblem(f"strict decoding error: {', '.join(texts)}"), patch)


def _unreadable(resource: Resource, manifest: Manifest, found: wire.DecodeProblem, patch: Any) -> StatusError:
    problem = str(found).rstrip()
    if isinstance(patch, Merged):
        version = f"{resource.group}/{resource.version}, Kind={resource.kind}"
        meta = patch.applied.get("metadata") or {}
        named = f"{meta.get('namespace') or ''}/{meta.get('name') or ''}; {version}"
        detail = _converted(found)
        return StatusError(
            500,
            "",
            f"failed to convert new object ({named}) to proper version: "
            f"unable to convert unstructured object to {version}: {detail}",
        )
    if patch is not None:
        body = patch()
        if body.startswith("map["):
            problem = _converted(found)
        return invalid("", "", "", [causes.invalid("patch", body, problem)])
    kind, version = manifest.get("kind", resource.kind), resource.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {problem}')


_UNFIT = re.compile(r"json: cannot unmarshal (\w+)(?: (\S+))? into Go struct field \S+ of type (\S+ ?)")


def _converted(found: wire.DecodeProblem) -> str:
    """A wrong type in the words of the conversion of values: strategic merges and applies go through no text."""
    problem = str(found)
    if "base64" in problem:
        return f"error decoding from json: {problem}"
    match = _UNFIT.fullmatch(problem)
    if match is None:
        return problem
    given, text, wanted = match.groups()
    kind = found.given
    if wanted in wire.NAMED_TYPES:
        wanted = "string"
    if wanted == wire.EITHER:
        return f"json: cannot unmarshal {given}{f' {text}' if text else ''} into Go value of type int32"
    if wanted.startswith("map[") or wanted == "v1.ResourceList":
        return f"cannot restore map from {kind}"
    if wanted.startswith("[]") and wanted != "[]uint8":
        return f"cannot restore slice from {kind}"
    if "." in wanted:
        return f"cannot restore struct from: {kind}"
    if kind == "int64" and wanted == "string":
        return "cannot convert int64 to string"
    if kind == "float64" and wanted.startswith("int"):
        return f"cannot convert float64 to {wanted}"
    return f"unrecognized type: {wanted}"


def prepare(resource: Resource, manifest: Manifest, old: Manifest | None, now: str) -> None:
    """What the server puts into an object itself, after its fields have owners; in place. `now` is a timestamp."""
    if resource.custom:
        if old is None:
            resource.definition.versions[resource.version].default(manifest)
        return
    preparation.prepare((resource.group, resource.kind), manifest, old, now)


def check(resource: Resource, manifest: Manifest, old: Manifest | None, *, subresource: str = "") -> list[str]:
    """Refuse (422) an object that breaks a rule of its kind; gives warnings."""
    if resource.custom:
        found = resource.definition.versions[resource.version].check(manifest, old, subresource)
    else:
        found = _check_built_in(resource, manifest, old, subresource)
    if found:
        raise invalid(resource.group, resource.kind, manifest["metadata"].get("name", ""), found)
    if subresource:
        return []
    if resource.custom:
        return metadata.finalizer_warnings(manifest["metadata"], old["metadata"] if old is not None else None)
    if old is not None and resource.kind != "Pod" and manifest.get("spec") == old.get("spec"):
        return []
    return _warnings(resource, manifest)


def _check_built_in(resource: Resource, manifest: Manifest, old: Manifest | None, subresource: str) -> list[Cause]:
    key = (resource.group, resource.kind)
    meta = manifest["metadata"]
    if old is None:
        found = metadata.new(meta, registry.NAMES.get(key, names.subdomain), resource.namespaced)
    else:
        found = metadata.changed(meta, old["metadata"])
    if key not in registry.ANY_FINALIZER and resource.group not in registry.ANY_FINALIZER_IN:
        found += metadata.standard_finalizers(meta.get("finalizers"), "metadata.finalizers")
    if subresource:
        return found + _check_status(manifest, old) if subresource == "status" else found
    rule: Callable[[Mapping[str, Any], Mapping[str, Any] | None], list[Cause]] | None
    rule = definitions.check if key == definitions.KIND else registry.CHECKS.get(key)
    if rule is not None:
        found += rule(manifest, old)
    return found


_COUNTS = (
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "fullyLabeledReplicas",
    "currentReplicas",
    "active",
    "succeeded",
    "failed",
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
)


def _check_status(manifest: Manifest, old: Manifest | None) -> list[Cause]:
    """The counts of a workload's status."""
    status = manifest.get("status")
    if not isinstance(status, dict):
        return []
    found = [
        causes.invalid(f"status.{key}", status[key], "must be greater than or equal to 0")
        for key in _COUNTS
        if isinstance(status.get(key), int) and status[key] < 0
    ]
    if manifest["kind"] in ("Deployment", "ReplicaSet"):
        total = status.get("replicas", 0)
        for key in ("updatedReplicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas"):
            count = status.get(key, 0)
            if count > total and (key in status or key in _ALWAYS[manifest["kind"]]):
                found.append(causes.invalid(f"status.{key}", count, "cannot be greater than status.replicas"))
        ready, available = status.get("readyReplicas", 0), status.get("availableReplicas", 0)
        if available > ready:
            found.append(causes.invalid("status.availableReplicas", available, "cannot be greater than readyReplicas"))
    elif manifest["kind"] == "StatefulSet":
        total, ready = status.get("replicas", 0), status.get("readyReplicas", 0)
        for key in ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"):
            if status.get(key, 0) > total:
                detail = "cannot be greater than status.replicas"
                found.append(causes.invalid(f"status.{key}", status.get(key, 0), detail))
        available = status.get("availableReplicas", 0)
        if available > ready:
            detail = "cannot be greater than status.readyReplicas"
            found.append(causes.invalid("status.availableReplicas", available, detail))
    elif manifest["kind"] == "Service":
        found += services.status(manifest)
    return found


_ALWAYS = {
    "Deployment": ("updatedReplicas", "readyReplicas", "availableReplicas"),
    "ReplicaSet": ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
}
"""Counts that are zero when they are absent."""


def _warnings(resource: Resource, manifest: Manifest) -> list[str]:
    if (resource.group, resource.kind) == definitions.KIND:
        return definitions.warnings(manifest)
    path = registry.TEMPLATES.get((resource.group, resource.kind))
    if path is None:
        return []
    spec: Any = manifest
    for key in path:
        spec = (spec or {}).get(key)
    return pods.warnings(spec or {}, ".".join(path))
