"""What Git says and can't be had is named, with its place; what ran before keeps running."""

from __future__ import annotations

import pytest

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster, Live
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, Secret, Service, config_map, files, kustomization, service, source

GOOD = files(config_map("settings", {"colour": "blue"}))


async def applied(cluster: Cluster, repo: Repo) -> None:
    """The state that the tests begin with, and that nothing bad may end."""
    repo.commit({"app/good.yaml": GOOD})
    await cluster.have(source("app"), kustomization("app", path="./app"))
    await cluster.until(Kustomization, "app", ready=True)


async def refused(cluster: Cluster, repo: Repo, reason: str, files_: dict[str, str | bytes | None]) -> Live:
    """Commit these; the Kustomization, which isn't Ready for that reason, once what ran was seen to be as it was."""
    commit = repo.commit(files_)
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason=reason, ready=False)
    assert not app.status["lastAppliedRevision"].endswith(commit)
    assert app.inventory >= {f"{cluster.namespace}_settings__ConfigMap"}
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "blue"}
    told = await cluster.event("app", reason=reason)
    assert told["type"] == "Warning"
    return app


async def test_a_path_that_is_not_in_the_artifact(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    repo.commit({"elsewhere/good.yaml": GOOD, "app/good.yaml": None})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="ArtifactFailed", ready=False)
    assert app.ready.message == "kustomization path not found: stat /app: no such file or directory"
    assert await cluster.names(ConfigMap) == {"settings"}
    await cluster.edit(Kustomization, "app", {"spec": {"path": "./elsewhere"}})
    await cluster.until(Kustomization, "app", ready=True)


BROKEN = {
    "YAML that does not parse": ("kind: ConfigMap\nmetadata: {name: a\ndata:\n", ["bad.yaml", "3"]),
    "an object without a kind": ("apiVersion: v1\nmetadata: {name: a}\n", ["bad.yaml", "kind"]),
    "an object without a name": ("apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n", ["bad.yaml", "name"]),
    "an object that is there twice": (GOOD, ["settings", "ConfigMap"]),
    "a document that is no object": ("- a\n- b\n", ["bad.yaml"]),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_file_that_cannot_be_built_is_named(cluster: Cluster, repo: Repo, what: str) -> None:
    await applied(cluster, repo)
    text, words = BROKEN[what]
    app = await refused(cluster, repo, "BuildFailed", {"app/bad.yaml": text})
    for word in words:
        assert word in app.ready.message
    fixed = repo.commit({"app/bad.yaml": None})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=fixed)


async def test_a_patch_without_a_target_is_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    patch = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: absent}\ndata: {colour: green}\n"
    built = {
        "app/kustomization.yaml": "resources: [good.yaml]\npatches: [{path: patch.yaml}]\n",
        "app/patch.yaml": patch,
    }
    app = await refused(cluster, repo, "BuildFailed", dict(built))
    assert "absent" in app.ready.message
    assert "patch" in app.ready.message


PATCHES = "patches: [{path: one.yaml}, {path: two.yaml}]\n"


