"""How fast we may call: a token bucket that callers wait at, first come, first served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

DEFAULT_QPS = 5.0
DEFAULT_BURST = 10


class Bucket:
    """At most `burst` calls at once and `qps` calls a second after that. `qps` below zero lifts the limit; zero
    stands for the default of 5 (burst 10)."""

    def __init__(self, qps: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.qps = DEFAULT_QPS if qps == 0 else qps
        self.burst = float(burst if burst > 0 else DEFAULT_BURST)
        self._clock = clock
        self._tokens = self.burst
        self._at = clock()

    def reserve(self) -> float:
        """Takes a token, perhaps one of the future; returns the seconds to wait until it is ours."""
        if self.qps < 0:
            return 0.0
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.qps)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.qps)

    def take_now(self) -> bool:
        """Takes a token if there is one now."""
        if self.reserve() <= 0:
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        """Returns a token that was reserved and not used."""
        self._tokens = min(self.burst, self._tokens + 1)

    async def take(self) -> None:
        wait = self.reserve()
        if wait > 0:
            try:
                await asyncio.sleep(wait)
            except asyncio.CancelledError:
                self.give_back()
                raise
