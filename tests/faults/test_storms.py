"""Many faults at once, and at the moments that the others leave out: the beginning, stages, tenants, slow answers.

A storm is drawn from a number, so that one that fails can be had again. Whatever happens in it, at no moment lives what
no status records, and once it is over the world converges without anybody's help.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from kubeapi.faults import Rule
from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.faults.changes import STATES, applied, change, require_converged
from tests.kit.objects import (
    Builtin,
    ConfigMap,
    Definition,
    account,
    binding,
    config_map,
    definition,
    files,
    kustomization,
    role,
    source,
)
from tests.kit.toolkit import CONTROLLERS, KUSTOMIZE, SOURCE, Toolkit

LONGEST = 60
"""More calls than any of this takes."""

WEATHER: tuple[dict[str, Any], ...] = (
    {"action": "fail", "code": 500},
    {"action": "fail", "code": 503, "reason": "ServiceUnavailable"},
    {"action": "fail", "code": 429, "reason": "TooManyRequests", "retry_after": 1},
    {"action": "fail", "code": 409, "reason": "Conflict"},
    {"action": "fail", "code": 403, "reason": "Forbidden"},
    {"action": "fail", "code": 401, "reason": "Unauthorized"},
    {"action": "fail", "code": 504, "reason": "Timeout"},
    {"action": "cut"},
    {"action": "cut-after"},
    {"action": "delay", "seconds": 0.2},
)


def storm(toolkit: Toolkit, chance: random.Random, count: int) -> list[Rule]:
    """Let so many calls of either controller fail, somewhere among the next ones."""
    faults = toolkit.server.faults
    rules = []
    for _ in range(count):
        way = dict(chance.choice(WEATHER))
        user, nth = chance.choice((KUSTOMIZE, KUSTOMIZE, SOURCE)), chance.randint(1, 12)
        rules.append(faults.add(way.pop("action"), user=user, nth=nth, count=chance.randint(1, 2), **way))
    return rules


@pytest.mark.parametrize("number", range(3))
async def test_a_storm_is_weathered(toolkit: Toolkit, number: int) -> None:
    chance, faults = random.Random(number), toolkit.server.faults
    await applied(toolkit)
    for turn in range(1, 5):
        storm(toolkit, chance, 6)
        commit = await change(toolkit, turn)
        for _ in range(3):
            await asyncio.sleep(chance.random() * 0.15)
            match chance.randrange(5):
                case 0:
                    faults.drop_watches()
                case 1:
                    faults.expire()
                case 2:
                    await toolkit.cluster.edit(ConfigMap, "shared", {"data": {"colour": "red"}})
                case 3:
                    name = chance.choice(CONTROLLERS)
                    await toolkit.stop(name)
                    await toolkit.start(name)
        if turn % 2:
            faults.clear()  # in every other turn the storm ends by itself, having met what it was to meet
        await require_converged(toolkit, turn, commit)
        faults.clear()


@pytest.mark.parametrize("way", ["fails", "is cut after it was handled"])
async def test_a_beginning_survives_that_any_call(toolkit: Toolkit, way: str) -> None:
    """A new Kustomization each time: claimed, recorded and applied in stages, while one call fails."""
    how = {
        "fails": {"action": "fail", "code": 500},
        "is cut after it was handled": {"action": "cut-after"},
    }[way]
    cluster, faults = toolkit.cluster, toolkit.server.faults
    group = f"{cluster.namespace}.example.org"
    gizmo = {"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": 1}}
    cluster.repo.commit({"a.yaml": files(gizmo, *STATES[0], definition(group))})
    await cluster.have(source("app"))
    await toolkit.start()
    await cluster.until(GitRepository, "app", ready=True)
    for number in range(1, LONGEST):
        rule = faults.add(**how, user=KUSTOMIZE, nth=number)
        await cluster.have(kustomization("app", retry_interval="100ms", wait=True, timeout="1m"))
        app = await cluster.until(Kustomization, "app", ready=True)
        assert toolkit.witness.alive(cluster.namespace, "app") == app.inventory
        assert await cluster.names(ConfigMap) == {"shared", "blue"}
        assert (await cluster.get(Builtin(f"{group}/v1", "Gizmo"), "g")).manifest["spec"] == {"size": 1}
        met = rule.seen >= number
        faults.clear()
        await cluster.delete(Kustomization, "app")
        await cluster.until_gone(Kustomization, "app")
        await cluster.until_gone(Definition, f"gizmos.{group}", namespace="")
        await toolkit.quiet(KUSTOMIZE, 0.1)
        if not met:
            assert number > 8
            return
    raise AssertionError(f"a beginning takes more than {LONGEST} calls")


async def test_a_tenants_change_survives_that_any_call_in_its_name_fails(toolkit: Toolkit) -> None:
    cluster, faults = toolkit.cluster, toolkit.server.faults
    tenant = f"system:serviceaccount:{cluster.namespace}:tenant"
    await cluster.have(
        account("tenant"),
        role("tenant", "configmaps", "services", "serviceaccounts"),
        binding("tenant", "tenant", cluster.namespace),
    )
    await applied(toolkit, service_account_name="tenant")
    for number in range(1, LONGEST):
        rule = faults.fail(user=tenant, nth=number)
        commit = await change(toolkit, number)
        await _require_tenants_converged(toolkit, number, commit)
        faults.clear()
        if rule.seen < number:
            assert number > 3
            return
    raise AssertionError(f"a change takes more than {LONGEST} calls")


async def _require_tenants_converged(toolkit: Toolkit, number: int, commit: str) -> None:
    """As require_converged, where the tenant's own account is beside what was applied."""
    cluster = toolkit.cluster
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    live = await cluster.until(ConfigMap, "shared", holds=lambda live: "colour" in live.manifest["data"])
    assert live.manifest["data"] == STATES[number % 2][0]["data"]
    assert toolkit.witness.alive(cluster.namespace, "app") == app.inventory


async def test_rights_that_are_taken_away_and_given_back_are_noticed(toolkit: Toolkit) -> None:
    """What was applied stays recorded while the tenant may not touch it, and goes when it may again."""
    cluster = toolkit.cluster
    tenant = (account("tenant"), role("tenant", "configmaps"), binding("tenant", "tenant", cluster.namespace))
    await cluster.have(*tenant)
    cluster.repo.commit({"a.yaml": files(config_map("one"), config_map("two"))})
    await toolkit.start()
    await cluster.have(source("app"), kustomization("app", service_account_name="tenant", retry_interval="200ms"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(Builtin("rbac.authorization.k8s.io/v1", "RoleBinding"), "tenant")
    cluster.repo.commit({"a.yaml": files(config_map("one"))})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False)
    assert app.ready.reason in ("ReconciliationFailed", "PruneFailed")
    assert "forbidden" in app.ready.message
    assert app.inventory == {f"{cluster.namespace}_{name}__ConfigMap" for name in ("one", "two")}
    assert await cluster.names(ConfigMap) == {"one", "two"}
    await cluster.have(tenant[2])
    app = await cluster.until(Kustomization, "app", ready=True)
    await cluster.until_gone(ConfigMap, "two")
    assert app.inventory == {f"{cluster.namespace}_one__ConfigMap"}
