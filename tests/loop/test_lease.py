"""What a lease's holder does when it can't renew, whatever keeps it from that."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.api.meta import Manifest
from shared.kube.errors import NotFound
from shared.loop.lease import Lease


class Leases:
    """Keeps one Lease, and breaks as often as it is told."""

    def __init__(self) -> None:
        self.kept: Manifest = {}
        self.breaks = 0.0
        self.renewed = asyncio.Event()

    async def get(self, *_: Any) -> Manifest:
        if self.breaks > 0:
            self.breaks -= 1
            raise RuntimeError("a bug")
        if not self.kept:
            raise NotFound("none yet")
        return self.kept

    async def create(self, manifest: Manifest) -> Manifest:
        self.kept = manifest | {"metadata": manifest["metadata"] | {"resourceVersion": "1"}}
        return self.kept

    async def patch(self, *arguments: Any, type: str) -> Manifest:
        self.kept["spec"] = arguments[-1]["spec"]
        self.renewed.set()
        return self.kept


def lease(leases: Leases) -> Lease:
    return Lease(leases, "flux-system", "leader", duration=1, renew_deadline=0.3, retry=0.01)  # type: ignore[arg-type]


async def test_renewing_goes_on_after_something_broke_it() -> None:
    leases = Leases()
    held = lease(leases)
    await held.hold()
    leases.breaks = 3
    async with asyncio.timeout(10):
        await leases.renewed.wait()
    assert not held.lost.is_set()
    await held.release()
    assert leases.kept["spec"]["holderIdentity"] == ""


async def test_a_lease_is_lost_when_renewing_stays_broken() -> None:
    leases = Leases()
    held = lease(leases)
    await held.hold()
    leases.breaks = float("inf")
    async with asyncio.timeout(10):
        await held.lost.wait()
    await held.release()
    assert leases.kept["spec"]["holderIdentity"] == held.identity  # whoever comes next waits for its end, as it must
