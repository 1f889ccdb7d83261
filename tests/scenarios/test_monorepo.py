"""Many Kustomizations of one repository: a commit is work for those that it changes, and news for all."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster, Live
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, secret, source

APPS = ("red", "green", "blue")
BASE = {"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": files(config_map("settings"))}


def overlay(name: str, *more: str) -> str:
    return "\n".join(["resources: [../base]", f"namePrefix: {name}-", *more]) + "\n"


async def monorepo(cluster: Cluster, repo: Repo, **spec: object) -> str:
    """Three Kustomizations that share a base, and are Ready."""
    first = repo.commit({**BASE, **{f"{name}/kustomization.yaml": overlay(name) for name in APPS}})
    await cluster.have(source("app"), *(kustomization(name, path=f"./{name}", **spec) for name in APPS))
    for name in APPS:
        await cluster.until(Kustomization, name, revision=first, ready=True)
    return first


def applied(live: Live) -> list[tuple[str, str]]:
    """What was applied with which revision, the newest first."""
    return [(entry["digest"], entry["metadata"]["revision"]) for entry in live.status["history"]]


async def test_a_commit_to_one_directory_is_applied_there_and_reported_by_all(cluster: Cluster, repo: Repo) -> None:
    await monorepo(cluster, repo)
    before = {name: await cluster.get(ConfigMap, f"{name}-settings") for name in APPS}
    second = repo.commit({"red/kustomization.yaml": overlay("red", "commonLabels: {team: one}")})
    await cluster.follow()
    for name in APPS:
        live = await cluster.until(Kustomization, name, revision=second, ready=True)
        assert live.ready.message == f"Applied revision: main@sha1:{second}"
        assert live.status["lastAttemptedRevision"] == f"main@sha1:{second}"
        assert applied(live)[0][1] == f"main@sha1:{second}"
        assert len({digest for digest, _ in applied(live)}) == (2 if name == "red" else 1)
    after = {name: await cluster.get(ConfigMap, f"{name}-settings") for name in APPS}
    versions = {name: (before[name].manifest["metadata"], after[name].manifest["metadata"]) for name in APPS}
    assert {name for name, (old, new) in versions.items() if old["resourceVersion"] != new["resourceVersion"]} == {
        "red"
    }
    assert after["red"].manifest["metadata"]["labels"]["team"] == "one"


async def test_a_commit_to_a_shared_base_reaches_all_who_build_on_it(cluster: Cluster, repo: Repo) -> None:
    await monorepo(cluster, repo)
    second = repo.commit({"base/a.yaml": files(config_map("settings", {"colour": "white"}))})
    await cluster.follow()
    for name in APPS:
        await cluster.until(Kustomization, name, revision=second, ready=True)
        assert (await cluster.get(ConfigMap, f"{name}-settings")).manifest["data"] == {"colour": "white"}


async def test_a_file_that_leaves_the_repository_fails_only_those_who_need_it(cluster: Cluster, repo: Repo) -> None:
    await monorepo(cluster, repo)
    second = repo.commit({"green/kustomization.yaml": None, "green/a.yaml": files(config_map("green-settings"))})
    await cluster.follow()
    for name in APPS:
        await cluster.until(Kustomization, name, revision=second, ready=True)
    third = repo.commit({"base/a.yaml": None})
    await cluster.follow()
    await cluster.until(Kustomization, "green", revision=third, ready=True)
    for name in ("red", "blue"):
        failed = await cluster.until(Kustomization, name, ready=False, reason="BuildFailed")
        assert failed.status["lastAttemptedRevision"] == f"main@sha1:{third}"
        assert failed.status["lastAppliedRevision"] == f"main@sha1:{second}"
        assert "a.yaml" in failed.ready.message


async def test_variables_and_the_spec_count_as_before_at_a_revision_that_changed_nothing(
    cluster: Cluster, repo: Repo
) -> None:
    given = secret("variables", {"colour": "white"}, **{"reconcile.fluxcd.io/watch": "Enabled"})
    await cluster.have(given)
    repo.commit({"app/a.yaml": files(config_map("settings", {"colour": "${colour}"}))})
    wanted = {"substituteFrom": [{"kind": "Secret", "name": "variables"}]}
    await cluster.have(source("app"), kustomization("app", path="./app", post_build=wanted))
    await cluster.until(Kustomization, "app", ready=True)
    second = repo.commit({"README.md": "new"})
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    await cluster.have(secret("variables", {"colour": "black"}, **{"reconcile.fluxcd.io/watch": "Enabled"}))
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"colour": "black"})
    await cluster.edit(Kustomization, "app", {"spec": {"commonMetadata": {"labels": {"team": "two"}}}})
    labelled = await cluster.until(
        ConfigMap, "settings", holds=lambda live: live.manifest["metadata"]["labels"].get("team") == "two"
    )
    assert labelled.manifest["data"] == {"colour": "black"}
    await cluster.until(Kustomization, "app", revision=second, ready=True)
