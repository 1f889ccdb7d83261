"""Nobody has to sit out a wait for health: an edit, a suspension or a deletion ends it at once."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, Deployment, config_map, deployment, files, kustomization, source


async def waiting(cluster: Cluster, repo: Repo) -> None:
    """A Kustomization that waits, for ten minutes, for what never becomes healthy."""
    repo.commit({"app/a.yaml": files(deployment("web", stay="pending")), "other/a.yaml": files(config_map("other"))})
    await cluster.have(source("app"), kustomization("app", path="./app", wait=True, timeout="10m"))
    await cluster.until(
        Kustomization, "app", holds=lambda live: live.condition("Healthy").status == "Unknown" and live.inventory
    )
    await cluster.until(Deployment, "web", holds=lambda live: live.status.get("unavailableReplicas"))


async def test_a_deletion_ends_it(cluster: Cluster, repo: Repo) -> None:
    await waiting(cluster, repo)
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(Kustomization, "app")
    await cluster.until_gone(Deployment, "web")


async def test_a_suspension_ends_it(cluster: Cluster, repo: Repo) -> None:
    await waiting(cluster, repo)
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": True}})
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(Kustomization, "app")
    assert await cluster.names(Deployment) == {"web"}


async def test_an_edit_ends_it(cluster: Cluster, repo: Repo) -> None:
    await waiting(cluster, repo)
    await cluster.edit(Kustomization, "app", {"spec": {"path": "./other"}})
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.until_gone(Deployment, "web")
    assert await cluster.names(ConfigMap) == {"other"}


async def test_a_request_ends_it(cluster: Cluster, repo: Repo) -> None:
    await waiting(cluster, repo)
    await cluster.edit(Kustomization, "app", {"spec": {"wait": False}})
    token = await cluster.request(Kustomization, "app")
    app = await cluster.until(Kustomization, "app", ready=True, handled=token)
    assert app.condition("Healthy").status == "Unknown"
    assert app.condition("Healthy").reason == ""


async def test_what_is_deleted_during_it_comes_back(cluster: Cluster, repo: Repo) -> None:
    await waiting(cluster, repo)
    before = (await cluster.get(Deployment, "web")).manifest["metadata"]["uid"]
    await cluster.delete(Deployment, "web")
    await cluster.until(Deployment, "web", holds=lambda live: live.manifest["metadata"]["uid"] != before)
