"""Whoever changes by hand what Git says finds it changed back at once, without an interval having passed."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import (
    ConfigMap,
    Deployment,
    Service,
    config_map,
    deployment,
    files,
    kustomization,
    service,
    source,
)


async def test_an_edit_by_hand_is_undone(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}), deployment())})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"colour": "blue"})
    await cluster.edit(Deployment, "web", {"spec": {"replicas": 3}})
    await cluster.until(Deployment, "web", holds=lambda live: live.manifest["spec"]["replicas"] == 1)


async def test_a_deleted_object_comes_back(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    before = (await cluster.get(ConfigMap, "settings")).manifest["metadata"]["uid"]
    await cluster.delete(ConfigMap, "settings")
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["metadata"]["uid"] != before)


async def test_an_edit_of_a_key_of_a_list_is_undone(cluster: Cluster, repo: Repo) -> None:
    """A port's number is what tells the ports of a Service apart, so this is more than a changed value."""
    repo.commit({"app.yaml": files(service("web", 80))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    edit = [{"op": "replace", "path": "/spec/ports/0/port", "value": 81}]
    await cluster.client.patch("v1", "Service", "web", cluster.namespace, edit, type="json")
    await cluster.until(
        Service, "web", holds=lambda live: [one["port"] for one in live.manifest["spec"]["ports"]] == [80]
    )


async def test_what_others_add_stays(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "settings", {"data": {"theirs": "too"}, "metadata": {"labels": {"team": "web"}}})
    token = await cluster.request(Kustomization, "app")
    await cluster.until(Kustomization, "app", handled=token, ready=True)
    live = await cluster.get(ConfigMap, "settings")
    assert live.manifest["data"] == {"colour": "blue", "theirs": "too"}
    assert live.manifest["metadata"]["labels"]["team"] == "web"


async def test_what_is_annotated_is_left_alone(cluster: Cluster, repo: Repo) -> None:
    alone = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
    repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}), config_map("other"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "settings", {"metadata": {"annotations": alone}})
    await cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await cluster.edit(ConfigMap, "other", {"data": {"colour": "red"}})
    await cluster.until(ConfigMap, "other", holds=lambda live: live.manifest["data"] == {"colour": "blue"})
    token = await cluster.request(Kustomization, "app")
    await cluster.until(Kustomization, "app", handled=token, ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "red"}