def green(name: str) -> str:
    """A patch of a ConfigMap."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{colour: green}}\n"


async def test_each_patch_that_fails_is_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    built = {"kustomization.yaml": f"resources: [good.yaml]\n{PATCHES}", "one.yaml": green("a"), "two.yaml": green("b")}
    app = await refused(cluster, repo, "BuildFailed", {f"app/{name}": text for name, text in built.items()})
    first, second = app.ready.message.splitlines()
    assert "app/one.yaml:1: no object ConfigMap a" in first
    assert "app/two.yaml:1: no object ConfigMap b" in second


async def test_all_files_that_are_missing_or_broken_are_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    lost = "resources: [good.yaml, lost.yaml]\nconfigMapGenerator: [{name: made, files: [absent.txt]}]\n"
    built = {"kustomization.yaml": lost + PATCHES, "one.yaml": "a: [\n", "two.yaml": green("b")}
    app = await refused(cluster, repo, "BuildFailed", {f"app/{name}": text for name, text in built.items()})
    first, second, third = app.ready.message.splitlines()
    assert "resources[1]: no such file or directory: app/lost.yaml" in first
    assert "configMapGenerator[0]: no such file or directory: app/absent.txt" in second
    assert "app/one.yaml:2: " in third


async def test_a_missing_file_of_a_kustomization_is_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    app = await refused(cluster, repo, "BuildFailed", {"app/kustomization.yaml": "resources: [good.yaml, gone.yaml]\n"})
    assert "gone.yaml" in app.ready.message


async def test_an_unknown_kind_is_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    unknown = {"apiVersion": "nowhere.example.org/v1", "kind": "Gizmo", "metadata": {"name": "g"}}
    app = await refused(cluster, repo, "ReconciliationFailed", {"app/unknown.yaml": files(unknown)})
    assert f"Gizmo/{cluster.namespace}/g" in app.ready.message
    assert "no matches for kind" in app.ready.message


async def test_every_rejected_object_is_named(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    one, two = service("one", 0), service("two", 123456)
    app = await refused(cluster, repo, "ReconciliationFailed", {"app/bad.yaml": files(one, two)})
    for name in ("one", "two"):
        assert f"Service/{cluster.namespace}/{name}" in app.ready.message
    assert "spec.ports[0].port" in app.ready.message
    first, second = app.ready.message.splitlines()
    assert first.endswith("(in app/bad.yaml:1)")
    assert second.endswith("(in app/bad.yaml:12)")
    assert await cluster.names(Service) == set()
    fixed = repo.commit({"app/bad.yaml": files(service("one", 80), service("two", 81))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=fixed)
    assert await cluster.names(Service) == {"one", "two"}


async def test_a_namespace_that_is_not_there_is_named(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"app/good.yaml": files(config_map("settings", {"colour": "blue"}, namespace=cluster.namespace))})
    await cluster.have(source("app"), kustomization("app", path="./app", target_namespace=None))
    await cluster.until(Kustomization, "app", ready=True)
    lost = config_map("lost", namespace=f"{cluster.namespace}-absent")
    app = await refused(cluster, repo, "ReconciliationFailed", {"app/lost.yaml": files(lost)})
    assert f"{cluster.namespace}-absent" in app.ready.message
    assert "not found" in app.ready.message


async def test_an_immutable_field_is_named_and_force_replaces_the_object(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    fixed = {**config_map("fixed", {"a": "1"}), "immutable": True}
    first = repo.commit({"app/fixed.yaml": files(fixed)})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=first)
    changed = {**config_map("fixed", {"a": "2"}), "immutable": True}
    app = await refused(cluster, repo, "ReconciliationFailed", {"app/fixed.yaml": files(changed)})
    assert f"ConfigMap/{cluster.namespace}/fixed" in app.ready.message
    assert "immutable" in app.ready.message
    assert (await cluster.get(ConfigMap, "fixed")).manifest["data"] == {"a": "1"}
    await cluster.edit(Kustomization, "app", {"spec": {"force": True}})
    await cluster.until(Kustomization, "app", ready=True)
    assert (await cluster.get(ConfigMap, "fixed")).manifest["data"] == {"a": "2"}


async def test_an_encrypted_secret_is_never_applied(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    encrypted = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "token"},
        "stringData": {"token": "ENC[AES256_GCM,data:aaaa,type:str]"},
        "sops": {"mac": "ENC[AES256_GCM,data:bbbb,type:str]", "version": "3.9.0"},
    }
    app = await refused(cluster, repo, "ReconciliationFailed", {"app/token.yaml": files(encrypted)})
    assert f"Secret/{cluster.namespace}/token is SOPS encrypted" in app.ready.message
    assert [each["lastReconciledStatus"] for each in app.status["history"]] == [
        "ReconciliationFailed",
        "ReconciliationSucceeded",
    ]
    assert await cluster.names(Secret) == set()
