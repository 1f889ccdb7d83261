"""The change that the fault tests make again and again: one object changes, some go, some come, one stays as it is."""

from __future__ import annotations

from typing import Any

from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.kit.objects import ConfigMap, Service, account, config_map, files, kustomization, service, source
from tests.kit.toolkit import KUSTOMIZE, Toolkit

STATES = (
    [config_map("shared", {"colour": "blue"}), config_map("blue"), service("old"), account("both")],
    [config_map("shared", {"colour": "green"}), config_map("green"), service("new"), account("both")],
)


async def change(toolkit: Toolkit, number: int) -> str:
    """Commit the other state, and make the source look."""
    commit = toolkit.cluster.repo.commit({"a.yaml": files(*STATES[number % 2])}, message=f"change {number}")
    await toolkit.cluster.request(GitRepository, "app")
    return commit


async def require_converged(toolkit: Toolkit, number: int, commit: str) -> None:
    """The world is what the commit says, and the status knows it."""
    cluster = toolkit.cluster
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    desired = {manifest["metadata"]["name"] for manifest in STATES[number % 2]}
    gone = {manifest["metadata"]["name"] for manifest in STATES[(number + 1) % 2]} - desired
    for kind in (ConfigMap, Service):
        for name in gone & await cluster.names(kind):
            await cluster.until_gone(kind, name)
    assert await cluster.names(ConfigMap) | await cluster.names(Service) | {"both"} == desired
    # Who edited it last may have done so a moment ago, when all was applied.
    data = STATES[number % 2][0]["data"]
    await cluster.until(ConfigMap, "shared", holds=lambda live: live.manifest["data"] == data)
    alive = toolkit.witness.alive(cluster.namespace, "app")
    assert alive <= app.inventory
    await cluster.until(Kustomization, "app", ready=True, holds=lambda live: live.inventory == alive)
    assert toolkit.witness.problems == []


async def applied(toolkit: Toolkit, **spec: Any) -> None:
    toolkit.cluster.repo.commit({"a.yaml": files(*STATES[0])})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", retry_interval="100ms", **spec))
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE, 0.2)
