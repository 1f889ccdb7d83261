"""Manifests ↔ typed objects, and the patch that saves a status.

    manifest → decode → object → encode → manifest        before, after → status_patch → merge patch

What always holds: fields that we don't know never make decoding fail, and survive `encode(obj, onto=manifest)`;
an object that doesn't fit its type gives one `DecodeError` that names the object and the field; equal statuses give
no patch.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import re
from typing import Any, TypeVar, cast, get_type_hints

import msgspec

from shared.api.meta import Manifest, Named, Part, Resource

P = TypeVar("P", bound=Part)


class DecodeError(ValueError):
    """An object that doesn't fit its type. `field` is the dotted path of what is wrong ("" for the whole object)."""

    def __init__(self, what: str, field: str, problem: str) -> None:
        super().__init__(": ".join(part for part in (what, field, problem) if part))
        self.what = what
        self.field = field
        self.problem = problem


# ---- reading ---------------------------------------------------------------------------------------------------------


def decode(cls: type[P], manifest: Manifest) -> P:
    """The object that a manifest describes. Values of free-form fields are shared with the manifest, not copied.

    A null counts as an absent field. DecodeError when a value has the wrong type, a required field is missing, or the
    manifest is of another group or kind; the version is not compared.
    """
    _require_kind(cls, manifest)
    try:
        return msgspec.convert(manifest, cls)
    except msgspec.ValidationError:
        pass
    # Rare: nulls where the type has none. The second try says what is really wrong.
    try:
        return msgspec.convert(_without_nulls(manifest), cls)
    except msgspec.ValidationError as problem:
        raise _translate(cls, _without_nulls(manifest), problem) from problem


def decode_json(cls: type[P], data: bytes | str) -> P:
    """As `decode`, from JSON text: faster than parsing first, for the values that we don't know are skipped."""
    try:
        obj: P = _decoder(cls).decode(data)
    except msgspec.ValidationError:
        return decode(cls, cast(Manifest, _parse(cls, data)))
    except _NOT_JSON as problem:
        raise DecodeError(cls.__name__, "", f"not JSON: {problem}") from problem
    if isinstance(obj, Named):
        metadata = {"namespace": obj.metadata.namespace, "name": obj.metadata.name}
        _require_kind(cls, {"apiVersion": obj.api_version, "kind": obj.kind, "metadata": metadata})
    return obj


_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _parse(cls: type[Part], data: bytes | str) -> Any:
    try:
        return msgspec.json.decode(data)
    except _NOT_JSON as problem:
        raise DecodeError(cls.__name__, "", f"not JSON: {problem}") from problem


