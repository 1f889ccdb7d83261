"""CEL functions on quantities ("500m", "1Gi") and semantic versions, which are compared by functions of one name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from kubeapi import quantity
from shared.text import semver
from shared.text.cel import Function

_QUANTITY, _VERSION = "quantity", "semver"


def _quantity(text: str) -> dict[str, str]:
    try:
        return _of(quantity.parse(text)[0])
    except quantity.QuantityError as error:
        raise ValueError(str(error)) from None


def _of(value: Fraction) -> dict[str, str]:
    return {_QUANTITY: str(value)}


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except quantity.QuantityError:
        return False
    return True


def _value(given: Any) -> Fraction:
    """The number of a quantity, or a whole number itself. ValueError for anything else."""
    if isinstance(given, int) and not isinstance(given, bool):
        return Fraction(given)
    if isinstance(given, dict) and _QUANTITY in given:
        return Fraction(given[_QUANTITY])
    raise ValueError("no such overload")


def _integer(given: Any) -> int:
    value = _value(given)
    if value.denominator != 1 or not -(2**63) <= value < 2**63:
        raise ValueError("cannot convert value to integer")
    return int(value)


def _is_integer(given: Any) -> bool:
    value = _value(given)
    return value.denominator == 1 and -(2**63) <= value < 2**63


def _sign(given: Any) -> int:
    value = _value(given)
    return (value > 0) - (value < 0)


def _normal(text: str) -> str:
    """What a version means when it is read leniently: without "v", with all three numbers and no zeros before them."""
    core, mark, rest = text.removeprefix("v").partition("-")
    if not mark:
        core, mark, rest = core.partition("+")
    parts = [*core.split("."), "0", "0"][: max(3, core.count(".") + 1)]
    return ".".join(part.lstrip("0") or "0" for part in parts) + mark + rest


def _version(text: str, normalise: bool = False) -> dict[str, str]:
    try:
        found = semver.parse_strict(_normal(text) if normalise else text)
    except semver.VersionError as error:
        raise ValueError(str(error)) from None
    prerelease = f"-{found.prerelease}" if found.prerelease else ""
    return {_VERSION: f"{found.major}.{found.minor}.{found.patch}{prerelease}"}


def _is_version(text: str, normalise: bool = False) -> bool:
    try:
        _version(text, normalise)
    except ValueError:
        return False
    return True


def _parsed(given: Any) -> semver.Version:
    if not isinstance(given, dict) or _VERSION not in given:
        raise ValueError("no such overload")
    return semver.parse_strict(given[_VERSION])


def _compare(one: Any, other: Any) -> int:
    if isinstance(one, dict) and _VERSION in one:
        a, b = _parsed(one), _parsed(other)
        return (b < a) - (a < b)
    left, right = _value(one), _value(other)
    return (left > right) - (left < right)


FUNCTIONS = [
    Function("quantity", ("string",), "dyn", _quantity, member=False),
    Function("isQuantity", ("string",), "bool", _is_quantity, member=False),
    Function("isInteger", ("dyn",), "bool", _is_integer),
    Function("asInteger", ("dyn",), "int", _integer),
    Function("asApproximateFloat", ("dyn",), "double", lambda given: float(_value(given))),
    Function("sign", ("dyn",), "int", _sign),
    Function("add", ("dyn", "dyn"), "dyn", lambda a, b: _of(_value(a) + _value(b))),
    Function("sub", ("dyn", "dyn"), "dyn", lambda a, b: _of(_value(a) - _value(b))),
    Function("isGreaterThan", ("dyn", "dyn"), "bool", lambda a, b: _compare(a, b) > 0),
    Function("isLessThan", ("dyn", "dyn"), "bool", lambda a, b: _compare(a, b) < 0),
    Function("compareTo", ("dyn", "dyn"), "int", _compare),
    Function("semver", ("string",), "dyn", _version, member=False),
    Function("semver", ("string", "bool"), "dyn", _version, member=False),
    Function("isSemver", ("string",), "bool", _is_version, member=False),
    Function("isSemver", ("string", "bool"), "bool", _is_version, member=False),
    Function("major", ("dyn",), "int", lambda given: _parsed(given).major),
    Function("minor", ("dyn",), "int", lambda given: _parsed(given).minor),
    Function("patch", ("dyn",), "int", lambda given: _parsed(given).patch),
]
