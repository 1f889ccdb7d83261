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
from shared.api.meta import Manifest
from shared.api.source import GitRepository
from tests.faults.changes import STATES, change, require_converged
from tests.faults.test_storms import storm
from tests.kit.forks import Forks
from tests.kit.objects import ConfigMap, config_map, definition, files, kustomization, source
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


def _kill_some(forks: Forks, chance: random.Random) -> None:
    """Kill one controller or both, and start them again."""
    killed = chance.choices([CONTROLLERS[1:], CONTROLLERS[:1], CONTROLLERS], [4, 1, 1])[0]
    for name in killed:
        forks.kill(name)
    for name in killed:
        forks.start(name)


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
        _kill_some(forks, chance)
        assert toolkit.witness.problems == []
        if number % SETTLES == 0 or number == KILLS:
            await require_converged(toolkit, number, commit)
    kept = {f"{cluster.namespace}_shared__ConfigMap", f"{cluster.namespace}_both__ServiceAccount"}
    assert not toolkit.witness.deleted & kept
    async with asyncio.timeout(10):
        while len(list(forks.temporary.iterdir())) != len(CONTROLLERS):  # a folder each
            await asyncio.sleep(0.02)


def _drawn(chance: random.Random, group: str, turn: int) -> dict[str, list[Manifest]]:
    """What two Kustomizations hold: the second, which depends on the first, objects that were the first's before, and
    one of a kind that the first may define."""
    held: dict[str, list[Manifest]] = {path: [config_map(f"always-{path}")] for path in "ab"}
    for number in range(8):
        path = chance.choice(["", "a", "b"])
        if path:
            held[path].append(config_map(f"moves-{number}", {"turn": str(turn)}))
    if chance.random() < 0.6:
        held["a"].append(definition(group))
        if chance.random() < 0.8:
            size = {"size": turn}
            held["b"].append({"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": size})
    return held


async def _require_held(toolkit: Toolkit, held: dict[str, list[Manifest]], commit: str) -> None:
    cluster = toolkit.cluster
    for path in "ab":
        await cluster.until(Kustomization, path, ready=True, revision=commit)
    for path, manifests in held.items():
        wanted = {each["metadata"]["name"] for each in manifests}
        await cluster.until(
            Kustomization,
            path,
            ready=True,
            holds=lambda live, path=path: live.inventory == toolkit.witness.alive(cluster.namespace, path),
        )
        alive = toolkit.witness.alive(cluster.namespace, path)
        assert {id.split("_")[1] for id in alive} == wanted
        for each in manifests:
            if each["kind"] == "ConfigMap":
                live = await cluster.get(ConfigMap, each["metadata"]["name"])
                assert live.manifest["data"] == each["data"]


@pytest.mark.timeout(900)
async def test_objects_may_move_between_kustomizations_in_storms_with_kills(toolkit: Toolkit, forks: Forks) -> None:
    cluster, chance = toolkit.cluster, random.Random(4)
    group = f"{cluster.namespace}.example.org"
    for name in CONTROLLERS:
        forks.start(name)
    first = kustomization("a", path="./a", retry_interval="200ms")
    second = kustomization("b", path="./b", retry_interval="200ms", wait=True, timeout="1m", depends_on=["a"])
    turns = max(KILLS // 4, SETTLES)
    for turn in range(turns + 1):
        held = _drawn(chance, group, turn)
        commit = cluster.repo.commit({f"{path}/a.yaml": files(*held[path]) for path in "ab"})
        if turn == 0:
            await cluster.have(source("app"), first, second)
        await cluster.request(GitRepository, "app")
        storm(toolkit, chance, 3)
        await _some_calls(toolkit, chance.randint(0, MOST_CALLS))
        if chance.random() < 0.2:
            toolkit.server.faults.drop_watches()
        _kill_some(forks, chance)
        assert toolkit.witness.problems == []
        if turn % (SETTLES // 2) == 0 or turn == turns:
            toolkit.server.faults.clear()
            await _require_held(toolkit, held, commit)
    assert not toolkit.witness.deleted & {f"{cluster.namespace}_always-{path}__ConfigMap" for path in "ab"}
