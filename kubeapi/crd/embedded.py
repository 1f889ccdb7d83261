"""Objects inside custom objects (x-kubernetes-embedded-resource): they have a kind, a version and sound metadata."""

from __future__ import annotations

from typing import Any

from kubeapi.crd.structural import META, Node
from kubeapi.errors import Cause
from kubeapi.validation import causes, metadata, names, wire
from shared import schema


def read_metadata(value: Any) -> tuple[dict[str, Any], list[str]]:
    """Metadata as the server holds it, and the unknown fields in it. DecodeProblem when it can't be read."""
    if not isinstance(value, dict):
        raise wire.DecodeProblem(f"json: cannot unmarshal {wire.json_kind(value)} into Go value of type v1.ObjectMeta")
    read, unknown = wire.read(value, schema.schema(META), {})
    return read, [f"metadata.{path}" for path in unknown]


def coerce(value: Any, node: Node | None, path: str, unknown: list[str], embedded: bool) -> None:
    """Bring the metadata of embedded objects into shape, in place. DecodeProblem when it can't be read."""
    if node is None or not node.has_embedded:
        return
    if isinstance(value, dict):
        for key, child in value.items():
            where = f"{path}.{key}" if path else key
            if embedded and key in ("apiVersion", "kind"):
                if not isinstance(child, str):
                    raise wire.DecodeProblem(f"{where}: Invalid value: {causes.show(child)}: must be a string")
            elif embedded and key == "metadata":
                try:
                    read, strange = read_metadata(child)
                except wire.DecodeProblem as problem:
                    raise wire.DecodeProblem(f"{where}: Invalid value: {causes.show(child)}: {problem}") from None
                value[key] = read
                unknown += [f"{path}.{one}" if path else one for one in strange]
            else:
                below = node.child(key)
                coerce(child, below, where, unknown, below is not None and below.embedded)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            below = node.items
            coerce(child, below, f"{path}[{index}]", unknown, below is not None and below.embedded)


def check(value: Any, node: Node | None, path: str = "", embedded: bool = False) -> list[Cause]:
    """The problems of embedded objects; the root itself is not one."""
    if node is None or not node.has_embedded:
        return []
    found: list[Cause] = []
    if isinstance(value, dict):
        if embedded:
            found += _check_object(value, path)
        for key, child in value.items():
            named = key in node.properties
            below = node.child(key)
            if below is not None:
                where = f"{path}[{key}]" if not named else f"{path}.{key}" if path else key
                found += check(child, below, where, below.embedded)
    elif isinstance(value, list) and node.items is not None:
        for index, child in enumerate(value):
            found += check(child, node.items, f"{path}[{index}]", node.items.embedded)
    return found


def _check_object(value: dict[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("apiVersion", "kind"):
        where, given = f"{path}.{key}", value.get(key)
        if key not in value:
            found.append(causes.required(where))
        elif not isinstance(given, str):
            found.append(causes.invalid(where, given, "must be a string"))
        elif not given:
            found.append(causes.invalid(where, given, "must not be empty"))
        elif key == "apiVersion" and given.count("/") > 1:
            found.append(causes.invalid(where, given, f"unexpected GroupVersion string: {given}"))
        elif key == "kind" and names.label_1035(given.lower()):
            problem = ",".join(names.label_1035(given.lower()))
            detail = f"may have mixed case, but should otherwise match: {problem}"
            found.append(causes.invalid(where, given, detail))
    meta = value.get("metadata")
    if isinstance(meta, dict):
        named = meta if meta.get("name") else {**meta, "name": "fakename"}
        found += metadata.new(named, names.path_segment, bool(meta.get("namespace")), f"{path}.metadata")
    return found
