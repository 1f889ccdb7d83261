"""Large deletions, and those that an empty build would make, wait until somebody confirms them."""

from __future__ import annotations

import re

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster, Live
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source

CONFIRM = "kustomize.toolkit.fluxcd.io/confirmPrune"


def some(count: int) -> str:
    return files(*(config_map(f"cm-{number}") for number in range(count)))


def token(app: Live) -> str:
    found = re.search(rf"{CONFIRM}=(\S+)", app.ready.message)
    assert found, app.ready.message
    return found[1]


async def test_more_deletions_than_allowed_are_held_until_they_are_confirmed(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": some(6)})
    await cluster.have(source("app"), kustomization("app", prune_policy={"maxDelete": 2}))
    await cluster.until(Kustomization, "app", ready=True)
    commit = repo.commit({"a.yaml": some(2)})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False, reason="PruneHeld")
    assert app.condition("PruneHeld").status == "True"
    assert "4 of 6 objects" in app.ready.message
    assert f"ConfigMap/{cluster.namespace}/cm-5" in app.ready.message
    assert app.inventory == {f"{cluster.namespace}_cm-{number}__ConfigMap" for number in range(6)}
    wrong = token(app).replace("main", "other")
    await cluster.edit(Kustomization, "app", {"metadata": {"annotations": {CONFIRM: wrong}}})
    await cluster.edit(ConfigMap, "cm-0", {"data": {"colour": "red"}})
    await cluster.until(ConfigMap, "cm-0", holds=lambda live: live.manifest["data"] == {"colour": "blue"})
    assert len(await cluster.names(ConfigMap)) == 6
    await cluster.edit(Kustomization, "app", {"metadata": {"annotations": {CONFIRM: token(app)}}})
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert app.condition("PruneHeld").status == "Unknown"
    assert await cluster.names(ConfigMap) == {"cm-0", "cm-1"}


async def test_a_confirmation_is_for_one_revision(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": some(9)})
    await cluster.have(source("app"), kustomization("app", prune_policy={"maxDelete": "20%"}))
    await cluster.until(Kustomization, "app", ready=True)
    repo.commit({"a.yaml": some(6)})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False, reason="PruneHeld")
    await cluster.edit(Kustomization, "app", {"metadata": {"annotations": {CONFIRM: token(app)}}})
    await cluster.until(Kustomization, "app", ready=True)
    repo.commit({"a.yaml": some(1)})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False, reason="PruneHeld")
    assert "5 of 6 objects" in app.ready.message
    assert len(await cluster.names(ConfigMap)) == 6
    # What comes back needs no confirmation.
    commit = repo.commit({"a.yaml": some(6)})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=commit)


async def test_deletions_within_the_budget_are_made(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": some(8)})
    await cluster.have(source("app"), kustomization("app", prune_policy={"maxDelete": "25%"}))
    await cluster.until(Kustomization, "app", ready=True)
    commit = repo.commit({"a.yaml": some(6)})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert len(await cluster.names(ConfigMap)) == 6


async def test_an_empty_build_deletes_nothing_until_it_is_confirmed(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": some(2), "kustomization.yaml": "resources: [a.yaml]\n"})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    commit = repo.commit({"kustomization.yaml": "resources: []\n"})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False, reason="PruneHeld")
    assert "the build is empty" in app.ready.message
    assert await cluster.names(ConfigMap) == {"cm-0", "cm-1"}
    await cluster.edit(Kustomization, "app", {"metadata": {"annotations": {CONFIRM: token(app)}}})
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert app.inventory == set()
    assert await cluster.names(ConfigMap) == set()


async def test_a_failed_build_deletes_nothing(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": some(2)})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    repo.commit({"a.yaml": "apiVersion: v1\nkind: [\n"})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    assert len(app.inventory) == 2
    assert await cluster.names(ConfigMap) == {"cm-0", "cm-1"}
