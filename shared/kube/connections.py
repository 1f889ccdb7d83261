"""The connections to one API server: taken from those that are idle, else opened; kept for a while after use.

request → an idle or a new Wire → answer
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.kube.routes import Route
from shared.kube.wire import READ, Cut, Reply, Wire

KEEP = 60.0
"""Seconds an idle connection is kept; below the 90 after which API servers close theirs."""

CLOSING = 1.0
"""Seconds to wait for connections to be closed, which takes but a moment."""


class Pool:
    """As many connections as there are exchanges at the same time."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._buffer = memoryview(bytearray(READ))
        self._idle: list[Wire] = []
        self._wires: set[Wire] = set()
        self._closed = False

    async def ask(self, request: bytes, until: float, limit: int, *, twice: bool, finish: bool) -> Reply:
        """One exchange, by the loop's time `until`. A request that may be sent `twice` is sent again at once when the
        connection was an idle one that had been closed meanwhile; one to `finish` goes on without its caller when that
        is cancelled. Raises what Wire.ask and Route.open do."""
        wire = self._rested()
        if wire is None:
            wire = await self._open(until)
            answer = await wire.ask(request, until, limit, finish=finish)
        else:
            try:
                answer = await wire.ask(request, until, limit, finish=finish)
            except (Cut, OSError) as failure:
                if not twice or not wire.silent or isinstance(failure, TimeoutError):
                    raise
                wire = await self._open(until)
                answer = await wire.ask(request, until, limit, finish=finish)
        self._rest(wire)
        return answer

    @asynccontextmanager
    async def stream(self, request: bytes, until: float, connected: float) -> AsyncIterator[tuple[Reply, Wire]]:
        """One exchange whose answer is read as it comes, by `Wire.read`, up to the loop's time `until`. A connection
        has to be open by `connected`."""
        wire = self._rested() or await self._open(connected)
        answer = await wire.ask(request, until, 0, streaming=True)
        try:
            yield answer, wire
        finally:
            self._rest(wire)

    async def settle(self, within: float) -> None:
        """Waits, for so many seconds at most, until the requests that go on without their callers are answered."""
        if left := [wire.lost for wire in self._wires if wire.left]:
            await asyncio.wait(left, timeout=within)

    async def close(self) -> None:
        """Ends every connection, and every exchange with it (Cut)."""
        self._closed = True
        wires = list(self._wires)
        for wire in wires:
            wire.drop()
        if wires:
            await asyncio.wait([wire.lost for wire in wires], timeout=CLOSING)

    def _rested(self) -> Wire | None:
        """The connection that was used last: so those that aren't needed any more come of age."""
        while self._idle:
            wire = self._idle.pop()
            if wire.reusable:
                return wire
        return None

    async def _open(self, until: float) -> Wire:
        async with asyncio.timeout_at(until):
            wire = await self._route.open(lambda: Wire(self._buffer, self._forget), until)
        if self._closed:
            wire.drop()
        if not wire.reusable:
            raise Cut("it was closed")
        self._wires.add(wire)
        return wire

    def _rest(self, wire: Wire) -> None:
        if wire.rest(KEEP):
            self._idle.append(wire)
        else:
            wire.drop()

    def _forget(self, wire: Wire) -> None:
        self._wires.discard(wire)
        if wire in self._idle:
            self._idle.remove(wire)
