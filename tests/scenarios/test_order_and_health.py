"""What comes first comes first: dependencies, definitions before their objects, and health before Ready."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import (
    Builtin,
    ConfigMap,
    Definition,
    Deployment,
    Job,
    config_map,
    definition,
    deployment,
    files,
    job,
    kustomization,
    source,
)


async def test_a_kustomization_waits_for_what_it_depends_on(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"infra/a.yaml": files(config_map("infra")), "app/a.yaml": files(config_map("app"))})
    await cluster.have(source("app"), kustomization("app", path="./app", depends_on=["infra"]))
    app = await cluster.until(Kustomization, "app", reason="DependencyNotReady", ready=False)
    assert f"{cluster.namespace}/infra" in app.ready.message
    assert await cluster.names(ConfigMap) == set()
    await cluster.have(kustomization("infra", path="./infra"))
    await cluster.until(Kustomization, "app", ready=True)
    assert await cluster.names(ConfigMap) == {"infra", "app"}


async def test_a_circle_of_dependencies_is_named(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map())})
    await cluster.have(
        source("app"), kustomization("one", depends_on=["two"]), kustomization("two", depends_on=["one"])
    )
    one = await cluster.until(
        Kustomization, "one", reason="DependencyNotReady", holds=lambda live: "circle" in live.ready.message
    )
    assert f"{cluster.namespace}/one → {cluster.namespace}/two → {cluster.namespace}/one" in one.ready.message


async def test_ready_means_healthy(cluster: Cluster, repo: Repo) -> None:
    commit = repo.commit({"a.yaml": files(deployment("web"), job("once"))})
    await cluster.have(source("app"), kustomization("app", wait=True, timeout="1m"))
    app = await cluster.until(Kustomization, "app", revision=commit, ready=True)
    assert app.condition("Healthy").status == "True"
    assert (await cluster.get(Deployment, "web")).condition("Available").status == "True"
    assert (await cluster.get(Job, "once")).condition("Complete").status == "True"


async def test_a_failed_job_is_named_at_once(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(job("migrate", stay="fail"), config_map())})
    await cluster.have(source("app"), kustomization("app", wait=True, timeout="10m"))
    app = await cluster.until(Kustomization, "app", reason="HealthCheckFailed", ready=False)
    headline, line = app.ready.message.splitlines()
    migrate = f"Job/{cluster.namespace}/migrate"
    assert headline.endswith(f"failed early due to stalled resources: [{migrate} status: 'Failed']")
    assert line.startswith(f"{migrate}: Job Failed")
    assert "(pod migrate-" in line
    assert line.endswith("(in a.yaml:1)")
    assert app.condition("Healthy").status == "False"
    assert await cluster.names(ConfigMap) == {"settings"}


async def test_a_deployment_that_finds_no_node_says_so(cluster: Cluster, repo: Repo) -> None:
    lost = deployment("web")
    lost["spec"] |= {"progressDeadlineSeconds": 1}
    lost["spec"]["template"]["spec"]["nodeSelector"] = {"nowhere": "none"}
    repo.commit({"apps/web.yaml": files(config_map(), lost)})
    await cluster.have(source("app"), kustomization("app", wait=True, timeout="10m"))
    app = await cluster.until(Kustomization, "app", reason="HealthCheckFailed", ready=False)
    line = app.ready.message.splitlines()[1]
    assert line.startswith(f"Deployment/{cluster.namespace}/web: Progress deadline exceeded")
    assert ": Unschedulable: 0/" in line
    assert line.endswith("(in apps/web.yaml:8)")


async def test_a_job_that_goes_when_it_has_finished_is_waited_for(cluster: Cluster, repo: Repo) -> None:
    once = job("once")
    once["spec"]["ttlSecondsAfterFinished"] = 0
    commit = repo.commit({"a.yaml": files(once, config_map("settings"))})
    await cluster.have(source("app"), kustomization("app", wait=True))
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert app.condition("Healthy").reason == "Succeeded"
    await cluster.until_gone(Job, "once")
    assert f"{cluster.namespace}_once_batch_Job" in app.inventory


async def test_a_new_commit_ends_the_wait_for_health(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(deployment("web", stay="pending"))})
    await cluster.have(source("app"), kustomization("app", wait=True, timeout="10m"))
    await cluster.until(
        Kustomization, "app", holds=lambda live: live.condition("Healthy").status == "Unknown" and live.inventory
    )
    await cluster.until(Deployment, "web", holds=lambda live: live.status.get("unavailableReplicas"))
    fixed = repo.commit({"a.yaml": files(deployment("web"))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=fixed, ready=True)


async def test_definitions_come_before_their_objects(cluster: Cluster, repo: Repo) -> None:
    group = f"{cluster.namespace}.example.org"
    gizmo = {"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"size": 3}}
    cluster.afterwards(lambda: cluster.client.delete(*Definition, f"gizmos.{group}"))
    commit = repo.commit({"a-gizmo.yaml": files(gizmo), "b-definition.yaml": files(definition(group))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=commit, ready=True)
    assert (await cluster.get(Builtin(f"{group}/v1", "Gizmo"), "g")).manifest["spec"] == {"size": 3}
