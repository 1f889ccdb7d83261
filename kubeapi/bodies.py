"""Request bodies: bytes of a content type → what they say."""

from __future__ import annotations

from typing import Any

import orjson

from kubeapi import protobuf
from kubeapi.errors import StatusError, bad_request, invalid, unsupported_media_type
from kubeapi.validation import causes, wire
from kubeapi.validation.defaults import DEFAULTS
from shared.schema import Schema
from shared.text import yaml

LIMIT = 3 * 1024 * 1024
"""Bytes of a request body, at most; as etcd and a real server take."""

DEPTH = 200
"""Levels of a JSON body, at most."""

PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
_OBJECTS = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)


def media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def decode(data: bytes, content_type: str) -> dict[str, Any]:
    """An object sent for create, update or delete; 400 when it isn't one, 415 for a content type that isn't known."""
    media = media_type(content_type) or "application/json"
    if media == protobuf.MEDIA_TYPE:
        return protobuf.decode(data)
    if media not in _OBJECTS:
        raise unsupported_media_type(media, _OBJECTS)
    value = _parse(data, is_yaml=media == "application/yaml")
    if not isinstance(value, dict):
        raise bad_request(f"the body of the request must be an object, not {_kind(value)}")
    return value


def decode_patch(data: bytes, content_type: str) -> tuple[str, Any]:
    """The kind of a patch (json, merge, strategic, apply) and what it says."""
    media = media_type(content_type)
    kind = PATCHES.get(media)
    if kind is None:
        accepted = ", ".join(PATCHES)
        raise StatusError(415, "UnsupportedMediaType", f"415: Unsupported Media Type: a patch is one of {accepted}")
    value = _parse(data, is_yaml=kind == "apply")
    if kind == "json":
        if not isinstance(value, list):
            raise bad_request(
                "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
            )
    elif not isinstance(value, dict):
        named = {list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {named} into Go value of type map[string]interface {{}}"
        )
    return kind, value


def typed(manifest: dict[str, Any], described: Schema) -> dict[str, Any]:
    """A body of a built-in kind that isn't stored, with its values of the types that the kind says; 400 otherwise."""
    try:
        return wire.read(manifest, described, DEFAULTS)[0]
    except wire.DecodeProblem as problem:
        kind = described.name.rpartition(".")[2]
        version = str(manifest.get("apiVersion") or "").rpartition("/")[2]
        said = manifest.get("kind") or kind
        raise bad_request(f'{said} in version "{version}" cannot be handled as a {kind}: {problem}') from None


def patched(manifest: dict[str, Any], described: Schema, shown: str) -> dict[str, Any]:
    """What a patch made of an object of a built-in kind that isn't stored; 422, with what is shown of it, when that
    can't be."""
    try:
        return wire.read(manifest, described, DEFAULTS)[0]
    except wire.DecodeProblem as problem:
        raise invalid("", "", "", [causes.invalid("patch", shown, str(problem))]) from None


def _parse(data: bytes, *, is_yaml: bool) -> Any:
    try:
        value = orjson.loads(data)
        # What can't be nested too deeply isn't measured: most bodies.
        if data.count(b"{") + data.count(b"[") > DEPTH and _deeper(value, DEPTH):
            raise bad_request(f"the body of the request is nested deeper than {DEPTH} levels")
        return value
    except orjson.JSONDecodeError as error:
        if not is_yaml:
            raise bad_request(f"the body of the request isn't JSON: {error}") from None
    try:
        return yaml.load(data)
    except yaml.YAMLError as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def _deeper(value: Any, limit: int) -> bool:
    """Whether a value has more than so many levels."""
    level = [value]
    for _ in range(limit):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _kind(value: Any) -> str:
    return {list: "an array", str: "a string", type(None): "null"}.get(type(value), "a scalar")


def require_kind(manifest: dict[str, Any], api_version: str, kind: str, *, built_in: bool = True) -> None:
    """400 unless the body is of the expected kind. A body of a built-in kind need not say what it is."""
    if built_in:
        manifest["apiVersion"] = manifest.get("apiVersion") or api_version
        manifest["kind"] = manifest.get("kind") or kind
    if not manifest.get("kind"):
        raise bad_request(f"Object 'Kind' is missing in '{orjson.dumps(manifest).decode()[:300]}'")
    if not manifest.get("apiVersion"):
        raise bad_request(f"Object 'apiVersion' is missing in '{orjson.dumps(manifest).decode()[:300]}'")
    if manifest["kind"] != kind:
        group, _, version = str(manifest["apiVersion"]).rpartition("/")
        wanted = api_version.rpartition("/")[2]
        raise bad_request(
            f'{manifest["kind"]} in version "{version}" cannot be handled as a {kind}: the object provided is '
            f"{group + '/' if group else ''}{version} {manifest['kind']}, and a {wanted} {kind} is expected"
        )
    if manifest["apiVersion"] != api_version:
        raise bad_request(
            f"the API version in the data ({manifest['apiVersion']}) does not match the expected API version "
            f"({api_version})"
        )


def body_too_large() -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LIMIT}")
