"""A controller that is killed at any moment leaves nothing behind that nobody knows of, and takes nothing along.

Objects come, change and go by one commit after the other, while the controllers are killed (SIGKILL) and started again
at moments drawn at random. FLUVIAL_KILLS says how often; each number of the draw stands for the same moments.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from shared.api.kustomize import Kustomization
from tests.faults.changes import STATES, change, require_converged
from tests.kit.forks import Forks
from tests.kit.objects import files, kustomization, source
from tests.kit.toolkit import CONTROLLERS, KUSTOMIZE, Toolkit

KILLS = int(os.environ.get("FLUVIAL_KILLS", "100"))
MOST_CALLS = 24
"""A start and a change take about so many calls, beside watches."""
QUIET, PATIENCE = 0.4, 5.0
"""Seconds without a call after which no more is waited for; the longer ones when there was none at all."""
SETTLES = 10
"""After so many kills the world is given the time to converge."""


@pytest.fixture
def forks(toolkit: Toolkit) -> Iterator[Forks]:
    with Forks(toolkit) as made:
        yield made


async def _some_calls(toolkit: Toolkit, count: int) -> None:
    """Until the kustomize-controller has made so many calls, or makes no more."""
    toolkit.forget_calls()
    loop = asyncio.get_running_loop()
    made, since = 0, loop.time()
    while made < count and loop.time() < since + (QUIET if made else PATIENCE):
        await asyncio.sleep(0.002)
        before, made = made, sum(toolkit.calls(KUSTOMIZE).values())
        if made > before:
            since = loop.time()


@pytest.mark.timeout(900)
async def test_controllers_may_be_killed_at_any_moment(toolkit: Toolkit, forks: Forks) -> None:
    cluster, chance = toolkit.cluster, random.Random(20)
    cluster.repo.commit({"a.yaml": files(*STATES[0])})
    for name in CONTROLLERS:
        forks.start(name)
    await cluster.have(source("app"), kustomization("app", retry_interval="100ms"))
    await cluster.until(Kustomization, "app", ready=True)
    for number in range(1, KILLS + 1):
        commit = await change(toolkit, number)
        await _some_calls(toolkit, chance.randint(0, MOST_CALLS))
        await asyncio.sleep(chance.random() * 0.01)
        killed = chance.choices([CONTROLLERS[1:], CONTROLLERS[:1], CONTROLLERS], [4, 1, 1])[0]
        for name in killed:
            forks.kill(name)
        for name in killed:
            forks.start(name)
        assert toolkit.witness.problems == []
        if number % SETTLES == 0 or number == KILLS:
            await require_converged(toolkit, number, commit)
    kept = {f"{cluster.namespace}_shared__ConfigMap", f"{cluster.namespace}_both__ServiceAccount"}
    assert not toolkit.witness.deleted & kept
