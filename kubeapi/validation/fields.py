"""Checks that many kinds share: numbers, percentages, ports, selectors, references. Each gives the causes it finds."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, names

Struct = Mapping[str, Any]

_PERCENT = re.compile(r"[0-9]+%")
_LOCAL_MULTICAST = {4: ipaddress.ip_network("224.0.0.0/24"), 6: ipaddress.ip_network("ff02::/16")}


def not_negative(value: Any, path: str) -> list[Cause]:
    """For an optional whole number."""
    if value is not None and value < 0:
        return [causes.invalid(path, value, "must be greater than or equal to 0")]
    return []


def negatives(struct: Struct, path: str, *keys: str) -> list[Cause]:
    """The optional whole numbers under `keys` that are negative."""
    found: list[Cause] = []
    for key in keys:
        value = struct.get(key)
        if value is not None and value < 0:
            found.append(causes.invalid(f"{path}.{key}", value, "must be greater than or equal to 0"))
    return found


def one_of(value: Any, known: Collection[str], path: str, *, needed: bool = False) -> list[Cause]:
    """For an enumerated text; an empty one is left to `needed`."""
    if not value:
        return [causes.required(path)] if needed else []
    return [] if value in known else [causes.unsupported(path, value, known)]


def named(value: Any, rule: names.Rule, path: str) -> list[Cause]:
    return [causes.invalid(path, value, problem) for problem in rule(value)]


def port(value: Any, path: str) -> list[Cause]:
    """A port's number or name."""
    if isinstance(value, str):
        return [causes.invalid(path, value, problem) for problem in names.port_name(value)]
    if not 1 <= value <= 65535:
        return [causes.invalid(path, value, "must be between 1 and 65535, inclusive")]
    return []


def amount(value: Any, path: str) -> list[Cause]:
    """A number of things or a percentage of them, not negative."""
    if isinstance(value, str):
        if _PERCENT.fullmatch(value):
            return []
        rule = "a valid percent string must be a numeric string followed by an ending '%'"
        return [causes.invalid(path, value, names.mismatch(rule, "[0-9]+%", "1%", "93%"))]
    return not_negative(value, path)


def at_most_all(value: Any, path: str) -> list[Cause]:
    """A percentage may not be more than 100."""
    if isinstance(value, str) and _PERCENT.fullmatch(value) and int(value[:-1]) > 100:
        return [causes.invalid(path, value, "must not be greater than 100%")]
    return []


def is_zero(value: Any) -> bool:
    """Whether an amount is none."""
    return value == 0 or (isinstance(value, str) and bool(_PERCENT.fullmatch(value)) and int(value[:-1]) == 0)


def address(value: str, path: str) -> list[Cause]:
    """An IP address."""
    if _is_address(value):
        return []
    return [causes.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def is_address(value: str) -> bool:
    return _is_address(value)


def endpoint(value: str, path: str) -> list[Cause]:
    """An IP address behind which something can be reached from elsewhere."""
    problems = address(value, path)
    if problems:
        return problems
    found = ipaddress.ip_address(value)
    checks = (
        (found.is_unspecified, "unspecified (0.0.0.0 or ::)"),
        (found.is_loopback, "in the loopback range (127.0.0.0/8, ::1/128)"),
        (found.is_link_local, "in the link-local range (169.254.0.0/16, fe80::/10)"),
        (found in _LOCAL_MULTICAST[found.version], "in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    )
    return [causes.invalid(path, value, f"may not be {words}") for wrong, words in checks if wrong]


def network(value: str, path: str) -> list[Cause]:
    """A CIDR."""
    try:
        if "/" not in value or not value.rpartition("/")[2].isdigit():
            raise ValueError
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return [causes.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return []


def plain_labels(value: Any, path: str) -> list[Cause]:
    """A map of labels, as a selector has."""
    found: list[Cause] = []
    for key, text in (value or {}).items():
        found += [causes.invalid(path, key, problem) for problem in names.qualified(key)]
        found += [causes.invalid(path, text, problem) for problem in names.label_value(text)]
    return found


def selector(value: Any, path: str) -> list[Cause]:
    """A label selector."""
    if not value:
        return []
    found: list[Cause] = []
    for key, text in (value.get("matchLabels") or {}).items():
        where = f"{path}.matchLabels"
        found += [causes.invalid(where, key, problem) for problem in names.qualified(key)]
        found += [causes.invalid(where, text, problem) for problem in names.label_value(text)]
    for index, one in enumerate(value.get("matchExpressions") or ()):
        found += expression(one, f"{path}.matchExpressions[{index}]")
    return found


def ordered_selector(value: Struct) -> Struct:
    """A label selector as messages show it."""
    out = causes.Ordered()
    if value.get("matchLabels"):
        out["matchLabels"] = dict(sorted(value["matchLabels"].items()))
    if value.get("matchExpressions"):
        order = ("key", "operator", "values")
        out["matchExpressions"] = [{key: one[key] for key in order if key in one} for one in value["matchExpressions"]]
    return out


def expression(one: Struct, path: str) -> list[Cause]:
    """A requirement of a label selector."""
    found: list[Cause] = []
    operator, values = one.get("operator") or "", one.get("values") or ()
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            found.append(causes.required(f"{path}.values", detail))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(causes.forbidden(f"{path}.values", detail))
    else:
        found.append(causes.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    found += [causes.invalid(f"{path}.key", one.get("key") or "", problem) for problem in names.qualified(one["key"])]
    for position, text in enumerate(values):
        where = f"{path}.values[{position}]"
        found += [causes.invalid(where, text, problem) for problem in names.label_value(text)]
    return found


def is_sound(value: Struct) -> bool:
    """Whether a label selector can be evaluated."""
    return not selector(value, "")


def matches(value: Struct, labels: Mapping[str, str]) -> bool:
    """Whether a sound label selector selects what has these labels; an empty one selects everything."""
    for key, text in (value.get("matchLabels") or {}).items():
        if labels.get(key) != text:
            return False
    for one in value.get("matchExpressions") or ():
        key, operator, given = one["key"], one["operator"], labels.get(one["key"])
        held = {
            "In": given in (one.get("values") or ()) and key in labels,
            "NotIn": key not in labels or given not in (one.get("values") or ()),
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not held[operator]:
            return False
    return True


def is_empty(value: Struct) -> bool:
    return not value.get("matchLabels") and not value.get("matchExpressions")


def unchanged(new: Struct, old: Struct, path: str, *keys: str) -> list[Cause]:
    """The fields under `keys` that an update changed and may not."""
    found = []
    for key in keys:
        value = new.get(key)
        if (value or None) != (old.get(key) or None):
            shown = ordered_selector(value) if key == "selector" and isinstance(value, Mapping) else value
            found.append(causes.immutable(f"{path}.{key}" if path else key, shown))
    return found


def set_fields(struct: Struct, known: Iterable[str]) -> list[str]:
    """Which of the fields are there."""
    return [name for name in known if struct.get(name) is not None]
