"""How the running controller waits for health, and what it tells of it."""

from __future__ import annotations

import pytest

from kustomize_controller import kustomization as story
from shared.api.kustomize import Kustomization
from tests.kit.objects import ConfigMap, Deployment, Job, config_map, deployment, files, job, kustomization, source
from tests.kit.toolkit import KUSTOMIZE, Toolkit


def expiring(name: str, **given: str) -> dict[str, object]:
    """A Job that is deleted as soon as it has finished."""
    made = job(name, **given)
    made["spec"]["ttlSecondsAfterFinished"] = 0
    return made


async def test_a_job_that_goes_when_it_has_finished_is_healthy_and_is_not_made_again(toolkit: Toolkit) -> None:
    toolkit.cluster.repo.commit({"app.yaml": files(expiring("once"), config_map())})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True, timeout="1m"))
    app = await toolkit.cluster.until(Kustomization, "app", ready=True)
    assert app.condition("Healthy").reason == "Succeeded"
    await toolkit.cluster.until_gone(Job, "once")
    await toolkit.quiet(KUSTOMIZE, 1.0)
    assert await toolkit.cluster.names(Job) == set()


@pytest.mark.parametrize("fail_fast", [True, False])
async def test_a_failure_ends_the_wait_at_once_unless_the_others_are_to_come_to_their_end(
    toolkit: Toolkit, fail_fast: bool
) -> None:
    toolkit.cluster.repo.commit({"app.yaml": files(job("bad", stay="fail"), deployment("web", stay="pending"))})
    await toolkit.start("source-controller")
    await toolkit.start(
        "kustomize-controller", flags=[f"--feature-gates=DisableFailFastBehavior={str(not fail_fast).lower()}"]
    )
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True, timeout="10m"))
    await toolkit.cluster.until(Job, "bad", holds=lambda live: "Failed" in str(live.status.get("conditions")))
    if not fail_fast:
        await toolkit.quiet(KUSTOMIZE, 1.0)
        assert (await toolkit.cluster.get(Kustomization, "app")).condition("Healthy").status == "Unknown"
        await toolkit.cluster.edit(Deployment, "web", {"spec": {"replicas": 0}})
    failed = await toolkit.cluster.until(Kustomization, "app", ready=False, reason="HealthCheckFailed")
    names = f"[Job/{toolkit.cluster.namespace}/bad status: 'Failed']"
    assert f"failed early due to stalled resources: {names}" in failed.ready.message


async def test_without_fail_fast_the_end_of_the_time_names_all_that_is_not_healthy(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "SHORTEST_TIMEOUT", 1.0)
    toolkit.cluster.repo.commit({"app.yaml": files(job("bad", stay="fail"), deployment("web", stay="pending"))})
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=["--feature-gates=DisableFailFastBehavior=true"])
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True, timeout="1s"))
    failed = await toolkit.cluster.until(Kustomization, "app", ready=False, reason="HealthCheckFailed")
    where = toolkit.cluster.namespace
    assert "timeout waiting for: [" in failed.ready.message
    assert f"Job/{where}/bad status: 'Failed'" in failed.ready.message
    assert f"Deployment/{where}/web status: 'InProgress'" in failed.ready.message


async def test_with_nothing_to_check_there_is_no_condition_of_health(toolkit: Toolkit) -> None:
    ignored = config_map("ours", annotations={"kustomize.toolkit.fluxcd.io/ssa": "Ignore"})
    first = toolkit.cluster.repo.commit({"app.yaml": files(config_map("one"))})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True))
    app = await toolkit.cluster.until(Kustomization, "app", ready=True, revision=first)
    assert app.condition("Healthy").status == "True"
    second = toolkit.cluster.repo.commit({"app.yaml": files(ignored)})
    await toolkit.cluster.follow()
    app = await toolkit.cluster.until(Kustomization, "app", ready=True, revision=second)
    assert app.condition("Healthy").reason == ""


async def test_health_is_of_the_spec_as_it_is_now_and_a_new_spec_counts_as_a_reconciliation(toolkit: Toolkit) -> None:
    toolkit.cluster.repo.commit({"app.yaml": files(config_map())})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True))
    first = await toolkit.cluster.until(Kustomization, "app", ready=True)
    await toolkit.cluster.edit(Kustomization, "app", {"spec": {"interval": "2h"}})
    second = await toolkit.cluster.until(
        Kustomization, "app", ready=True, holds=lambda live: live.status["observedGeneration"] == 2
    )
    assert (first.condition("Healthy").generation, second.condition("Healthy").generation) == (1, 2)
    assert first.condition("Healthy").message == second.condition("Healthy").message
    counts = [[entry["totalReconciliations"] for entry in app.status["history"]] for app in (first, second)]
    assert counts == [[1], [2]]


async def test_that_health_came_back_is_told(toolkit: Toolkit) -> None:
    broken = files(job("work", stay="fail"), config_map())
    toolkit.cluster.repo.commit({"app.yaml": broken})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True, timeout="10m", force=True))
    await toolkit.cluster.until(Kustomization, "app", ready=False, reason="HealthCheckFailed")
    second = toolkit.cluster.repo.commit({"app.yaml": files(config_map())})
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=second)
    told = await toolkit.cluster.event("app", reason="ReconciliationSucceeded", says="Health check passed in ")
    assert told["type"] == "Normal"
    changed = toolkit.cluster.repo.commit({"app.yaml": files(config_map("settings", {"colour": "red"}))})
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=changed)
    told = await toolkit.cluster.event(
        "app", reason="ReconciliationSucceeded", says="settings configured\nHealth check"
    )
    assert "Reconciliation finished in" in told["message"]


async def test_news_of_a_dependency_ends_no_wait_for_health(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    cluster.repo.commit({"app/a.yaml": files(deployment("web", stay="pending")), "infra/a.yaml": files(config_map())})
    await toolkit.start()
    dependent = kustomization("app", path="./app", wait=True, timeout="10m")
    dependent["spec"]["dependsOn"] = [{"name": "infra", "readyExpr": "true"}]
    await cluster.have(source("app"), kustomization("infra", path="./infra"), dependent)
    await cluster.until(Kustomization, "infra", ready=True)
    said = "Running health checks for revision "
    waiting = await cluster.until(
        Kustomization, "app", holds=lambda live: live.condition("Reconciling").message.startswith(said)
    )
    token = await cluster.request(Kustomization, "infra")
    await cluster.until(Kustomization, "infra", handled=token)
    await toolkit.quiet(KUSTOMIZE)
    assert (await cluster.get(Kustomization, "app")).status == waiting.status
    assert "HealthCheckCanceled" not in {event["reason"] for event in await cluster.events("app")}
    await cluster.edit(Deployment, "web", {"spec": {"replicas": 0}})
    await cluster.until(Kustomization, "app", ready=True)


async def test_who_ended_a_wait_for_health_is_told(toolkit: Toolkit) -> None:
    toolkit.cluster.repo.commit({"app.yaml": files(deployment("web", stay="pending"))})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app", wait=True, timeout="10m"))
    await toolkit.cluster.until(
        Kustomization, "app", holds=lambda live: live.condition("Healthy").status == "Unknown" and live.inventory
    )
    second = toolkit.cluster.repo.commit({"app.yaml": files(config_map("settings"))})
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=second)
    assert await toolkit.cluster.names(ConfigMap) == {"settings"}
    cause = f"GitRepository/{toolkit.cluster.namespace}/app"
    said = f"Health checks canceled due to new reconciliation triggered by {cause}"
    assert (await toolkit.cluster.event("app", reason="HealthCheckCanceled", says=said))["type"] == "Normal"
