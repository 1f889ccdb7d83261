"""What becomes of a Kustomization's objects when it goes, and what is told of it."""

from __future__ import annotations

import pytest

from kustomize_controller import kustomization as story
from shared.api.kustomize import Kustomization
from tests.kit.objects import (
    ConfigMap,
    ServiceAccount,
    account,
    binding,
    config_map,
    files,
    kustomization,
    role,
    source,
)
from tests.kit.toolkit import Toolkit

REVISION = "kustomize.toolkit.fluxcd.io/revision"
HELD = {"metadata": {"finalizers": ["example.com/hold"]}}


async def applied(toolkit: Toolkit, **spec: object) -> str:
    commit = toolkit.cluster.repo.commit({"app.yaml": files(config_map("one"), config_map("two"))})
    await toolkit.cluster.have(source("app"), kustomization("app", **spec))
    await toolkit.start()
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    return commit


async def test_what_was_deleted_is_told_with_the_revision_that_was_applied_last(toolkit: Toolkit) -> None:
    commit = await applied(toolkit)
    await toolkit.cluster.delete(Kustomization, "app")
    await toolkit.cluster.until_gone(Kustomization, "app")
    told = await toolkit.cluster.event("app", reason="ReconciliationSucceeded", says="one deleted")
    assert told["message"].splitlines() == [
        f"ConfigMap/{toolkit.cluster.namespace}/{name} deleted" for name in ("two", "one")
    ]
    assert told["metadata"]["annotations"][REVISION] == f"main@sha1:{commit}"


async def test_objects_that_take_too_long_to_go_are_told_and_keep_nothing(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "SHORTEST_TIMEOUT", 0.5)
    await applied(toolkit, deletion_policy="WaitForTermination", timeout="500ms")
    await toolkit.cluster.edit(ConfigMap, "one", HELD)
    await toolkit.cluster.delete(Kustomization, "app")
    await toolkit.cluster.until_gone(Kustomization, "app")
    assert await toolkit.cluster.names(ConfigMap) == {"one"}
    told = await toolkit.cluster.event("app", reason="ReconciliationSucceeded", says="failed to wait for resources")
    assert told["type"] == "Warning"
    assert f"ConfigMap/{toolkit.cluster.namespace}/one termination timeout" in told["message"]
    await toolkit.cluster.edit(ConfigMap, "one", {"metadata": {"finalizers": None}})


async def test_where_the_account_is_gone_the_objects_stay_and_each_is_told(toolkit: Toolkit) -> None:
    await toolkit.cluster.have(account("deployer"), role("all", "configmaps"))
    await toolkit.cluster.have(binding("all", "deployer", toolkit.cluster.namespace))
    commit = await applied(toolkit, service_account_name="deployer")
    await toolkit.cluster.delete(ServiceAccount, "deployer")
    await toolkit.cluster.delete(Kustomization, "app")
    await toolkit.cluster.until_gone(Kustomization, "app")
    assert await toolkit.cluster.names(ConfigMap) == {"one", "two"}
    told = await toolkit.cluster.event("app", reason="ReconciliationSucceeded", says="unable to prune objects: ")
    assert told["type"] == "Warning"
    where = toolkit.cluster.namespace
    assert told["message"].splitlines()[1:3] == [f"ConfigMap/{where}/one", f"ConfigMap/{where}/two"]
    assert 'serviceaccounts "deployer" not found' in told["message"]
    assert told["metadata"]["annotations"][REVISION] == f"main@sha1:{commit}"
