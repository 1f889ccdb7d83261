"""Lists that people read: as many as they read of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 20


def lines(items: Sequence[object], most: int = MOST) -> str:
    """One a line."""
    more = [f"… and {len(items) - most} more"] if len(items) > most else []
    return "\n".join([*map(str, items[:most]), *more])


def names(items: Sequence[object], most: int = MOST) -> str:
    """In one line: `a, b and 3 more`."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def placed(line: str, place: str) -> str:
    """A line with the place that it is about, such as `apps/web.yaml:3`; "" for one that isn't known."""
    return f"{line} (in {place})" if place else line
