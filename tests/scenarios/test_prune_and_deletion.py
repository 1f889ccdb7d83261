"""What leaves Git leaves the cluster, and a deleted Kustomization takes its objects along."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source


async def test_an_object_that_leaves_git_is_deleted(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"one.yaml": files(config_map("one")), "two.yaml": files(config_map("two"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    second = repo.commit({"two.yaml": None})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", revision=second, ready=True)
    await cluster.until_gone(ConfigMap, "two")
    assert await cluster.names(ConfigMap) == {"one"}
    assert app.inventory == {f"{cluster.namespace}_one__ConfigMap"}


async def test_without_prune_it_stays_and_is_no_longer_recorded(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"one.yaml": files(config_map("one")), "two.yaml": files(config_map("two"))})
    await cluster.have(source("app"), kustomization("app", prune=False))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    second = repo.commit({"two.yaml": None})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", revision=second, ready=True)
    assert await cluster.names(ConfigMap) == {"one", "two"}
    assert app.inventory == {f"{cluster.namespace}_one__ConfigMap"}


async def test_what_is_annotated_stays(cluster: Cluster, repo: Repo) -> None:
    keep = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}
    repo.commit({"kept.yaml": files(config_map("kept", annotations=keep)), "one.yaml": files(config_map("one"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(Kustomization, "app")
    await cluster.until_gone(ConfigMap, "one")
    assert await cluster.names(ConfigMap) == {"kept"}


async def test_a_deleted_kustomization_takes_its_objects_along(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("one"), config_map("two"))})
    await cluster.have(config_map("mine"), source("app"), kustomization("app"))
    app = await cluster.until(Kustomization, "app", ready=True)
    assert app.manifest["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(Kustomization, "app")
    await cluster.until_gone(ConfigMap, "one")
    await cluster.until_gone(ConfigMap, "two")
    assert await cluster.names(ConfigMap) == {"mine"}


async def test_an_object_held_by_a_finalizer_is_not_forgotten(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("held"))})
    await cluster.have(source("app"), kustomization("app", deletion_policy="WaitForTermination", timeout="1m"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "held", {"metadata": {"finalizers": ["example.org/hold"]}})
    await cluster.delete(Kustomization, "app")
    await cluster.until(ConfigMap, "held", holds=lambda live: "deletionTimestamp" in live.manifest["metadata"])
    assert await cluster.names(Kustomization) == {"app"}
    await cluster.edit(ConfigMap, "held", {"metadata": {"finalizers": None}})
    await cluster.until_gone(Kustomization, "app")
    assert await cluster.names(ConfigMap) == set()


async def test_a_deleted_source_stops_nothing_that_runs(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("one"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(GitRepository, "app")
    await cluster.until_gone(GitRepository, "app")
    await cluster.request(Kustomization, "app")
    app = await cluster.until(Kustomization, "app", reason="ArtifactFailed", ready=False)
    assert 'gitrepositories.source.toolkit.fluxcd.io "app" not found' in app.ready.message
    assert await cluster.names(ConfigMap) == {"one"}
    await cluster.delete(Kustomization, "app")
    await cluster.until_gone(ConfigMap, "one")
