"""Keys that wait for an attempt."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from shared.loop.queue import Delay, Key, Queue

A, B = Key("Kustomization", "ns", "a"), Key("Kustomization", "ns", "b")


@pytest.fixture
def queue():
    return Queue(min_delay=1, max_delay=60)


async def taken(queue):
    async with asyncio.timeout(5):
        return await queue.take()


async def nothing_due(queue):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await queue.take()


async def test_a_key_added_twice_is_taken_once(queue):
    queue.add(A)
    queue.add(A)
    assert await taken(queue) == A
    await nothing_due(queue)


async def test_keys_come_in_the_order_they_were_added(queue):
    queue.add(B)
    queue.add(A)
    assert [await taken(queue), await taken(queue)] == [B, A]


async def test_a_key_added_while_it_runs_is_due_again_once_it_is_done(queue):
    queue.add(A)
    await taken(queue)
    queue.add(A)
    await nothing_due(queue)
    queue.done(A)
    assert await taken(queue) == A


async def test_what_came_before_the_object_was_read_is_covered_by_the_attempt(queue):
    queue.add(A)
    await taken(queue)
    queue.add(A)
    queue.begin(A)
    queue.done(A)
    await nothing_due(queue)


async def test_a_delayed_key_comes_when_it_is_due_and_sooner_when_added_now(queue):
    queue.add(A, 0.05)
    queue.add(B, 3600)
    assert await taken(queue) == A
    queue.add(B)
    assert await taken(queue) == B
    queue.done(B)
    await nothing_due(queue)


async def test_the_earlier_of_two_times_wins_but_a_new_plan_replaces_both(queue):
    queue.add(A, 3600)
    queue.add(A, 0.02)
    assert await taken(queue) == A
    queue.replan(A, Delay(3600))
    queue.done(A)
    await nothing_due(queue)
    queue.replan(A, Delay(0.01))
    assert await taken(queue) == A


async def test_a_key_that_time_made_due_was_due_since_its_delay_might_have_been_over(queue):
    before = asyncio.get_running_loop().time()
    queue.replan(A, Delay(0.05, early=0.04))
    assert await taken(queue) == A
    assert before + 0.01 <= queue.begin(A) < before + 0.05


async def test_a_key_that_was_asked_for_is_due_since_then(queue):
    queue.replan(A, Delay(0.01, early=5.0))
    queue.add(A)
    asked = asyncio.get_running_loop().time()
    assert await taken(queue) == A
    assert asked - 0.01 <= queue.begin(A) <= asked


async def test_failures_back_off_until_one_succeeds(queue):
    delays = [queue.backoff(A) for _ in range(8)]
    assert [round(delay) for delay in delays[:3]] == pytest.approx([1, 2, 4], abs=1)
    assert all(later > earlier for earlier, later in itertools.pairwise(delays[:6]))
    assert max(delays) <= 66
    queue.succeeded(A)
    assert queue.backoff(A) < 1.2


async def test_it_counts_what_comes_how_long_it_waits_and_how_long_it_is_worked_on(queue):
    queue.add(A)
    queue.add(A)
    queue.add(B)
    await asyncio.sleep(0.02)
    assert await taken(queue) == A
    assert (queue.adds, queue.depth) == (2, 1)
    assert queue.waited.buckets[-1][1] == 1
    assert queue.waited.sum >= 0.02
    queue.add(A)
    assert queue.adds == 2, "it is due again only when it is done"
    await asyncio.sleep(0.02)
    (running,) = queue.under_way()
    assert running >= 0.02
    queue.done(A)
    assert queue.adds == 3
    assert queue.under_way() == []
    assert queue.worked.buckets[-1][1] == 1
    assert queue.worked.sum >= 0.02
    queue.backoff(A)
    assert queue.retries == 1


async def test_a_forgotten_key_is_not_due_any_more(queue):
    queue.add(A, 0.01)
    queue.forget(A)
    await nothing_due(queue)
