"""Request bodies in Kubernetes' protobuf form, as Go clients send built-in kinds → plain objects, as JSON has them.

Only reading: every client that sends protobuf takes JSON answers. The field numbers are data: messages.json.gz, which
kubeapi.protobuf.generate writes. What Go would leave out of JSON (empty strings, zeros) may still be in what comes out;
the reading of built-in kinds drops it.
"""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from kubeapi.errors import bad_request
from shared import schema

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
_MAX_DEPTH = 100
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

Field = tuple[str, str, str]
"""JSON name, type, flags."""
Value = int | bytes


class Malformed(ValueError):
    """The bytes are no message of the type they should be."""


def decode(data: bytes) -> dict[str, Any]:
    """The object in a request body; 400 when it can't be read."""
    try:
        return _decode(data)
    except (Malformed, UnicodeDecodeError, struct.error, OverflowError, orjson.JSONDecodeError) as error:
        raise bad_request(f"the body of the request isn't an object in protobuf: {error}") from None


def _decode(data: bytes) -> dict[str, Any]:
    if not data.startswith(_MAGIC):
        raise Malformed("it doesn't begin with the bytes that say so")
    envelope = dict(_fields(data[len(_MAGIC) :]))
    type_meta = {number: _bytes(value).decode() for number, value in _fields(_bytes(envelope.get(1, b"")))}
    api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
    if _bytes(envelope.get(3, b"")):
        raise Malformed("it is encoded further")
    name = _META + kind if kind == "DeleteOptions" else getattr(schema.lookup(api_version, kind), "name", "")
    if name not in _messages():
        raise Malformed(f'no kind "{kind}" is known in version "{api_version}"')
    found = _message(_bytes(envelope.get(2, b"")), name, 0)
    return {"apiVersion": api_version, "kind": kind, **found}


@cache
def _messages() -> dict[str, dict[int, Field]]:
    raw = gzip.decompress(files("kubeapi.protobuf").joinpath("messages.json.gz").read_bytes())
    return {
        name: {int(number): (field[0], field[1], field[2]) for number, field in fields.items()}
        for name, fields in orjson.loads(raw).items()
    }


def _message(data: bytes, name: str, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise Malformed("it is nested too deeply")
    known = _messages()[name]
    out: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = known.get(number)
        if field is None:
            continue
        label, type_, flags = field
        if "m" in flags:
            entry = dict(_fields(_bytes(raw)))
            key = _bytes(entry.get(1, b"")).decode()
            out.setdefault(label, {})[key] = _value(entry.get(2, _nothing(type_)), type_, depth)
        elif "i" in flags:
            out.update(_message(_bytes(raw), type_, depth + 1))
        elif "r" in flags:
            many = out.setdefault(label, [])
            packed = isinstance(raw, bytes) and type_ in _NUMBERS
            many.extend(_NUMBERS[type_](one) for one in _varints(_bytes(raw))) if packed else many.append(
                _value(raw, type_, depth)
            )
        else:
            out[label] = _value(raw, type_, depth)
    return out


def _nothing(type_: str) -> Value:
    return 0 if type_ in _NUMBERS else b""


def _value(raw: Value, type_: str, depth: int) -> Any:
    number = _NUMBERS.get(type_)
    if number is not None:
        if not isinstance(raw, int):
            raise Malformed(f"bytes stand where a {type_} should")
        return number(raw)
    data = _bytes(raw)
    if type_ == "string":
        return data.decode()
    if type_ == "bytes":
        return base64.b64encode(data).decode()
    if type_ == "double":
        return struct.unpack("<d", data)[0]
    special = _SPECIAL.get(type_)
    if special is not None:
        return special(data, depth + 1)
    return _message(data, type_, depth + 1)


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise Malformed("a number stands where bytes should")
    return value


def _signed(bits: int) -> Callable[[int], int]:
    def number(value: int) -> int:
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value

    return number


_NUMBERS: dict[str, Callable[[int], Any]] = {
    "bool": bool,
    "int32": _signed(32),
    "int64": _signed(64),
    "uint32": lambda value: value & 0xFFFFFFFF,
    "uint64": lambda value: value,
}


# -- the wire


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message as they come: number, and an int or bytes."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _LENGTH:
            length, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise Malformed(f"wire type {kind} isn't known")
        if length > end - position:
            raise Malformed("it ends too early")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        if position >= len(data):
            raise Malformed("it ends too early")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
    raise Malformed("a number is too long")


def _varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


# -- types that JSON writes in a way of their own


def _moment(data: bytes) -> datetime | None:
    if not data:
        return None
    found = dict(_fields(data))
    seconds, nanos = found.get(1, 0), found.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise Malformed("a time is no number of seconds")
    try:
        return datetime.fromtimestamp(_NUMBERS["int64"](seconds), UTC).replace(microsecond=nanos // 1000 % 1_000_000)
    except (ValueError, OSError) as error:
        raise Malformed(f"a time can't be: {error}") from None


def _time(data: bytes, depth: int) -> str | None:
    moment = _moment(data)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(data: bytes, depth: int) -> str | None:
    moment = _moment(data)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quantity(data: bytes, depth: int) -> str:
    return _bytes(dict(_fields(data)).get(1, b"")).decode()


def _int_or_string(data: bytes, depth: int) -> int | str:
    found = dict(_fields(data))
    if found.get(1, 0) == 0:
        return int(_value(found.get(2, 0), "int32", depth))
    return _bytes(found.get(3, b"")).decode()


def _json(data: bytes, depth: int) -> Any:
    raw = _bytes(dict(_fields(data)).get(1, b""))
    return orjson.loads(raw) if raw else None


def _strings(data: bytes, depth: int) -> list[str]:
    return [_bytes(value).decode() for number, value in _fields(data) if number == 1]


def _schema_or_many(data: bytes, depth: int) -> Any:
    """JSONSchemaPropsOrArray: one schema, or a list of them."""
    many = [_message(_bytes(raw), _SCHEMA + "JSONSchemaProps", depth) for number, raw in _fields(data) if number == 2]
    if many:
        return many
    return _message(_bytes(dict(_fields(data)).get(1, b"")), _SCHEMA + "JSONSchemaProps", depth)


def _schema_or_strings(data: bytes, depth: int) -> Any:
    many = [_bytes(raw).decode() for number, raw in _fields(data) if number == 2]
    return many or _message(_bytes(dict(_fields(data)).get(1, b"")), _SCHEMA + "JSONSchemaProps", depth)


def _schema_or_bool(data: bytes, depth: int) -> Any:
    found = dict(_fields(data))
    if 2 in found:
        return _message(_bytes(found[2]), _SCHEMA + "JSONSchemaProps", depth)
    return bool(found.get(1, 0))


_SPECIAL: dict[str, Callable[[bytes, int], Any]] = {
    _META + "Time": _time,
    _META + "MicroTime": _micro_time,
    _META + "FieldsV1": _json,
    "io.k8s.apimachinery.pkg.api.resource.Quantity": _quantity,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": _json,
    _SCHEMA + "JSON": _json,
    _SCHEMA + "JSONSchemaPropsOrArray": _schema_or_many,
    _SCHEMA + "JSONSchemaPropsOrStringArray": _schema_or_strings,
    _SCHEMA + "JSONSchemaPropsOrBool": _schema_or_bool,
    "io.k8s.api.certificates.v1.ExtraValue": _strings,
    "io.k8s.api.authorization.v1.ExtraValue": _strings,
    "io.k8s.api.authentication.v1.ExtraValue": _strings,
}
