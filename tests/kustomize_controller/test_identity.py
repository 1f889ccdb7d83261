"""As whom the running controller acts where its flags say so."""

from __future__ import annotations

import pytest

from shared.api.kustomize import Kustomization
from tests.kit.objects import ConfigMap, account, binding, config_map, files, kustomization, role, secret, source
from tests.kit.toolkit import Toolkit


async def running(toolkit: Toolkit, **spec: object) -> None:
    """A Kustomization that names no ServiceAccount, where a default one is set."""
    toolkit.cluster.repo.commit({"app.yaml": files(config_map("settings"))})
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=["--default-service-account=tenant"])
    await toolkit.cluster.have(source("app"), kustomization("app", retry_interval="1s", **spec))


@pytest.mark.parametrize("remote", [False, True])
async def test_the_default_account_is_acted_as_here_and_on_other_clusters(toolkit: Toolkit, remote: bool) -> None:
    spec: dict[str, object] = {}
    if remote:
        await toolkit.cluster.have(secret("other", {"value": (toolkit.folder / "admin").read_bytes()}))
        spec["kube_config"] = {"secretRef": {"name": "other"}}
    await toolkit.cluster.have(account("tenant"))
    await running(toolkit, **spec)
    refused = await toolkit.cluster.until(Kustomization, "app", ready=False, reason="ReconciliationFailed")
    assert f'User "system:serviceaccount:{toolkit.cluster.namespace}:tenant"' in refused.ready.message
    where = toolkit.cluster.namespace
    await toolkit.cluster.have(role("tenant", "configmaps"), binding("tenant", "tenant", where))
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    assert await toolkit.cluster.names(ConfigMap) == {"settings"}


async def test_a_named_account_goes_before_the_default_one(toolkit: Toolkit) -> None:
    await toolkit.cluster.have(account("tenant"), account("deployer"))
    await toolkit.cluster.have(role("all", "configmaps"), binding("all", "deployer", toolkit.cluster.namespace))
    await running(toolkit, service_account_name="deployer")
    await toolkit.cluster.until(Kustomization, "app", ready=True)
