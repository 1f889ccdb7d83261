"""Threads: where the clouds' libraries work, which block. They are apart from all others, and waited for only so long:
whoever answers slowly on purpose holds up logins at most."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from shared.auth.errors import AuthError

P = ParamSpec("P")
T = TypeVar("T")
LONGEST = 60.0
"""Seconds that one login may take, with all its requests."""
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="clouds")


async def done(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What a call gives that blocks. AuthError when it takes too long; then it goes on, and nobody waits for it."""
    try:
        async with asyncio.timeout(LONGEST):
            return await asyncio.get_running_loop().run_in_executor(_THREADS, functools.partial(call, *args, **named))
    except TimeoutError as error:
        raise AuthError(f"the login takes longer than {LONGEST:g} seconds") from error
