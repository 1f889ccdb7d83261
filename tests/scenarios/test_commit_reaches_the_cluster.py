"""What is committed to Git runs in the cluster, and the next commit replaces it."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
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


async def test_a_commit_becomes_objects_and_the_next_one_changes_them(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}), deployment(), service())})
    await cluster.have(source("app"), kustomization("app", wait=True))
    app = await cluster.until(Kustomization, "app", revision=first, ready=True)
    assert app.ready.reason == "ReconciliationSucceeded"
    assert app.ready.message == f"Applied revision: main@sha1:{first}"
    assert app.inventory == {
        f"{cluster.namespace}_settings__ConfigMap",
        f"{cluster.namespace}_web__Service",
        f"{cluster.namespace}_web_apps_Deployment",
    }
    web = await cluster.get(Deployment, "web")
    assert web.status["readyReplicas"] == 1

    second = repo.commit(
        {"app.yaml": files(config_map("settings", {"colour": "green"}), deployment(), service(port=81))}
    )
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "green"}
    assert (await cluster.get(Service, "web")).manifest["spec"]["ports"][0]["port"] == 81


async def test_a_revision_is_told_once_in_an_event(cluster: Cluster, repo: Repo) -> None:
    commit = repo.commit({"app.yaml": files(config_map())}, message="Paint it blue")
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=commit, ready=True)
    told = await cluster.event("app", reason="NewArtifact", says="Paint it blue")
    assert told["type"] == "Normal"
    told = await cluster.event("app", reason="ReconciliationSucceeded")
    assert told["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/revision"] == f"main@sha1:{commit}"
    before = await cluster.events("app", "Kustomization")
    token = await cluster.request(Kustomization, "app")
    await cluster.until(Kustomization, "app", handled=token)
    assert await cluster.events("app", "Kustomization") == before


async def test_an_overlay_is_built_with_its_base(cluster: Cluster, repo: Repo) -> None:
    patch = "- op: replace\n  path: /data/colour\n  value: red\n"
    commit = repo.commit(
        {
            "base/settings.yaml": files(config_map("settings")),
            "base/kustomization.yaml": "resources: [settings.yaml]\n",
            "production/kustomization.yaml": (
                "resources: [../base]\nnamePrefix: prod-\npatches:\n- path: red.yaml\n  target: {kind: ConfigMap}\n"
            ),
            "production/red.yaml": patch,
        }
    )
    await cluster.have(source("app"), kustomization("app", path="./production"))
    await cluster.until(Kustomization, "app", revision=commit, ready=True)
    assert await cluster.names(ConfigMap) == {"prod-settings"}
    assert (await cluster.get(ConfigMap, "prod-settings")).manifest["data"] == {"colour": "red"}


async def test_a_force_push_is_followed(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}))})
    second = repo.commit({"app.yaml": files(config_map("settings", {"colour": "green"}))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    repo.git("reset", "-q", "--hard", "HEAD~1")
    third = repo.commit({"app.yaml": files(config_map("settings", {"colour": "red"}))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=third, ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "red"}
    stored = await cluster.get(GitRepository, "app")
    assert stored.status["artifact"]["revision"] == f"main@sha1:{third}"
