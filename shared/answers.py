"""Answers: what others were asked, told to all who would ask the same.

    question → asked once for all who wait → answer, for who needs none that is newer

A question must stand for all that the answer depends on, and for who may know it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Answer:
    """What was said to one question, and who asks it now."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked = float("-inf")
        self.said: Any = None


class Answers(Generic[T]):
    """The answers to at most `most` questions; the one that nobody asked for longest is forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, _Answer] = OrderedDict()

    async def find(self, question: Hashable, since: float, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer: `ask`s, unless somebody began to ask `since` that time of the event loop. What goes wrong is for
        who asked; the next one asks again."""
        answer = self._known.setdefault(question, _Answer())
        self._known.move_to_end(question)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        async with answer.lock:
            if answer.asked < since:
                now = asyncio.get_running_loop().time()
                answer.said = await ask()
                answer.asked = now
            said: T = answer.said
            return said
