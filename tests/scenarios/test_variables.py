"""Variables are filled in from the spec, ConfigMaps and Secrets; one that nobody defines is refused by name."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, secret, source

WATCHED = {"reconcile.fluxcd.io/watch": "Enabled"}


async def test_values_come_from_the_spec_and_from_objects(cluster: Cluster, repo: Repo) -> None:
    text = {"a": "${region}", "b": "${size}", "c": "${password}", "d": "${other:=fallback}", "e": "$${region}"}
    repo.commit({"a.yaml": files(config_map("settings", text))})
    build = {
        "substitute": {"region": "eu"},
        "substituteFrom": [{"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "secret-vars"}],
    }
    await cluster.have(
        config_map("vars", {"size": "large", "region": "overridden"}),
        secret("secret-vars", {"password": "hunter22"}),
        source("app"),
        kustomization("app", post_build=build),
    )
    await cluster.until(Kustomization, "app", ready=True)
    held = (await cluster.get(ConfigMap, "settings")).manifest["data"]
    assert held == {"a": "eu", "b": "large", "c": "hunter22", "d": "fallback", "e": "${region}"}


async def test_a_change_of_a_watched_object_is_applied_at_once(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings", {"size": "${size}"}))})
    build = {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}
    await cluster.have(
        config_map("vars", {"size": "small"}, labels=WATCHED), source("app"), kustomization("app", post_build=build)
    )
    await cluster.until(Kustomization, "app", ready=True)
    await cluster.edit(ConfigMap, "vars", {"data": {"size": "large"}})
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"size": "large"})


async def test_an_undefined_variable_is_named_and_nothing_is_touched(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings", {"region": "${region}"}))})
    build = {"substitute": {"region": "eu"}}
    await cluster.have(source("app"), kustomization("app", post_build=build))
    await cluster.until(Kustomization, "app", ready=True)
    repo.commit({"a.yaml": files(config_map("settings", {"region": "${region}", "zone": "${availability_zone}"}))})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)
    assert "availability_zone" in app.ready.message
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"region": "eu"}


async def test_a_missing_object_of_variables_is_named(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(config_map("settings", {"size": "${size}"}))})
    build = {"substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}
    await cluster.have(source("app"), kustomization("app", post_build=build, retry_interval="1s"))
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)
    assert "vars" in app.ready.message
    await cluster.have(config_map("vars", {"size": "large"}))
    await cluster.until(Kustomization, "app", ready=True)
