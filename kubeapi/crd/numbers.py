"""Numbers of custom resources: 5.0 is stored as 5, for JSON knows no difference."""

from __future__ import annotations

from typing import Any

_LEAST, _MOST = -(2**63), 2**63


def settle(value: dict[str, Any] | list[Any]) -> bool:
    """Write whole numbers without a fraction, in place; whether there were any that were written with one."""
    found = False
    children: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        kind = type(child)
        if kind is float:
            if child.is_integer() and _LEAST <= child < _MOST:
                value[key] = int(child)
                found = True
        elif (kind is dict or kind is list) and settle(child):
            found = True
    return found
