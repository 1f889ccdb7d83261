"""An OpenAPI v2 document in protobuf: the one form in which Go clients take it. (Field numbers: OpenAPIv2.proto of
gnostic.) What has no field of its own there, every x-kubernetes-…, goes along as a vendor extension in JSON."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import orjson

Document = Mapping[str, Any]

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""As clients ask for it."""
CONTENT_TYPE = MEDIA_TYPE.replace("@", ".")
"""As it is answered: "@" may not stand in a media type."""

_SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_SCHEMA_DOUBLES = {"multipleOf": 6, "maximum": 7, "minimum": 9}
_SCHEMA_WHOLES = {
    "exclusiveMaximum": 8,
    "exclusiveMinimum": 10,
    "maxLength": 11,
    "minLength": 12,
    "maxItems": 14,
    "minItems": 15,
    "uniqueItems": 16,
    "maxProperties": 17,
    "minProperties": 18,
}
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def encode(document: Document) -> bytes:
    """The document as gnostic's Document message."""
    info = document["info"]
    paths = b"".join(_named(2, path, _path(item)) for path, item in document["paths"].items())
    definitions = b"".join(_named(1, name, _schema(one)) for name, one in document["definitions"].items())
    return b"".join(
        (
            _text(1, document["swagger"]),
            _part(2, _text(1, info["title"]) + _text(2, info["version"])),
            _part(8, paths),
            _part(9, definitions),
        )
    )


def _path(item: Document) -> bytes:
    out = [_part(number, _operation(item[method])) for method, number in _METHODS.items() if method in item]
    out += [_part(9, _parameter(one)) for one in item.get("parameters") or ()]
    return b"".join(out)


def _operation(operation: Document) -> bytes:
    out = [_text(6, media) for media in operation.get("produces") or ()]
    out += [_text(7, media) for media in operation.get("consumes") or ()]
    out += [_part(8, _parameter(one)) for one in operation.get("parameters") or ()]
    responses = b"".join(_named(1, code, _part(1, _response(one))) for code, one in operation["responses"].items())
    return b"".join((*out, _part(9, responses), _extensions(13, operation)))


def _response(response: Document) -> bytes:
    out = _text(1, response["description"])
    return out + _part(2, _part(1, _schema(response["schema"]))) if "schema" in response else out


def _parameter(parameter: Document) -> bytes:
    place = parameter["in"]
    name, required = parameter["name"], _whole(1, int(bool(parameter.get("required"))))
    if place == "body":
        body = _text(2, name) + _text(3, place) + _whole(4, 1) + _part(5, _schema(parameter["schema"]))
        return _part(1, _part(1, body))
    # The query's message has one field more than the path's before its type.
    form, type_field, unique_field = (3, 6, 20) if place == "query" else (4, 5, 19)
    said = required + _text(2, place) + _text(4, name) + _text(type_field, parameter["type"])
    return _part(1, _part(2, _part(form, said + _whole(unique_field, int(bool(parameter.get("uniqueItems")))))))


def _schema(schema: Document) -> bytes:
    out: list[bytes] = [_text(number, schema[key]) for key, number in _SCHEMA_TEXTS.items() if schema.get(key)]
    out += [_double(number, schema[key]) for key, number in _SCHEMA_DOUBLES.items() if key in schema]
    out += [_whole(number, int(schema[key])) for key, number in _SCHEMA_WHOLES.items() if schema.get(key)]
    out += [_text(19, name) for name in schema.get("required") or ()]
    out += [_part(20, _any(value)) for value in schema.get("enum") or ()]
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        out.append(_part(21, _part(1, _schema(more))))
    elif more is not None:
        out.append(_part(21, _whole(2, int(bool(more)), always=True)))
    if schema.get("type"):
        out.append(_part(22, _text(1, schema["type"])))
    if isinstance(schema.get("items"), Mapping):
        out.append(_part(23, _part(1, _schema(schema["items"]))))
    properties = schema.get("properties")
    if properties:
        out.append(_part(25, b"".join(_named(1, name, _schema(one)) for name, one in properties.items())))
    out.append(_extensions(31, schema))
    return b"".join(out)


def _extensions(number: int, holder: Document) -> bytes:
    return b"".join(_named(number, key, _any(value)) for key, value in holder.items() if key.startswith("x-"))


def _any(value: Any) -> bytes:
    """A value as text, which readers take as YAML."""
    return _text(2, orjson.dumps(value).decode())


# -- the wire


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _part(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _text(number: int, text: str) -> bytes:
    return _part(number, text.encode())


def _whole(number: int, value: int, *, always: bool = False) -> bytes:
    return _varint(number << 3) + _varint(value & (1 << 64) - 1) if value or always else b""


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _named(number: int, name: str, value: bytes) -> bytes:
    return _part(number, _text(1, name) + _part(2, value))
