"""Reading and checking an object, whatever its kind; what a client is told of fields that the kind doesn't have."""

from __future__ import annotations

from typing import Any

import orjson

from kubeapi.errors import StatusError, bad_request, invalid
from kubeapi.resources import Resource
from kubeapi.validation import causes, wire
from kubeapi.validation.defaults import DEFAULTS
from kubeapi.validation.metadata import finalizer_warnings

Manifest = dict[str, Any]


def read(
    resource: Resource, manifest: Manifest, *, field_validation: str = "Ignore", patched: bool = False
) -> tuple[Manifest, list[str]]:
    """The object as the server holds it, and warnings. `manifest` is taken over.

    400 (422 when it is the result of a patch, `patched`) for values of a wrong type and, with field_validation Strict,
    for unknown fields; with Warn they are warned of.
    """
    before = orjson.dumps(manifest).decode() if patched and field_validation == "Strict" else ""
    try:
        if resource.custom:
            manifest, unknown = resource.definition.versions[resource.version].read(manifest)
        elif resource.schema is not None:
            manifest, unknown = wire.read(manifest, resource.schema, DEFAULTS)
        else:
            return manifest, []
    except wire.DecodeProblem as problem:
        raise _unreadable(resource, manifest, str(problem), patched, before) from None
    if not unknown or field_validation == "Ignore":
        return manifest, []
    texts = [f'unknown field "{path}"' for path in unknown]
    if field_validation == "Warn":
        return manifest, texts
    raise _unreadable(resource, manifest, f"strict decoding error: {', '.join(texts)}", patched, before)


def _unreadable(resource: Resource, manifest: Manifest, problem: str, patched: bool, before: str) -> StatusError:
    if patched:
        body = before or orjson.dumps(manifest).decode()
        return invalid("", "", "", [causes.invalid("patch", body, problem)])
    kind, version = manifest.get("kind", resource.kind), resource.version
    return bad_request(f'{kind} in version "{version}" cannot be handled as a {resource.kind}: {problem}')


def check(resource: Resource, manifest: Manifest, old: Manifest | None, *, subresource: str = "") -> list[str]:
    """Refuse (422) an object that breaks a rule of its kind; gives warnings."""
    if not resource.custom:
        return []
    found = resource.definition.versions[resource.version].check(manifest, old, subresource)
    if found:
        raise invalid(resource.group, resource.kind, manifest["metadata"].get("name", ""), found)
    if subresource == "status":
        return []
    return finalizer_warnings(manifest["metadata"], old["metadata"] if old is not None else None)