@functools.cache
def _decoder(cls: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


def _require_kind(cls: type[Part], manifest: object) -> None:
    if not isinstance(manifest, dict):
        raise DecodeError(cls.__name__, "", f"expected an object, got {_json_type(manifest)}")
    if not issubclass(cls, Named):
        return
    want = cls.resource
    api_version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if isinstance(kind, str) and kind and kind != want.kind:
        raise DecodeError(_name(cls, manifest), "kind", f"expected {want.kind}, got {kind[:200]}")
    if isinstance(api_version, str) and api_version and api_version.rpartition("/")[0] != want.group:
        raise DecodeError(
            _name(cls, manifest), "apiVersion", f"expected a version of {want.group}, got {api_version[:200]}"
        )


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


_AT = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<key>key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def _translate(cls: type[Part], manifest: Manifest, error: msgspec.ValidationError) -> DecodeError:
    match = _AT.match(str(error))
    problem, path = (match["problem"], match["path"] or "") if match else (str(error), "")
    field = _name_keys(cls, manifest, path.lstrip("."))
    missing = _MISSING.match(problem)
    if missing:
        field = f"{field}.{missing['field']}" if field else missing["field"]
        problem = "required, but missing"
    elif problem.startswith("Expected `"):
        # A field that may be absent also takes null; that is no help to the reader.
        problem = problem.replace(" | null`", "`")
        problem = re.sub(r"`(\w+)`", lambda word: _WORDS.get(word[1], word[0]), problem)
        problem = problem[0].lower() + problem[1:]
    return DecodeError(_name(cls, manifest), field, problem)


def _name_keys(cls: type[Part], manifest: Manifest, path: str) -> str:
    """The path with the key in place of each [...], which is all that msgspec says of a map's value."""
    while "[...]" in path:
        before, _, after = path.partition("[...]")
        keys = itertools.islice(_at(manifest, before), 1000)
        key = next((key for key in keys if _fails(cls, manifest, before, key)), None)
        if key is None:
            break
        path = f"{before}.{key}{after}"
    return path


def _steps(path: str) -> list[str | int]:
    return [int(index) if index else name for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]


def _at(manifest: Any, path: str) -> dict[str, Any]:
    for step in _steps(path):
        manifest = manifest[step]
    return cast(dict[str, Any], manifest)


def _fails(cls: type[Part], manifest: Manifest, path: str, key: str) -> bool:
    """Is the manifest wrong with only this key in the map at the path?"""
    alone: Any = {key: _at(manifest, path)[key]}
    steps = _steps(path)
    for depth in range(len(steps) - 1, -1, -1):
        outer = copy.copy(functools.reduce(lambda value, step: value[step], steps[:depth], cast(Any, manifest)))
        outer[steps[depth]] = alone
        alone = outer
    try:
        msgspec.convert(alone, cls)
    except msgspec.ValidationError as problem:
        return f"{path}[...]" in str(problem)
    return False


def _name(cls: type[Part], manifest: Manifest) -> str:
    metadata = manifest.get("metadata")
    if not issubclass(cls, Named) or not isinstance(metadata, dict):
        return cls.__name__
    parts = [metadata.get("namespace"), metadata.get("name")]
    name = "/".join(part for part in parts if isinstance(part, str) and part)
    return f"{cls.__name__} {name}" if name else cls.__name__


def _json_type(value: object) -> str:
    names = {str: "str", bool: "bool", int: "int", float: "float", list: "array", dict: "object", type(None): "null"}
    return _WORDS[names[type(value)]] if type(value) in names else type(value).__name__


# ---- writing ---------------------------------------------------------------------------------------------------------


class _Field(msgspec.Struct, frozen=True):
    attribute: str
    wire: str
    required: bool
    default: Any


@functools.cache
def _fields(cls: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    fields = []
    for field in msgspec.structs.fields(cls):
        marked = any(
            isinstance(meta, msgspec.Meta) and meta.extra and meta.extra.get("required")
            for meta in getattr(hints[field.name], "__metadata__", ())
        )
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        fields.append(_Field(field.name, field.encode_name, marked or field.required, default))
    return tuple(fields)


def encode(obj: Part, onto: Manifest | None = None) -> Manifest:
    """The manifest of an object: required fields, and those that differ from their default.

    With `onto`, a new manifest that keeps all that `onto` has and our types don't know, and what it says explicitly
    and still holds; neither argument is changed. List items are matched by what identifies them, never by place.
    """
    old = onto if isinstance(onto, dict) else {}
    known = _fields(type(obj))
    # Fields stay where they stood; new ones come at the end, in the order of the type.
    result: Manifest = dict(old)
    for field in known:
        value = getattr(obj, field.attribute)
        if value is None or (not field.required and value == field.default):
            if field.wire in result and not _says(type(obj), field, result[field.wire], value):
                del result[field.wire]
            elif field.wire in result and isinstance(value, (Part, list, dict)):
                result[field.wire] = _write(value, result[field.wire])
            continue
        result[field.wire] = _write(value, old.get(field.wire))
    return result


def _write(value: Any, old: Any) -> Any:
    if isinstance(value, Part):
        return encode(value, old if isinstance(old, dict) else None)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        return {key: _write(item, before.get(key)) for key, item in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], Part):
            return _write_items(value, old if isinstance(old, list) else [])
        return [_write(item, None) for item in value]
    return value


def _write_items(items: list[Part], old: list[Any]) -> list[Manifest]:
    cls: Any = type(items[0])
    if _is_plain(cls):  # an inventory may have thousands of entries
        fresh = cast(list[Manifest], msgspec.to_builtins(items))
        if not old or fresh == old:
            return fresh
    names = [field for field in _fields(cls) if field.attribute in cls.identity]
    before: dict[str, list[Manifest]] = {}
    for item in old if names else ():
        if isinstance(item, dict):
            before.setdefault(json.dumps([item.get(name.wire) for name in names]), []).append(item)
    written = []
    for part in items:
        matches = before.get(json.dumps([getattr(part, name.attribute) for name in names]))
        written.append(encode(part, matches.pop(0) if matches else None))
    return written


@functools.cache
def _is_plain(cls: Any) -> bool:
    """Does msgspec write such a part as `encode` would? Its fields are scalars, and an omitted one is None or zero."""
    return all(
        (field.default is msgspec.NODEFAULT or (not field.required and field.default in (None, False, 0)))
        and _hint(cls, field.attribute) in (str, bool, int, str | None, bool | None, int | None)
        for field in _fields(cls)
    )


def _says(cls: Any, field: _Field, wire: Any, value: Any) -> bool:
    """Does what is written already mean this value?"""
    try:
        read = msgspec.convert(wire, _hint(cls, field.attribute))
    except msgspec.ValidationError:
        return False
    return bool(read == value) or (wire is None and value == field.default)


@functools.cache
def _hint(cls: Any, attribute: str) -> Any:
    return get_type_hints(cls, include_extras=True)[attribute]


# ---- the status patch ------------------------------------------------------------------------------------------------


def status_patch(before: Resource | Manifest, after: Resource | Manifest) -> Manifest | None:
    """The smallest JSON merge patch that turns the status of `before` into that of `after`; None when they are equal.

    {"status": {...}} with null for what is removed; lists are replaced as a whole. Nulls inside a status count as
    absent, as the API server has it, and so does an empty status. A typed `after` over a manifest `before` keeps the
    status fields that our types don't know.
    """
    old = _status(before)
    changes = _difference(old, _status(after, onto=old if isinstance(before, dict) else None))
    return {"status": changes} if changes else None


def _status(obj: Resource | Manifest, onto: Manifest | None = None) -> Manifest:
    if isinstance(obj, dict):
        return _object(obj.get("status"))
    status = getattr(obj, "status", None)
    return encode(status, onto) if isinstance(status, Part) else {}


def _object(value: Any) -> Manifest:
    return value if isinstance(value, dict) else {}


def _difference(before: Manifest, after: Manifest) -> Manifest:
    changes: Manifest = {key: None for key, value in before.items() if value is not None and after.get(key) is None}
    for key, value in after.items():
        if value is None:
            continue
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = _difference(old, value)
            if inner:
                changes[key] = inner
        elif not _equal(old, value):
            changes[key] = _pruned(value)
    return changes


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    return value


def _equal(a: Any, b: Any) -> bool:
    """JSON equality: true is not 1, and 1 is 1.0."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)
