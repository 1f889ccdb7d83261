"""Columns of the built-in kinds."""

from __future__ import annotations

from typing import Any

BUILT_IN: dict[tuple[str, str], Any] = {}
