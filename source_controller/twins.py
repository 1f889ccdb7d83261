"""Twins: objects that would make the same artifact. One makes it, and the others take what it made.

    what the artifact is made of → turn → the twin's artifact, or None for who must make it

Those who come while one is at it wait for it: five hundred sources of one commit are packed once. What is known here is
only where to look; whether the bytes are still there and right is the store's to say.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from shared.api.meta import Artifact
from shared.artifact.addresses import Owner

_MOST = 4096


class Twin:
    """What is known of one artifact."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.made: tuple[Owner, Artifact] | None = None
        """Who made it last, and what; for who has the turn to read and to set."""


class Twins:
    """Twins by what they are made of, which must be all that matters for the bytes and for who may have them."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, Twin] = OrderedDict()

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[Twin]:
        """The twin, for one at a time."""
        twin = self._known.setdefault(key, Twin())
        self._known.move_to_end(key)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        async with twin.turn:
            yield twin
