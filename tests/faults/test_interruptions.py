"""What ends in the middle is done again: cancelled calls and steps, dropped watches, a server that is away."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from kustomize_controller import build, decrypt, dependencies, healthchecks, sources, variables
from kustomize_controller import kustomization as story
from kustomize_controller.cluster import Cluster
from kustomize_controller.identity import Clusters
from shared.api.kustomize import Kustomization
from tests.faults.changes import STATES, applied, change, require_converged
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source
from tests.kit.toolkit import KUSTOMIZE, SOURCE, Toolkit

LONGEST = 60
NEVER = 600.0
"""Seconds; longer than a test may take."""


@pytest.mark.parametrize(("user", "name"), [(KUSTOMIZE, "kustomize-controller"), (SOURCE, "source-controller")])
async def test_a_controller_may_be_stopped_at_every_call(toolkit: Toolkit, user: str, name: str) -> None:
    await applied(toolkit)
    for number in range(1, LONGEST):
        hanging = toolkit.server.faults.delay(NEVER, user=user, nth=number)
        commit = await change(toolkit, number)
        reached = await _reached(toolkit, hanging, number, commit)
        await toolkit.stop(name)
        toolkit.server.faults.clear()
        await toolkit.start(name)
        await require_converged(toolkit, number, commit)
        await toolkit.quiet(user, 0.1)
        if not reached:
            assert number > 2
            return
    raise AssertionError(f"a change takes more than {LONGEST} calls")


async def _reached(toolkit: Toolkit, rule: object, number: int, commit: str) -> bool:
    """Whether the call that hangs was made, before the change was done without it."""
    done = asyncio.create_task(require_converged(toolkit, number, commit))
    try:
        while rule.seen < number and not done.done():  # type: ignore[attr-defined]
            await asyncio.sleep(0.005)
        return rule.seen >= number  # type: ignore[attr-defined,no-any-return]
    finally:
        done.cancel()
        await asyncio.gather(done, return_exceptions=True)


STEPS = (
    (sources, "find"),
    (dependencies, "require_ready"),
    (variables, "find"),
    (decrypt, "find"),
    (Clusters, "find"),
    (build, "template"),
    (build, "filled"),
    (Cluster, "apply"),
    (Cluster, "prune"),
    (healthchecks, "wait"),
)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_kustomize_controller_may_be_stopped_at_every_step(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    await applied(toolkit, wait=True)
    for number, (home, name) in enumerate(STEPS, 1):
        reached, step = asyncio.Event(), getattr(home, name)

        async def held(*args: Any, reached: asyncio.Event = reached, step: Any = step, **options: Any) -> None:
            if when == "after":
                await step(*args, **options)
            reached.set()
            await asyncio.sleep(NEVER)

        with monkeypatch.context() as patched:
            patched.setattr(home, name, held)
            commit = await change(toolkit, number)
            async with asyncio.timeout(30):
                await reached.wait()
            await toolkit.stop("kustomize-controller")
        await toolkit.start("kustomize-controller")
        await require_converged(toolkit, number, commit)


@pytest.mark.parametrize("what", ["dropped", "expired", "stalled for a while"])
async def test_watches_may_end_at_any_time(toolkit: Toolkit, what: str) -> None:
    await applied(toolkit)
    faults, chance = toolkit.server.faults, random.Random(what)
    for number in range(1, 7):
        commit = await change(toolkit, number)
        await asyncio.sleep(chance.random() * 0.2)
        if what == "dropped":
            faults.drop_watches()
        elif what == "expired":
            faults.expire()
        else:
            faults.stall_watches()
            await asyncio.sleep(0.3)
            faults.stall_watches(False)
        await require_converged(toolkit, number, commit)


@pytest.mark.parametrize("what", ["dropped", "expired"])
async def test_drift_is_seen_after_watches_ended(toolkit: Toolkit, what: str) -> None:
    cluster, faults = toolkit.cluster, toolkit.server.faults
    await applied(toolkit)
    for _ in range(3):
        if what == "dropped":
            faults.drop_watches()
        else:
            faults.expire()
        await cluster.edit(ConfigMap, "shared", {"data": {"colour": "red"}})
        blue = STATES[0][0]["data"]
        await cluster.until(ConfigMap, "shared", holds=lambda live, blue=blue: live.manifest["data"] == blue)


async def test_a_server_that_is_away_is_waited_for(toolkit: Toolkit) -> None:
    await applied(toolkit)
    for number in range(1, 4):
        commit = await change(toolkit, number)
        await asyncio.sleep(0.02 * number)
        await toolkit.server.pause()
        await asyncio.sleep(0.5)
        await toolkit.server.resume()
        await require_converged(toolkit, number, commit)


async def test_a_server_that_takes_no_writes_is_waited_for(toolkit: Toolkit) -> None:
    await applied(toolkit)
    commit = await change(toolkit, 1)
    toolkit.server.faults.read_only()
    await asyncio.sleep(1.0)
    toolkit.server.faults.read_only(False)
    await require_converged(toolkit, 1, commit)


async def test_a_server_that_does_not_answer_is_told_of_in_time(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "SHORTEST_TIMEOUT", 1.0)
    cluster = toolkit.cluster
    await applied(toolkit, timeout="1s")
    toolkit.server.faults.delay(NEVER, user=KUSTOMIZE, verb="patch", resource="configmaps", nth=0)
    commit = await change(toolkit, 1)
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert "timed out after 1s" in app.ready.message
    toolkit.server.faults.clear()
    await require_converged(toolkit, 1, commit)


async def test_a_slow_server_holds_up_nobody_else(toolkit: Toolkit) -> None:
    """More Kustomizations wait for health than there are workers; one that has nothing to wait for gets its turn."""
    cluster = toolkit.cluster
    never = {"reconcile.fluxcd.io/never": "ready"}
    cluster.repo.commit(
        {
            "job/a.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: stays}\nspec:\n  template:\n"
            "    metadata: {annotations: {tests.fluvial/stay: pending}}\n    spec:\n      restartPolicy: Never\n"
            "      containers: [{name: main, image: example.org/job}]\n",
            "quick/a.yaml": files(config_map("quick", annotations=never)),
        }
    )
    await toolkit.start(flags=["--concurrent=2"])
    waiting = [
        kustomization(f"waits-{number}", path="./job", name_prefix=f"{number}-", wait=True) for number in range(6)
    ]
    await cluster.have(source("app"), *waiting)
    for number in range(6):
        await cluster.until(Kustomization, f"waits-{number}", holds=lambda live: live.inventory)
    await cluster.have(kustomization("quick", path="./quick"))
    await cluster.until(Kustomization, "quick", ready=True, within=10)
