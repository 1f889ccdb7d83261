"""Scalars as YAML nodes see them: a value has a text, and writing a text may change what the value is.

Upstream keeps nodes, this engine plain values. These functions are where the difference is made up for.
"""

from __future__ import annotations

from typing import Any

from shared.text import yaml


def text(value: Any) -> str:
    """The text of a scalar; "" for null, a mapping and a list."""
    if type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    if value is None or isinstance(value, dict | list):
        return ""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, float):
        return format_float(value)
    return str(value)


def format_float(value: float) -> str:
    """A float as YAML nodes print it: `0.5`, `1e+30`."""
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    shown = repr(value)
    if "e" in shown:
        mantissa, _, exponent = shown.partition("e")
        sign = "-" if exponent.startswith("-") else "+"
        return f"{mantissa.removesuffix('.0')}e{sign}{exponent.lstrip('+-').zfill(2)}"
    return shown


def is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def means(plain: str) -> Any:
    """What the text means as an unquoted scalar of a resource file."""
    if plain and plain[0] not in yaml.KYAML.hints:
        return plain
    return yaml.KYAML.resolve(plain)


def untagged(old: Any, plain: str) -> Any:
    """Write a text where `old` stands, without saying that it is a string: it stays one only if `old` was quoted."""
    if isinstance(old, str) and means(old) != old:
        return plain
    return means(plain)


def copy(value: Any) -> Any:
    """A deep copy of dicts and lists; scalars are shared."""
    if isinstance(value, dict):
        return {key: copy(item) if isinstance(item, dict | list) else item for key, item in value.items()}
    if isinstance(value, list):
        return [copy(item) if isinstance(item, dict | list) else item for item in value]
    return value
