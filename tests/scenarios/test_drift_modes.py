"""Drift is corrected, reported or not looked for, as the Kustomization or the object says."""

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

MODE = "kustomize.toolkit.fluxcd.io/driftDetection"
RED = {"data": {"colour": "red"}}


async def test_with_warn_drift_is_told_and_left_until_the_source_changes(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map(), service())})
    await cluster.have(source("app"), kustomization("app", drift_detection={"mode": "warn"}))
    app = await cluster.until(Kustomization, "app", ready=True)
    assert app.condition("Drifted").reason == "NoDriftDetected"
    await cluster.edit(ConfigMap, "settings", RED)
    app = await cluster.until(
        Kustomization, "app", ready=True, holds=lambda live: live.condition("Drifted").status == "True"
    )
    assert app.condition("Drifted").reason == "DriftDetected"
    assert '.data.colour: "red" in place of "blue"' in app.condition("Drifted").message
    [drifted] = app.status["drift"]
    [field] = drifted["fields"]
    assert (drifted["id"], drifted["change"]) == (f"{cluster.namespace}_settings__ConfigMap", "changed")
    views = {key: field[key] for key in ("path", "desired", "lastApplied", "live", "operation")}
    assert views == {
        "path": ".data.colour",
        "desired": '"blue"',
        "lastApplied": '"blue"',
        "live": '"red"',
        "operation": "Update",
    }
    event = await cluster.event("app", reason="DriftDetected")
    assert event["type"] == "Warning"
    token = await cluster.request(Kustomization, "app")
    await cluster.until(Kustomization, "app", handled=token, ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "red"}
    commit = repo.commit({"a.yaml": files(config_map(data={"colour": "green"}), service())})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert app.condition("Drifted").status == "False"
    assert "drift" not in app.status
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "green"}


async def test_with_warn_a_deleted_object_is_told_and_not_made_again(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map(), service())})
    await cluster.have(source("app"), kustomization("app", drift_detection={"mode": "warn"}))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.delete(Service, "web")
    app = await cluster.until(
        Kustomization, "app", holds=lambda live: "was deleted" in live.condition("Drifted").message
    )
    assert f"{cluster.namespace}_web__Service" in app.inventory
    assert await cluster.names(Service) == set()
    await cluster.edit(Kustomization, "app", {"spec": {"driftDetection": {"mode": "enabled"}}})
    app = await cluster.until(
        Kustomization, "app", ready=True, holds=lambda live: live.condition("Drifted").status == "Unknown"
    )
    assert await cluster.names(Service) == {"web"}


async def test_with_disabled_nobody_looks_and_the_source_still_counts(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("one"), config_map("two"))})
    await cluster.have(source("app"), kustomization("app", drift_detection={"mode": "disabled"}))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "one", RED)
    token = await cluster.request(Kustomization, "app")
    app = await cluster.until(Kustomization, "app", handled=token, ready=True)
    assert app.condition("Drifted").status == "Unknown"
    commit = repo.commit({"a.yaml": files(config_map("one"), config_map("two", {"colour": "green"}))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=commit)
    found = {live.name: live.manifest["data"]["colour"] for live in await cluster.list(ConfigMap)}
    assert found == {"one": "red", "two": "green"}


async def test_an_object_may_be_taken_out_of_correction_for_a_while(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("mine"), config_map("theirs"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "mine", {"metadata": {"annotations": {MODE: "disabled"}}})
    await cluster.edit(ConfigMap, "mine", RED)
    await cluster.edit(ConfigMap, "theirs", RED)
    await cluster.until(ConfigMap, "theirs", holds=lambda live: live.manifest["data"] == {"colour": "blue"})
    assert (await cluster.get(ConfigMap, "mine")).manifest["data"] == {"colour": "red"}
    await cluster.edit(ConfigMap, "mine", {"metadata": {"annotations": {MODE: None}}})
    await cluster.until(ConfigMap, "mine", holds=lambda live: live.manifest["data"] == {"colour": "blue"})


async def test_replicas_can_be_left_to_an_autoscaler(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(deployment("web"), config_map())})
    rule = {"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}
    await cluster.have(source("app"), kustomization("app", ignore=[rule]))
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(Deployment, "web", {"spec": {"replicas": 3}})
    commit = repo.commit({"a.yaml": files(deployment("web", "example.org/web:2"), config_map())})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=commit)
    spec = (await cluster.get(Deployment, "web")).manifest["spec"]
    assert (spec["replicas"], spec["template"]["spec"]["containers"][0]["image"]) == (3, "example.org/web:2")
    await cluster.edit(Kustomization, "app", {"spec": {"ignore": None}})
    await cluster.until(Deployment, "web", holds=lambda live: live.manifest["spec"]["replicas"] == 1)


async def test_an_ignore_rule_that_cannot_be_used_is_told(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app", ignore=[{"paths": ["data/colour"]}]))
    app = await cluster.until(Kustomization, "app", ready=False, reason="ReconciliationFailed")
    assert "'data/colour'" in app.ready.message
    assert await cluster.names(ConfigMap) == set()
