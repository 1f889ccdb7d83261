"""When an owner hears of drift: at once, and less and less often when it drifts again and again.

drift, so many corrections that did not last → callbacks, now or after a delay
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from shared.apply.identity import Owner

CALM = 60.0
"""Seconds after a correction in which another drift counts as a fight with somebody."""
FREE_STRIKES = 3
"""So many corrections in a row are made at once; after that each waits twice as long as the one before."""
LONGEST_DELAY = 300.0


class Waking:
    """`is_due` says whether an owner still has a reason to be woken when its delay is over."""

    def __init__(self, is_due: Callable[[Owner], object]) -> None:
        self._is_due = is_due
        self._callbacks: list[Callable[[Owner], None]] = []
        self._timers: dict[Owner, asyncio.TimerHandle] = {}

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def on_drift(self, callback: Callable[[Owner], None]) -> Callable[[], None]:
        """Call back from now on; returns what ends that."""
        self._callbacks.append(callback)

        def end() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return end

    def wake(self, owner: Owner, delay: float = 0.0) -> None:
        """Call back at once or after a delay; the earliest of several wins."""
        timer = self._timers.get(owner)
        if delay <= 0:
            self.forget(owner)
            self._call(owner)
            return
        loop = asyncio.get_running_loop()
        if timer is not None:
            if timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._timers[owner] = loop.call_later(delay, self._ring, owner)

    def forget(self, owner: Owner) -> None:
        """Let what would have woken the owner later be."""
        timer = self._timers.pop(owner, None)
        if timer is not None:
            timer.cancel()

    def _ring(self, owner: Owner) -> None:
        self._timers.pop(owner, None)
        if self._is_due(owner):
            self._call(owner)

    def _call(self, owner: Owner) -> None:
        for callback in tuple(self._callbacks):
            callback(owner)


def strikes(before: int, *, calm: float) -> int:
    """How often in a row an object drifted soon after its correction, with the drift that came `calm` seconds after the
    last one; it had `before`."""
    return before + 1 if calm < CALM + delay(before) else 0


def delay(strikes: int) -> float:
    """Seconds to wait before a correction, after so many that did not last."""
    return 0.0 if strikes < FREE_STRIKES else min(2.0 ** min(strikes - FREE_STRIKES + 1, 20), LONGEST_DELAY)
