"""The suffix that generated names carry: ten letters of a digest of the content, as every kustomize makes them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .errors import BuildError
from .resource import Resource
from .scalars import text

_LETTERS = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})
_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def go_json(value: Any) -> str:
    """JSON as Go writes it: keys sorted, no spaces, `<`, `>` and `&` escaped."""
    written = json.dumps(_go_numbers(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)
    for char, escape in _GO_ESCAPES.items():
        if char in written:
            written = written.replace(char, escape)
    return written


def _go_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _go_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_go_numbers(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return int(float(value))
    return value


def _field(item: Resource, name: str) -> Any:
    value = item.value.get(name)
    if name not in item.value:
        return ""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {}
    return text(value)


def digest(content: str) -> str:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:10].translate(_LETTERS)


def name_suffix(item: Resource) -> str:
    """The ten letters for an object. Of a ConfigMap and a Secret only the content counts, not the labels."""
    kind = item.kind
    if kind == "ConfigMap":
        content: dict[str, Any] = {"kind": "ConfigMap", "name": "", "data": _field(item, "data")}
        more = _field(item, "binaryData")
        if isinstance(more, dict):
            content["binaryData"] = more
    elif kind == "Secret":
        content = {"kind": "Secret", "type": _field(item, "type"), "name": "", "data": _field(item, "data")}
        more = _field(item, "stringData")
        if isinstance(more, dict):
            content["stringData"] = more
    else:
        raise BuildError(f"{item}: only ConfigMaps and Secrets can have a hash in their name")
    return digest(go_json(content))
