"""Resource quantities ("500m", "1.5Gi", "2e3") as Kubernetes reads, writes and compares them."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
WRONG_FORMAT = f"quantities must match the regular expression '{PATTERN}'"
WRONG_NUMBER = "unable to parse numeric part of quantity"
WRONG_SUFFIX = "unable to parse quantity's suffix"
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL_OF = {exponent: suffix for suffix, exponent in DECIMAL.items()}
BINARY_OF = {power: suffix for suffix, power in BINARY.items()}
NANO = 10**9
MAX = Fraction(2**63 - 1)

_SPLIT = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(.*)", re.DOTALL)
_EXPONENT = re.compile(r"[eE][-+]?[0-9]{1,6}")


class QuantityError(ValueError):
    """The text is not a quantity."""


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Fraction, str]:
    """The value, exact to a nano and rounded away from zero below that, and the format: binary, decimal or exponent.

    QuantityError when it is not a quantity.
    """
    match = _SPLIT.fullmatch(text)
    if match is None or len(text) > 256 or not (match[2] or match[3]):
        raise QuantityError(WRONG_FORMAT)
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    number = Fraction(int(f"{whole}{fraction}" or "0"), 10 ** len(fraction))
    if suffix in BINARY:
        value, kind = number * 1024 ** BINARY[suffix], "binary"
    elif suffix in DECIMAL:
        value, kind = number * Fraction(10) ** DECIMAL[suffix], "decimal"
    elif _EXPONENT.fullmatch(suffix):
        value, kind = number * Fraction(10) ** max(-30, min(30, int(suffix[1:]))), "exponent"
    elif re.fullmatch(r"[eEinumkKMGTP]*[-+]?[0-9]*", suffix):
        raise QuantityError(WRONG_SUFFIX)
    else:
        raise QuantityError(WRONG_FORMAT)
    nanos = -((-value.numerator * NANO) // value.denominator)
    value = min(Fraction(nanos, NANO), MAX)
    return (-value if sign == "-" else value), kind


@lru_cache(maxsize=4096)
def canonical(text: str, milli: bool = False) -> str:
    """The text that Kubernetes writes for a quantity; with `milli` rounded up to thousandths first."""
    value, kind = parse(text)
    if milli:
        sign = -1 if value < 0 else 1
        value = sign * Fraction(-((-abs(value).numerator * 1000) // value.denominator), 1000)
    return render(value, kind)


def render(value: Fraction, kind: str) -> str:
    """A value in its shortest exact form: no fraction, the largest suffix."""
    if value == 0:
        return "0"
    sign, value = ("-" if value < 0 else ""), abs(value)
    if kind == "binary" and value >= 1024:
        number, power = -(-value.numerator // value.denominator), 0
        while number % 1024 == 0 and power < 6:
            number, power = number // 1024, power + 1
        return f"{sign}{number}{BINARY_OF.get(power, '')}"
    number, exponent = value.numerator * NANO // value.denominator, -9
    while number % 1000 == 0 and exponent < 18:
        number, exponent = number // 1000, exponent + 3
    if kind == "exponent":
        return f"{sign}{number}e{exponent}" if exponent else f"{sign}{number}"
    return f"{sign}{number}{DECIMAL_OF[exponent]}"
