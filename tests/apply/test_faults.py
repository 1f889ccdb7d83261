"""Every call fails once, every step is cancelled once: nothing lives that isn't recorded, and all ends well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from shared import apply
from tests.apply.world import World, account, config_map, secret, service

BEFORE = (config_map("one"), config_map("two"), account(), service("old"))
AFTER = (config_map("one", {"key": "green"}), config_map("three"), account(), secret("new", password="hunter22"))
KINDS = ("ConfigMap", "Service", "ServiceAccount", "Secret")
REFUSED = {
    "refused": {"action": "fail", "code": 422, "reason": "Invalid"},
    "forbidden": {"action": "fail", "code": 403, "reason": "Forbidden"},
    "conflicting": {"action": "fail", "code": 409, "reason": "Conflict"},
    "too many": {"action": "fail", "code": 429, "reason": "TooManyRequests"},
    "unavailable": {"action": "fail", "code": 503, "reason": "ServiceUnavailable"},
    "cut before": {"action": "cut"},
    "cut after": {"action": "cut-after"},
}


async def alive(world: World) -> set[apply.ObjectId]:
    """The owner's objects that live."""
    found = set()
    for kind in KINDS:
        listed = await world.client.list("v1", kind, world.namespace)
        found |= {apply.ObjectId.of(item) for item in listed if world.owner.owns(item["metadata"].get("labels") or {})}
    return found


async def fresh(world: World, number: int) -> None:
    """Another owner in another namespace, with the state before."""
    created = await world.client.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": f"fault-{number}-"}}
    )
    world.namespace = created["metadata"]["name"]
    world.owner, world.recorded = apply.Owner(world.namespace, "app"), apply.Inventory.of([])
    await world.reconcile(*BEFORE)


async def converge(world: World) -> None:
    assert await alive(world) <= set(world.recorded)
    for attempt in range(5):
        try:
            await world.reconcile(*AFTER)
            break
        except (apply.ApplyError, apply.PruneError):
            assert attempt < 4, "it fails again and again"
    desired = set(apply.Inventory.of(world.here(manifest) for manifest in AFTER))
    assert await alive(world) == desired
    assert set(world.recorded) == desired
    assert await world.data("one") == {"key": "green"}
    await world.until(
        lambda: all(world.ledger.follows(("v1", kind)) for kind in ("ConfigMap", "ServiceAccount", "Secret"))
    )
    await world.reconcile(*AFTER)
    with world.counting() as calls:
        await world.reconcile(*AFTER)
    assert not calls


async def each_call(world: World, **fault: Any) -> AsyncIterator[None]:
    """The first call fails, then the second, … until a run meets no fault."""
    for number in range(1, 60):
        await fresh(world, number)
        rule = world.faults.add(**fault, nth=number)
        yield
        world.faults.clear()
        if rule.seen < number:
            return
        await converge(world)
    raise AssertionError("the runs don't come to an end")


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("restarted", [False, True])
async def test_no_fault_leaves_what_is_not_recorded(world: World, kind: str, restarted: bool) -> None:
    if world.faults is None:
        pytest.skip("only the embedded API fails on demand")
    async for _ in each_call(world, **REFUSED[kind]):
        if restarted:
            world.again()
        with suppress(apply.ApplyError, apply.PruneError):
            await world.reconcile(*AFTER)


async def test_no_cancellation_leaves_what_is_not_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.client.transport.call
    for number in range(1, 60):
        await fresh(world, number)
        task = asyncio.create_task(world.reconcile(*AFTER))
        left = number

        async def cutting(*arguments: Any, task: asyncio.Task[Any] = task, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                answer = asyncio.create_task(call(*arguments, **options))
                await asyncio.wait([answer])
                task.cancel()
            return await call(*arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(world.client.transport, "call", cutting)
            with suppress(asyncio.CancelledError):
                await task
        if left > 0:
            return
        await converge(world)
    raise AssertionError("the runs don't come to an end")


async def test_a_gap_in_the_watch_hides_no_drift(world: World) -> None:
    if world.faults is None:
        pytest.skip("only the embedded API fails on demand")
    await world.apply(*BEFORE)
    await asyncio.sleep(0.1)
    world.faults.stall_watches()
    await world.edit(config_map("one"), {"data": {"key": "red"}})
    await world.delete(config_map("two"))
    world.faults.expire()
    world.faults.stall_watches(False)
    await world.until(lambda: len(world.ledger.drifted(world.owner)) == 2, 10)
    await world.apply(*BEFORE)
    assert await world.data("one") == {"key": "blue"}
    assert await world.data("two") == {"key": "blue"}
    assert world.owner in world.woken
