"""Values: mappings that are laid over others, as Helm does it with a chart's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def laid_over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping over another: mappings in both are merged in depth, all else is replaced; null stays null."""
    result = dict(lower)
    for key, value in upper.items():
        old = result.get(key)
        result[key] = laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
