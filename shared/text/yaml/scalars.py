"""What a plain scalar means: the word after `key:` becomes null, a boolean, a number or stays text.

Two sets of rules exist in the Kubernetes world, and both are needed:

    YAML_1_1   what kubectl, Helm values, kustomization.yaml and the controllers read: `yes`, `on` and `y` are booleans
    KYAML      what `kustomize build` makes of resource files: `yes` is text, `2024-01-01` a moment, and no key twice

Both read `017` as octal, `1_000` as a thousand and `12:30` as text. Numbers come back the way a JSON round trip leaves
them: a whole float is an int, and an int beyond 64 bits is a float.
"""

from __future__ import annotations

import math
import re
from datetime import date
from decimal import Decimal
from typing import Any

_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)\Z", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_BINARY = re.compile(r"[-+]?[01]+\Z", re.ASCII)
_OCTAL = re.compile(r"[-+]?[0-7]+\Z", re.ASCII)

MAX_INT = 2**64 - 1
MIN_INT = -(2**63)

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_CONSTANTS_1_1: dict[str, Any] = {
    **_CONSTANTS,
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
}


def _radix_int(digits: str, radix: int, largest: int = MAX_INT) -> int | None:
    number = int(digits, radix)
    return number if MIN_INT <= number <= largest else None


def number(text: str, *, octal_1_2: bool) -> int | float | None:
    """The number that a text beginning with a sign or digit stands for; None when it is no number.

    octal_1_2: also `-0o17` and `0o+17`, which only the newer rules know. A float too large for 64 bits is no number.
    """
    plain = text.replace("_", "")
    if _INT.match(plain):
        sign = plain[0] if plain[0] in "+-" else ""
        digits = plain[len(sign) :]
        lead = digits[:2].lower()
        if lead == "0x":
            size = int(digits[2:], 16)
        elif lead == "0b":
            size = int(digits[2:], 2)
        elif lead == "0o":
            size = int(digits[2:], 8)
        elif len(digits) > 1 and digits[0] == "0":
            size = int(digits[1:], 8)
        elif len(digits) <= 25:
            size = int(digits)
        else:
            size = MAX_INT + 1
        value = -size if sign == "-" else size
        # A sign rules out the unsigned range: +18446744073709551615 is a float.
        if MIN_INT <= value <= (MAX_INT >> 1 if sign else MAX_INT):
            return value
    if _FLOAT.match(plain):
        real = float(plain)
        return None if math.isinf(real) else real
    if plain.startswith("0b") and _BINARY.match(plain, 2):
        return _radix_int(plain[2:], 2, MAX_INT >> 1)
    if octal_1_2 and plain.startswith("0o") and _OCTAL.match(plain, 2):
        return _radix_int(plain[2:], 8, MAX_INT >> 1)
    return None


def json_number(value: int | float) -> int | float:
    """The number as it is after a trip through JSON: whole floats become ints, ints beyond 64 bits floats."""
    if isinstance(value, int):
        return value if MIN_INT <= value <= MAX_INT else float(value)
    if value.is_integer() and MIN_INT <= value <= MAX_INT:
        if abs(value) < 2**53:
            return int(value)
        whole = int(Decimal(repr(value)))  # the shortest digits, padded with zeros, are what JSON carries
        return whole if MIN_INT <= whole <= MAX_INT else value
    return value


_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]+))?(Z|[-+][0-9]{2}:[0-9]{2}))"
    r"|(?: ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,]([0-9]+))?))?\Z",
    re.ASCII,
)


def moment(text: str) -> str | None:
    """A timestamp in any of the forms that the newer rules know, as RFC 3339; None when it is none."""
    match = _MOMENT.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone, hour2, minute2, second2, fraction2 = match.groups()
    hour, minute, second, fraction = (
        hour or hour2 or "0",
        minute or minute2 or "0",
        second or second2 or "0",
        fraction or fraction2,
    )
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return None
    try:
        date(int(year) or 4, int(month), int(day))  # the year 0 is a leap year, and date begins with 1
    except ValueError:
        return None
    zone = zone or "Z"
    if zone != "Z":
        if int(zone[1:3]) > 24 or int(zone[4:]) > 59:
            return None
        if zone[1:] == "00:00":
            zone = "Z"
    fraction = (fraction or "")[:9].rstrip("0")
    return (
        f"{year}-{int(month):02d}-{int(day):02d}T{int(hour):02d}:{int(minute):02d}:{int(second):02d}"
        f"{'.' + fraction if fraction else ''}{zone}"
    )


class Rules:
    """One set of rules; use the two instances below."""

    def __init__(self, name: str, constants: dict[str, Any], *, newer: bool) -> None:
        self.name = name
        self.newer = newer
        """Octals with 0o, timestamps, merge keys that never override, text keys only, no key twice."""
        self.constants = constants
        self.hints = frozenset("+-.0123456789~") | {word[0] for word in constants if word}
        """What a plain scalar begins with when it may be more than text (or it is empty)."""

    def resolve(self, text: str) -> Any:
        """The value of a plain scalar: None, bool, int, float (also nan and inf) or str."""
        try:
            return self.constants[text]
        except KeyError:
            pass
        first = text[0]
        if first == ".":
            if _FLOAT.match(text):
                real = float(text)
                return text if math.isinf(real) else real
            return text
        if first in "+-0123456789":
            value = number(text, octal_1_2=self.newer)
            if value is not None:
                return value
            if self.newer:
                return moment(text) or text
        return text

    def is_moment(self, text: str) -> bool:
        """Does a plain scalar stand for a timestamp?"""
        return moment(text) is not None


YAML_1_1 = Rules("YAML 1.1", _CONSTANTS_1_1, newer=False)
KYAML = Rules("kustomize", _CONSTANTS, newer=True)
