"""Drift that is only reported, parked objects, held deletions, other clusters: each survives that any call fails.

As where every call fails once, but each number of the call fails in another way.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

import kubeapi
from kustomize_controller.budget import CONFIRM
from shared.api.kustomize import Kustomization
from shared.apply.identity import DEFAULT_GROUP
from shared.kube import config
from shared.kube.client import Client
from tests.faults.changes import STATES, applied, change, require_converged
from tests.faults.test_every_call_fails_once import LONGEST, WAYS
from tests.kit.cluster import Live
from tests.kit.objects import (
    Builtin,
    ConfigMap,
    Definition,
    config_map,
    definition,
    files,
    kustomization,
    secret,
    source,
)
from tests.kit.toolkit import KUSTOMIZE, Toolkit

QUICK = [way for name, way in WAYS.items() if name not in ("is one too many", "is not answered in time")]
RED = {"data": {"colour": "red"}}


async def each_call(toolkit: Toolkit, user: str = KUSTOMIZE, server: object = None) -> AsyncIterator[int]:
    """The 1st call fails in the first way, the 2nd in the second, … until a run meets no fault."""
    faults = (server or toolkit.server).faults  # type: ignore[attr-defined]
    for number in range(1, LONGEST):
        way = dict(QUICK[number % len(QUICK)])
        rule = faults.add(way.pop("action"), user=user, nth=number, **way)
        yield number
        met = rule.seen >= number
        faults.clear()
        if not met:
            assert number > 3  # there were calls to fail
            return
    raise AssertionError(f"this takes more than {LONGEST} calls")


async def test_drift_that_is_only_reported_is_told_and_left(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await applied(toolkit, drift_detection={"mode": "warn"})
    async for number in each_call(toolkit):
        await cluster.edit(ConfigMap, "shared", RED)
        app = await cluster.until(
            Kustomization, "app", ready=True, holds=lambda live: live.condition("Drifted").status == "True"
        )
        assert [entry["id"] for entry in app.status["drift"]] == [f"{cluster.namespace}_shared__ConfigMap"]
        assert (await cluster.get(ConfigMap, "shared")).manifest["data"] == RED["data"]
        commit = await change(toolkit, number)
        await cluster.until(
            Kustomization, "app", revision=commit, holds=lambda live: live.condition("Drifted").status == "False"
        )
        await require_converged(toolkit, number, commit)


async def test_drift_that_is_corrected_is_corrected_at_last(toolkit: Toolkit) -> None:
    cluster, faults = toolkit.cluster, toolkit.server.faults
    await applied(toolkit)
    blue = STATES[0][0]["data"]
    for way in QUICK:
        rule = faults.add(user=KUSTOMIZE, nth=1, verb="patch", resource="configmaps", **way)
        edited = await cluster.edit(ConfigMap, "shared", RED)
        await cluster.until(
            ConfigMap,
            "shared",
            holds=lambda live, edited=edited: live.manifest["data"] == blue and _version(live) > _version(edited),
        )
        assert rule.seen
        faults.clear()
        await toolkit.quiet(KUSTOMIZE, 0.1)


def _version(live: Live) -> int:
    return int(live.manifest["metadata"]["resourceVersion"])


async def test_what_is_parked_is_applied_once_its_kind_is_there(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await applied(toolkit)
    async for number in each_call(toolkit):
        group = f"g{number}.{cluster.namespace}.example.org"
        gizmo = {"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": number}}
        cluster.repo.commit({"gizmo.yaml": files(gizmo)})
        await change(toolkit, number)
        app = await cluster.until(
            Kustomization, "app", ready=False, holds=lambda live: "parked until" in live.ready.message
        )
        assert any(group in id for id in app.inventory)
        await cluster.client.create(definition(group))
        app = await cluster.until(Kustomization, "app", ready=True)
        kind = Builtin(f"{group}/v1", "Gizmo")
        assert await cluster.names(kind) == {"g"}
        commit = cluster.repo.commit({"gizmo.yaml": None})
        await cluster.follow()
        await cluster.until_gone(kind, "g")
        await require_converged(toolkit, number, commit)
        await cluster.client.delete(*Definition, f"gizmos.{group}")


async def test_a_held_deletion_is_made_once_it_is_confirmed(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await applied(toolkit, prune_policy={"maxDelete": 1})
    async for number in each_call(toolkit):
        before = await cluster.names(ConfigMap)
        commit = await change(toolkit, number)
        app = await cluster.until(
            Kustomization, "app", reason="PruneHeld", holds=lambda live, commit=commit: commit in live.ready.message
        )
        assert await cluster.names(ConfigMap) >= before
        found = re.search(rf"{CONFIRM}=(\S+)", app.ready.message)
        assert found, app.ready.message
        await cluster.edit(Kustomization, "app", {"metadata": {"annotations": {CONFIRM: found[1]}}})
        await require_converged(toolkit, number, commit)


@pytest.fixture
async def elsewhere(toolkit: Toolkit) -> AsyncIterator[object]:
    """A second server, whose administrator's kubeconfig is in the Secret `elsewhere`; the witness sees it, too."""
    server = await kubeapi.start(tls=False)
    try:
        toolkit.witness.look_at(server)
        server.kubeconfig(toolkit.folder / "elsewhere")
        await toolkit.cluster.have(secret("elsewhere", {"value": (toolkit.folder / "elsewhere").read_bytes()}))
        yield server
    finally:
        await toolkit.stop()
        await server.stop()


@pytest.mark.parametrize("where", ["there", "here"])
async def test_another_cluster_becomes_what_the_commit_says(toolkit: Toolkit, elsewhere: object, where: str) -> None:
    """Calls fail on that cluster, or on the one where the Kustomization is."""
    cluster = toolkit.cluster
    client = Client(config.load(toolkit.folder / "elsewhere"), qps=-1)
    try:
        await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}})
        cluster.repo.commit({"a.yaml": files(config_map("settings", {"number": "0"}))})
        await toolkit.start()
        there = {"secretRef": {"name": "elsewhere"}}
        await cluster.have(source("app"), kustomization("app", kube_config=there, retry_interval="100ms"))
        await cluster.until(Kustomization, "app", ready=True)
        calls = each_call(toolkit, "", elsewhere) if where == "there" else each_call(toolkit)
        async for number in calls:
            objects = config_map("settings", {"number": str(number)}), config_map(f"only-{number}")
            commit = cluster.repo.commit({"a.yaml": files(*objects)})
            await cluster.follow()
            app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
            found = await client.list("v1", "ConfigMap", cluster.namespace, label_selector=f"{DEFAULT_GROUP}/name=app")
            assert {each["metadata"]["name"] for each in found} == {"settings", f"only-{number}"}
            assert {each["metadata"]["name"]: each["data"] for each in found}["settings"] == {"number": str(number)}
            assert app.inventory == toolkit.witness.alive(cluster.namespace, "app")
        assert f"{cluster.namespace}_settings__ConfigMap" not in toolkit.witness.deleted
        await cluster.delete(Kustomization, "app")
        await cluster.until_gone(Kustomization, "app")
        assert toolkit.witness.alive(cluster.namespace, "app") == set()
    finally:
        await client.close()
