"""Floats as text, the way Go writes them: the fewest digits that read back as the same number."""

from __future__ import annotations

import struct


def shortest(value: float) -> str:
    """A finite float in Go's %g form: 0.5, 1e+20, 1.2345e-05. Exponents below -4 and from 6 on are written as such."""
    return _general(repr(value))


def shortest32(value: float) -> str:
    """The same for the nearest 32-bit float, which is how a float becomes a key."""
    try:
        (near,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    for digits in range(1, 10):
        text = f"{near:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", near):
            return _general(text)
    return _general(repr(near))


def _general(text: str) -> str:
    sign, text = ("-", text[1:]) if text[0] == "-" else ("", text)
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + (int(exponent) if exponent else 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0"
    power = point - 1
    if power < -4 or power >= 6:
        rest = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"
