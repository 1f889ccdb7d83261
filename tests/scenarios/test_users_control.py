"""What a user does with a Kustomization or a source: suspend, resume, ask for a reconciliation, edit."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source


async def test_a_suspended_kustomization_does_nothing_until_it_is_resumed(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings", {"colour": "blue"}))})
    await cluster.have(source("app"), kustomization("app"), kustomization("other", name_prefix="other-"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": True}})
    second = repo.commit({"a.yaml": files(config_map("settings", {"colour": "green"}))})
    await cluster.follow()
    await cluster.until(Kustomization, "other", revision=second, ready=True)
    await cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await cluster.edit(ConfigMap, "other-settings", {"data": {"colour": "red"}})
    await cluster.until(ConfigMap, "other-settings", holds=lambda live: live.manifest["data"] == {"colour": "green"})
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "red"}
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": False}})
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "green"}


async def test_a_request_of_a_suspended_kustomization_counts_as_handled_and_does_nothing(
    cluster: Cluster, repo: Repo
) -> None:
    repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app"))
    before = await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": True}})
    await cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    token = await cluster.request(Kustomization, "app")
    after = await cluster.until(Kustomization, "app", handled=token)
    left = {key: value for key, value in after.status.items() if key != "lastHandledReconcileAt"}
    assert left == before.status
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "red"}


async def test_a_suspended_source_keeps_its_artifact_and_looks_at_nothing(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"a.yaml": files(config_map("settings", {"colour": "blue"}))})
    await cluster.have(source("app"), source("other"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    await cluster.edit(GitRepository, "app", {"spec": {"suspend": True}})
    second = repo.commit({"a.yaml": files(config_map("settings", {"colour": "green"}))})
    await cluster.request(GitRepository, "app")
    await cluster.follow("other")
    stored = await cluster.get(GitRepository, "app")
    assert stored.status["artifact"]["revision"] == f"main@sha1:{first}"
    await cluster.edit(GitRepository, "app", {"spec": {"suspend": False}})
    await cluster.until(Kustomization, "app", revision=second, ready=True)


async def test_a_request_is_handled_and_recorded(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    second = repo.commit({"b.yaml": files(config_map("second"))})
    token = await cluster.request(GitRepository, "app")
    await cluster.until(GitRepository, "app", handled=token, revision=second)
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    token = await cluster.request(Kustomization, "app")
    await cluster.until(Kustomization, "app", handled=token, ready=True)


async def test_an_edit_of_the_spec_is_applied_at_once(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"one/a.yaml": files(config_map("one")), "two/a.yaml": files(config_map("two"))})
    await cluster.have(source("app"), kustomization("app", path="./one"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(Kustomization, "app", {"spec": {"path": "./two"}})
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.until_gone(ConfigMap, "one")
    assert await cluster.names(ConfigMap) == {"two"}
    await cluster.edit(Kustomization, "app", {"spec": {"namePrefix": "prod-"}})
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.until_gone(ConfigMap, "two")
    assert await cluster.names(ConfigMap) == {"prod-two"}


async def test_a_cluster_that_is_misnamed_is_refused_with_the_way_to_name_it(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map())})
    remote = {"configMapRef": {"name": "remote"}}
    await cluster.have(source("app"), config_map("remote", {"provider": "gcp", "cluster": "projects/p/locations/l"}))
    await cluster.have(kustomization("app", kube_config=remote))
    app = await cluster.until(Kustomization, "app", reason="ReconciliationFailed", ready=False)
    assert f"the kubeconfig ConfigMap '{cluster.namespace}/remote'" in app.ready.message
    assert "it must be projects/<project>/locations/<place>/clusters/<name>" in app.ready.message
    assert await cluster.names(ConfigMap) == {"remote"}
