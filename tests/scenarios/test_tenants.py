"""A tenant's Kustomization does what its ServiceAccount may, and says what it may not."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import (
    ConfigMap,
    Service,
    account,
    binding,
    config_map,
    files,
    kustomization,
    role,
    service,
    source,
)


async def test_a_tenant_may_do_what_its_account_may(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(
        account("tenant"),
        role("tenant", "configmaps"),
        binding("tenant", "tenant", cluster.namespace),
        source("app"),
        kustomization("app", service_account_name="tenant"),
    )
    await cluster.until(Kustomization, "app", ready=True)
    assert await cluster.names(ConfigMap) == {"settings"}


async def test_what_a_tenant_may_not_is_refused_and_all_of_it_named(cluster: Cluster, repo: Repo) -> None:
    await cluster.have(account("tenant"), role("tenant", "configmaps"), binding("tenant", "tenant", cluster.namespace))
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("app", service_account_name="tenant", retry_interval="1s"))
    await cluster.until(Kustomization, "app", ready=True)
    repo.commit({"b.yaml": files(service("one"), service("two"))})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert "forbidden" in app.ready.message
    assert f"Service/{cluster.namespace}/one" in app.ready.message
    assert f"Service/{cluster.namespace}/two" in app.ready.message
    assert await cluster.names(ConfigMap) == {"settings"}
    assert await cluster.names(Service) == set()
    await cluster.have(role("tenant", "configmaps", "services"))
    await cluster.until(Kustomization, "app", ready=True)
    assert await cluster.names(Service) == {"one", "two"}


async def test_a_tenant_reaches_no_other_namespace(cluster: Cluster, repo: Repo) -> None:
    other = await cluster.another_namespace()
    inside, outside = config_map("inside", namespace=cluster.namespace), config_map("outside", namespace=other)
    repo.commit({"a.yaml": files(inside, outside)})
    await cluster.have(account("tenant"), role("tenant", "configmaps"), binding("tenant", "tenant", cluster.namespace))
    await cluster.have(
        source("app"), kustomization("app", service_account_name="tenant", target_namespace=None, retry_interval="1h")
    )
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"ConfigMap/{other}/outside" in app.ready.message
    assert await cluster.names(ConfigMap, namespace=other) == set()


async def test_a_tenant_without_its_account_is_told_so(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("app", service_account_name="nobody"))
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert "nobody" in app.ready.message
    assert await cluster.names(ConfigMap) == set()
