"""An owner hears of drift at once; where it comes again and again, later and later."""

from __future__ import annotations

import asyncio

import pytest

from shared.apply import Owner
from shared.apply.waking import CALM, FREE_STRIKES, LONGEST_DELAY, Waking, delay, strikes

OWNER = Owner("shop", "app")


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(0, 0), (FREE_STRIKES - 1, 0), (FREE_STRIKES, 2), (FREE_STRIKES + 1, 4), (FREE_STRIKES + 500, LONGEST_DELAY)],
)
def test_each_correction_that_does_not_last_waits_longer(number: int, seconds: float) -> None:
    assert delay(number) == seconds


@pytest.mark.parametrize(
    ("before", "calm", "after"),
    [(0, 1, 1), (2, CALM - 1, 3), (2, CALM + 1, 0), (FREE_STRIKES, CALM + 1, FREE_STRIKES + 1), (9, CALM + 129, 0)],
)
def test_a_calm_that_is_longer_than_the_delay_ends_a_fight(before: int, calm: float, after: int) -> None:
    assert strikes(before, calm=calm) == after


async def test_the_earliest_of_several_calls_wins_and_only_while_there_is_a_reason() -> None:
    loop = asyncio.get_running_loop()
    due, woken = True, []
    waking = Waking(lambda _: due)
    end = waking.on_drift(lambda _: woken.append(loop.time()))
    began = loop.time()
    waking.wake(OWNER, 0.2)
    waking.wake(OWNER, 0.05)
    waking.wake(OWNER, 0.1)
    await asyncio.sleep(0.3)
    assert len(woken) == 1
    assert woken[0] - began >= 0.05
    waking.wake(OWNER, 0.05)
    due = False
    await asyncio.sleep(0.1)
    assert len(woken) == 1
    waking.wake(OWNER, 0.05)
    waking.wake(OWNER)
    due = True
    await asyncio.sleep(0.1)
    assert len(woken) == 2
    end()
    waking.wake(OWNER)
    assert len(woken) == 2
