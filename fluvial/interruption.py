"""How a command that stays up ends: by a signal, once, and with time to clean up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_interrupted(work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work; its result, or None when a signal ended it.

    The first signal cancels the work, which then closes what it opened. Further ones change nothing: an impatient
    second Ctrl-C must not leave half of it behind.
    """
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if interrupted:
            return None
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
