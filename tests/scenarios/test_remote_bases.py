"""A kustomization builds on another repository: what is published there arrives at the next interval."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import GitServer, Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source

BASE = {"base/kustomization.yaml": "resources: [map.yaml]\n"}


async def test_a_base_elsewhere_is_fetched_and_followed(cluster: Cluster, repo: Repo, git: GitServer) -> None:
    platform = git.create(f"{cluster.namespace}-platform")
    platform.commit({**BASE, "base/map.yaml": files(config_map("base", {"release": "one"}))})
    first = repo.commit({"kustomization.yaml": f"namePrefix: our-\nresources: ['{platform.url}//base?ref=main']\n"})
    await cluster.have(source("app"), kustomization("app", interval="2s"))
    await cluster.until(Kustomization, "app", ready=True, revision=first)
    await cluster.until(ConfigMap, "our-base", holds=lambda live: live.manifest["data"] == {"release": "one"})
    platform.commit({"base/map.yaml": files(config_map("base", {"release": "two"}))})
    await cluster.until(ConfigMap, "our-base", holds=lambda live: live.manifest["data"] == {"release": "two"})


async def test_a_base_that_cannot_be_fetched_is_named(cluster: Cluster, repo: Repo, git: GitServer) -> None:
    repo.commit({"kustomization.yaml": f"resources: ['{git.url}/nowhere//base', 'file:///etc//base']\n"})
    await cluster.have(source("app"), kustomization("app"))
    app = await cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    assert "resources[0]" in app.ready.message
    assert "nowhere" in app.ready.message
    assert "resources[1]" in app.ready.message
    assert not await cluster.names(ConfigMap)
