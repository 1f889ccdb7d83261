"""Retention: which of an object's stored artifacts go. Pure.

files and their ages + the current one → those that go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stored:
    """A file in an object's directory, for `garbage`."""

    path: str
    age: float
    """Seconds since it was published."""


def garbage(stored: Iterable[Stored], current: str, *, ttl: float, records: int) -> list[str]:
    """Which of an object's files go: those past `ttl` seconds, then the oldest until `records` are left.

    The current one never goes. When files went for their age, each that goes for its place counts twice, as upstream
    counts, so that a few more may stay.
    """
    files = sorted(stored, key=lambda file: -file.age)
    gone = [file.path for file in files if file.path != current and file.age > ttl]
    if len(files) - len(gone) < records:
        return gone
    aged = bool(gone)
    excess = 0
    for file in files:
        if file.path == current or file.path in gone:
            continue
        if len(files) - excess - (len(gone) if aged else 0) > records:
            gone.append(file.path)
            excess += 1
    return gone
