"""A histogram of durations in one array: thousands of them are kept, and each is written to often."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Spread:
    """How many durations were at most each of some bounds, in seconds."""

    __slots__ = ("_bounds", "_taken")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._taken = array("d", bytes(8 * (len(bounds) + 2)))

    def observe(self, seconds: float) -> None:
        """Count one that took so long."""
        self._taken[bisect_left(self._bounds, seconds)] += 1
        self._taken[-1] += seconds

    @property
    def sum(self) -> float:
        """Seconds of all together."""
        return self._taken[-1]

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Each bound, the last one infinite, as Prometheus writes it, and how many were at most that."""
        return list(zip([*map(str, self._bounds), "+Inf"], accumulate(self._taken[:-1]), strict=True))
