"""A Kustomization applies to the cluster that its kubeConfig names, as whom it names there. Here it is the same one."""

from __future__ import annotations

import base64
from typing import Any

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.text import yaml
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.installation import Installation
from tests.kit.objects import (
    ConfigMap,
    Service,
    ServiceAccount,
    account,
    binding,
    config_map,
    files,
    kustomization,
    role,
    service,
    source,
)

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
"""Whom tokens must be meant for that the API servers of these tests take."""


def way(installation: Installation, **data: str) -> Manifest:
    """The ConfigMap `other`: the way to the tests' own cluster, without a secret."""
    [entry] = yaml.load(installation.kubeconfig.read_text())["clusters"]
    cluster = entry["cluster"]
    if "certificate-authority" in cluster:
        authority = (installation.kubeconfig.parent / cluster["certificate-authority"]).read_text()
    else:
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    told = {"provider": "generic", "address": cluster["server"], "ca.crt": authority}
    return config_map("other", told | {"audiences": AUDIENCE} | data, labels={"reconcile.fluxcd.io/watch": "Enabled"})


def there(name: str = "app", **spec: Any) -> Manifest:
    return kustomization(name, kube_config={"configMapRef": {"name": "other"}}, **spec)


async def test_an_account_logs_in_to_another_cluster_without_a_secret(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    first = repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(
        account("robot"), role("robot", "configmaps"), binding("robot", "robot", cluster.namespace), source("app")
    )
    await cluster.have(way(installation, serviceAccountName="robot"), there())
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    assert "settings" in await cluster.names(ConfigMap)
    # It is that account, and no other: what it may not is refused.
    repo.commit({"b.yaml": files(service("web"))})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"system:serviceaccount:{cluster.namespace}:robot" in app.ready.message
    assert await cluster.names(Service) == set()


async def test_what_is_there_goes_with_the_kustomization(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(
        account("robot"), role("robot", "configmaps"), binding("robot", "robot", cluster.namespace), source("app")
    )
    await cluster.have(way(installation, serviceAccountName="robot"), there())
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(ConfigMap, "settings")
    await cluster.until_gone(Kustomization, "app")


async def test_a_login_that_is_wrong_says_so_and_a_corrected_one_is_taken_at_once(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(
        account("robot"), role("robot", "configmaps"), binding("robot", "robot", cluster.namespace), source("app")
    )
    await cluster.have(way(installation, serviceAccountName="nobody"), there(retry_interval="1h"))
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"ConfigMap '{cluster.namespace}/other'" in app.ready.message
    assert "nobody" in app.ready.message
    await cluster.edit(ConfigMap, "other", {"data": {"serviceAccountName": "robot"}})
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "other", {"data": {"ca.crt": "no certificate"}})
    app = await cluster.until(Kustomization, "app", ready=False)
    assert "certificate authority is not PEM" in app.ready.message
    await cluster.edit(ConfigMap, "other", {"data": {"ca.crt": None, "address": "http://plain.example"}})
    app = await cluster.until(Kustomization, "app", holds=lambda live: "must use https" in live.ready.message)


async def test_objects_stay_when_nobody_is_left_who_could_delete_them(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(
        account("robot"), role("robot", "configmaps"), binding("robot", "robot", cluster.namespace), source("app")
    )
    await cluster.have(way(installation, serviceAccountName="robot"), there())
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(ServiceAccount, "robot")
    await cluster.delete(ConfigMap, "other")
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(Kustomization, "app")
    assert "settings" in await cluster.names(ConfigMap)


async def test_a_token_of_the_controller_itself_is_sent_nowhere_else(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), way(installation, address="https://thief.example"), there())
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert "set serviceAccountName" in app.ready.message
