"""What is wrong with a field, in the words of a real API server: one Cause for each, made from a path and a value.

A path is written as the server shows it ("spec.ports[0].port", "data[key]"); ROOT stands for the whole object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from kubeapi.errors import Cause

ROOT = "<nil>"
IMMUTABLE = "field is immutable"
OMITTED: Any = object()
"""In the place of a value that a message leaves out."""

_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_QUOTE_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_QUOTE_ESCAPES.update({"\\": "\\\\", '"': '\\"'})


def quote(text: str) -> str:
    """A text in Go's double quotes."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    out = []
    for char in text:
        if char in _QUOTE_ESCAPES:
            out.append(_QUOTE_ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        else:
            code = ord(char)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'


class Ordered(dict[str, Any]):
    """A value whose fields a message shows in the order of the server's own type instead of the alphabet's."""


def marshal(value: Any) -> str:
    """A value as Go's encoding/json writes it: keys sorted unless Ordered, angle brackets escaped."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=not isinstance(value, Ordered), ensure_ascii=False)
    for char, escape in _GO_ESCAPES.items():
        if char in text:
            text = text.replace(char, escape)
    return text


def number(value: float) -> str:
    """A number as Go's %v prints it."""
    if isinstance(value, int):
        return str(value)
    text = format(value, ".17g")
    for digits in range(1, 17):
        short = format(value, f".{digits}g")
        if float(short) == value:
            text = short
            break
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    power = int(exponent)
    if -5 < power < 21:
        return format(value, "f").rstrip("0").rstrip(".")
    return f"{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def show(value: Any) -> str:
    """A bad value in a message."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number(value)
    return marshal(value)


def _with_value(reason: str, words: str, path: str, value: Any, detail: str) -> Cause:
    message = words if value is OMITTED else f"{words}: {show(value)}"
    return Cause(reason, f"{message}: {detail}" if detail else message, path)


def invalid(path: str, value: Any, detail: str) -> Cause:
    return _with_value("FieldValueInvalid", "Invalid value", path, value, detail)


def type_invalid(path: str, value: Any, detail: str) -> Cause:
    return _with_value("FieldValueTypeInvalid", "Invalid value", path, value, detail)


def unsupported(path: str, value: Any, supported: Iterable[str]) -> Cause:
    known = ", ".join(quote(one) for one in supported)
    return _with_value(
        "FieldValueNotSupported", "Unsupported value", path, value, f"supported values: {known}" if known else ""
    )


def duplicate(path: str, value: Any) -> Cause:
    return _with_value("FieldValueDuplicate", "Duplicate value", path, value, "")


def not_found(path: str, value: Any) -> Cause:
    return _with_value("FieldValueNotFound", "Not found", path, value, "")


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", path)


def forbidden(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def too_long(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} byte{'' if limit == 1 else 's'}", path)


def too_many(path: str, count: int, limit: int) -> Cause:
    detail = f"must have at most {limit} item{'' if limit == 1 else 's'}"
    return _with_value("FieldValueTooMany", "Too many", path, count, detail)


def immutable(path: str, value: Any) -> Cause:
    return invalid(path, value, IMMUTABLE)
