"""The `format`s of strings that a real API server checks; all others say nothing."""

from __future__ import annotations

import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from kubeapi.validation import names

Check = Callable[[str], bool]

_HEX = "[0-9a-f]"
_UUID = rf"(?i){_HEX}{{8}}-?{_HEX}{{4}}-?%s{_HEX}{{3}}-?%s{_HEX}{{3}}-?{_HEX}{{12}}"
_CARD = re.compile(
    r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})"
)
_RGB = re.compile(
    r"rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,"
    r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)"
)
_SIGN = r"(?:[^\W_]|[$+<=>^`|~])"
_HOSTNAME = re.compile(rf"{_SIGN}(-?{_SIGN}{{0,62}})?|({_SIGN}(({_SIGN}|-){{0,61}}{_SIGN})?\.)+[^\W\d_]{{2,63}}")
"""As a real server: symbols pass, a dash only after the first sign of a name without dots, letters only at the end."""
_DATE_TIME = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE | re.ASCII
)
_GO_DURATION = re.compile(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_WORD_DURATION = re.compile(
    r"((\d+)\s*([A-Za-zµ]+))+",
)
_UNITS = frozenset(
    f"{unit}{plural}"
    for unit in (
        *("nano", "nanosec", "nanosecond", "micro", "microsec", "microsecond", "milli", "millisec", "millisecond"),
        *("sec", "second", "min", "minute", "hr", "hour", "day", "wk", "week"),
    )
    for plural in ("", "s")
) | {"ns", "us", "µs", "ms", "s", "m", "h", "d", "w"}
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_MAC = re.compile(r"([0-9a-fA-F]{2}([:-])){5,19}[0-9a-fA-F]{2}|([0-9a-fA-F]{4}\.){2,9}[0-9a-fA-F]{4}")


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    try:
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False


def is_date_time(text: str) -> bool:
    if len(text) < 4 or _DATE_TIME.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", text.upper()).replace(" ", "T").replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def is_duration(text: str) -> bool:
    """Go's durations, and numbers with units in words."""
    if _GO_DURATION.fullmatch(text):
        return True
    if _WORD_DURATION.fullmatch(text.strip()) is None:
        return False
    return all(unit.lower() in _UNITS for unit in re.findall(r"[A-Za-zµ]+", text))


def _is_uri(text: str) -> bool:
    """A URI or an absolute path, as in a request line."""
    if not text or any(char <= " " or char == "\x7f" for char in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _is_email(text: str) -> bool:
    _, address = parseaddr(text)
    local, at, domain = address.rpartition("@")
    return bool(local and at and domain) and " " not in address


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version and "%" not in text
    except ValueError:
        return False


def _is_cidr(text: str) -> bool:
    if "/" not in text:
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return re.search(r"/\d+$", text) is not None


def _is_base64(text: str) -> bool:
    if not _BASE64.fullmatch(text):
        return False
    try:
        binascii.a2b_base64(text)
    except binascii.Error:
        return False
    return True


def _digits(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


def _is_isbn10(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"\d{9}[\dX]", digits):
        return False
    return sum((10 - i) * (10 if d == "X" else int(d)) for i, d in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = _digits(text)
    return (
        re.fullmatch(r"\d{13}", digits) is not None
        and sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0
    )


def _is_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_hostname(text: str) -> bool:
    return _HOSTNAME.fullmatch(text) is not None and all(len(part) <= 63 for part in text.split("."))


def _anything(text: str) -> bool:
    return True


CHECKS: dict[str, Check] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": lambda text: _is_address(text, 4),
    "ipv6": lambda text: _is_address(text, 6),
    "cidr": _is_cidr,
    "mac": lambda text: _MAC.fullmatch(text) is not None,
    "uuid": _matches(_UUID % (_HEX, _HEX)),
    "uuid3": _matches(_UUID % ("3", _HEX)),
    "uuid4": _matches(_UUID % ("4", "[89ab]")),
    "uuid5": _matches(_UUID % ("5", "[89ab]")),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_card,
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": lambda text: _RGB.fullmatch(text) is not None,
    "byte": _is_base64,
    "password": _anything,
    "date": _is_date,
    "duration": is_duration,
    "datetime": is_date_time,
    "k8sshortname": lambda text: not names.label(text),
    "k8slongname": lambda text: not names.subdomain(text),
}
"""By the format's name without dashes."""


def known(name: str, types: tuple[str, ...]) -> str:
    """The format when it means something for the types, otherwise ""."""
    if not name:
        return ""
    kind = types[0] if len(types) == 1 else ""
    if kind in ("", "string"):
        return name if name.replace("-", "") in CHECKS else ""
    if kind == "integer":
        return name if name in ("int32", "int64") else ""
    if kind == "number":
        return name if name in ("float", "double") else ""
    return ""
