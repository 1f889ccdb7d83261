"""What people are told of what fails: errors as warnings, what only comes later not at all."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source


async def test_a_path_that_is_not_there_is_an_error_until_a_commit_brings_it(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app", path="./absent"))
    said = "kustomization path not found: stat /absent: no such file or directory"
    failed = await cluster.until(Kustomization, "app", holds=lambda live: live.ready.message == said)
    assert failed.ready.reason == "ArtifactFailed"
    assert "lastAttemptedRevision" not in failed.status
    told = await cluster.event("app", reason="ArtifactFailed", says="kustomization path not found")
    assert told["type"] == "Warning"
    assert told["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/revision"] == f"main@sha1:{first}"
    second = repo.commit({"absent/app.yaml": files(config_map())})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=second)


async def test_of_a_source_that_comes_later_nobody_is_told(cluster: Cluster, repo: Repo) -> None:
    await cluster.have(kustomization("app"))
    waiting = await cluster.until(Kustomization, "app", ready=False, reason="ArtifactFailed")
    assert waiting.ready.message == 'gitrepositories.source.toolkit.fluxcd.io "app" not found'
    await cluster.have(source("app"))
    said = "Source artifact not found, retrying in "
    await cluster.until(Kustomization, "app", holds=lambda live: live.ready.message.startswith(said))
    repo.commit({"app.yaml": files(config_map())})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.event("app", reason="ReconciliationSucceeded")
    assert {event["reason"] for event in await cluster.events("app", "Kustomization")} == {"ReconciliationSucceeded"}


async def test_what_is_being_retried_is_told_also_where_a_variable_is_missing(cluster: Cluster, repo: Repo) -> None:
    wanted = {"substituteFrom": [{"kind": "ConfigMap", "name": "absent"}]}
    await cluster.have(kustomization("app", post_build=wanted, timeout="1m"))
    await cluster.until(Kustomization, "app", ready=False, reason="ArtifactFailed")
    commit = repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"))
    failed = await cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    assert failed.ready.message == "substitute from 'ConfigMap/absent' error: configmaps \"absent\" not found"
    retried = failed.condition("Reconciling")
    assert retried.reason == "ProgressingWithRetry"
    assert retried.message == f"Fetching manifests for revision main@sha1:{commit} with a timeout of 1m0s"


async def test_an_expression_that_cannot_be_read_is_told_before_anything_is_looked_for(cluster: Cluster) -> None:
    broken = [{"apiVersion": "v1", "kind": "ConfigMap", "current": "status."}]
    await cluster.have(kustomization("app", wait=True, health_check_exprs=broken))
    stalled = await cluster.until(Kustomization, "app", ready=False, reason="InvalidCELExpression")
    assert stalled.condition("Stalled").reason == "InvalidCELExpression"
    said = "Reconciliation failed terminally due to configuration error: "
    assert stalled.ready.message.startswith(said)
    assert (await cluster.event("app", reason="InvalidCELExpression", says=said))["type"] == "Warning"


async def test_a_dependency_is_judged_again_whenever_it_changes_where_an_expression_asks_for_it(
    cluster: Cluster, repo: Repo
) -> None:
    repo.commit({"app.yaml": files(config_map())})
    expression = "'stage' in dep.metadata.annotations && dep.metadata.annotations['stage'] == 'open'"
    await cluster.have(source("app"), kustomization("base", path="./absent"))
    await cluster.until(Kustomization, "base", ready=False)
    await cluster.have(kustomization("app", depends_on=[]))
    await cluster.edit(
        Kustomization, "app", {"spec": {"dependsOn": [{"name": "base", "readyExpr": expression}], "namePrefix": "x-"}}
    )
    waiting = await cluster.until(Kustomization, "app", ready=False, reason="DependencyNotReady")
    assert f"dependency '{cluster.namespace}/base'" in waiting.ready.message
    await cluster.edit(Kustomization, "base", {"metadata": {"annotations": {"stage": "closed"}}})
    said = f"dependency '{cluster.namespace}/base' is not ready according to readyExpr eval"
    await cluster.until(Kustomization, "app", holds=lambda live: live.ready.message == said)
    await cluster.edit(Kustomization, "base", {"metadata": {"annotations": {"stage": "open"}}})
    await cluster.until(Kustomization, "app", ready=True)
    assert "x-settings" in await cluster.names(ConfigMap)
