"""Whatever call fails, in whatever way: the world converges, and at no moment lives what no status records.

Each run changes the world by a commit (an object changes, one goes, one comes) while one call of one controller fails:
the first call, then the second, and so on until a run in which there was no call left to fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubeapi import writes
from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from shared.kube.client import Client
from tests.faults.changes import STATES, applied, change, require_converged
from tests.kit.objects import ConfigMap, Service, files, kustomization, source
from tests.kit.toolkit import KUSTOMIZE, SOURCE, Toolkit

WAYS: dict[str, dict[str, Any]] = {
    "fails": {"action": "fail", "code": 500},
    "is refused": {"action": "fail", "code": 403, "reason": "Forbidden"},
    "conflicts": {"action": "fail", "code": 409, "reason": "Conflict"},
    "is cut before it is handled": {"action": "cut"},
    "is cut after it was handled": {"action": "cut-after"},
    "is one too many": {"action": "fail", "code": 429, "reason": "TooManyRequests", "retry_after": 1},
    "is not answered in time": {"action": "delay", "seconds": 3.0},
}
LONGEST = 60
"""More calls than a change can take."""


@pytest.fixture(autouse=True)
def impatient(toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controllers wait a second for an answer."""
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "timeout", 1.0)


async def each_call(toolkit: Toolkit, user: str, way: dict[str, Any]) -> AsyncIterator[int]:
    """The 1st call of this user fails, then the 2nd, … until a run meets no fault."""
    for number in range(1, LONGEST):
        rule = toolkit.server.faults.add(way["action"], user=user, nth=number, **_rest(way))
        yield number
        met = rule.seen >= number
        toolkit.server.faults.clear()
        if not met:
            return
    raise AssertionError(f"a change takes more than {LONGEST} calls")


def _rest(way: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in way.items() if key != "action"}


@pytest.mark.parametrize("way", WAYS)
async def test_a_change_survives_that_any_call_of_the_kustomize_controller(toolkit: Toolkit, way: str) -> None:
    await applied(toolkit)
    runs = 0
    async for number in each_call(toolkit, KUSTOMIZE, WAYS[way]):
        commit = await change(toolkit, number)
        await require_converged(toolkit, number, commit)
        runs = number
    assert runs > 5  # there were calls to fail


@pytest.mark.parametrize("way", WAYS)
async def test_a_change_survives_that_any_call_of_the_source_controller(toolkit: Toolkit, way: str) -> None:
    await applied(toolkit)
    runs = 0
    async for number in each_call(toolkit, SOURCE, WAYS[way]):
        commit = await change(toolkit, number)
        await require_converged(toolkit, number, commit)
        runs = number
    assert runs > 1


@pytest.mark.parametrize("way", WAYS)
async def test_an_end_survives_that_any_call(toolkit: Toolkit, way: str) -> None:
    cluster = toolkit.cluster
    await applied(toolkit)
    runs = 0
    async for number in each_call(toolkit, KUSTOMIZE, WAYS[way]):
        await cluster.delete(Kustomization, "app")
        await cluster.until_gone(Kustomization, "app")
        for name in ("shared", "blue"):
            await cluster.until_gone(ConfigMap, name)
        assert toolkit.witness.alive(cluster.namespace, "app") == set()
        toolkit.server.faults.rules, rules = [], toolkit.server.faults.rules
        await cluster.have(kustomization("app", retry_interval="100ms"))
        await cluster.until(Kustomization, "app", ready=True)
        await toolkit.quiet(KUSTOMIZE, 0.1)
        toolkit.server.faults.rules = rules
        runs = number
    assert runs > 3


async def test_a_wait_for_health_survives_that_any_call_fails(toolkit: Toolkit) -> None:
    await applied(toolkit, wait=True)
    async for number in each_call(toolkit, KUSTOMIZE, WAYS["fails"]):
        commit = await change(toolkit, number)
        await require_converged(toolkit, number, commit)


async def test_a_webhook_that_nobody_answers_for_is_told_and_harms_nothing_else(toolkit: Toolkit) -> None:
    cluster, api = toolkit.cluster, toolkit.server.cluster
    await applied(toolkit)
    resource = api.resource("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration")
    services = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}
    webhook = {
        "name": "policy.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "rules": [services],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "policy"}}
    writes.create(api, resource, "", {**manifest, "webhooks": [webhook]}, writes.Options())
    commit = await change(toolkit, 1)
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"Service/{cluster.namespace}/new" in app.ready.message
    assert 'failed calling webhook "policy.example.org": failed to call webhook' in app.ready.message
    assert "connection refused" in app.ready.message
    assert await cluster.names(Service) == {"old"}
    writes.delete(api, resource, "", "policy", writes.DeleteOptions())
    await require_converged(toolkit, 1, commit)


async def test_a_status_that_cannot_be_written_stops_before_the_cluster_is_touched(toolkit: Toolkit) -> None:
    """The inventory comes first: without it nothing may be created."""
    cluster = toolkit.cluster
    toolkit.cluster.repo.commit({"a.yaml": files(*STATES[0])})
    await toolkit.start()
    rule = toolkit.server.faults.fail(
        user=KUSTOMIZE, verb="patch", resource="kustomizations", subresource="status", nth=0
    )
    await cluster.have(source("app"), kustomization("app", retry_interval="100ms"))
    await cluster.until(GitRepository, "app", ready=True)
    async with asyncio.timeout(30):
        while rule.seen < 3:
            await asyncio.sleep(0.02)
    assert await cluster.names(ConfigMap) == set()
    toolkit.server.faults.clear()
    await cluster.until(Kustomization, "app", ready=True)
    assert await cluster.names(ConfigMap) == {"shared", "blue"}
