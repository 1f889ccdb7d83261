"""Several Kustomizations: one that brings others, an object that moves between two, an object that two want."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, kustomization, source


async def test_a_root_brings_sources_and_kustomizations_and_takes_them_along(cluster: Cluster, repo: Repo) -> None:
    def child(name: str, **fields: object) -> str:
        made = kustomization(name, path=f"./{name}", target_namespace=cluster.namespace, **fields)  # type: ignore[arg-type]
        return files(made)

    first = repo.commit(
        {
            "root/source.yaml": files(source("config", repo.url)),
            "root/infra.yaml": child("infra", source="config"),
            "root/apps.yaml": child("apps", source="config", depends_on=["infra"]),
            "infra/a.yaml": files(config_map("infra")),
            "apps/a.yaml": files(config_map("apps")),
        }
    )
    await cluster.have(source("app"), kustomization("root", path="./root", wait=True, timeout="1m"))
    root = await cluster.until(Kustomization, "root", ready=True, revision=first)
    # `wait` means that the children are Ready, not only that they exist.
    for name in ("infra", "apps"):
        assert (await cluster.get(Kustomization, name)).ready.status == "True"
    assert len(root.inventory) == 3
    assert await cluster.names(ConfigMap) == {"infra", "apps"}

    repo.commit({"root/apps.yaml": None})
    await cluster.follow()
    await cluster.until_gone(Kustomization, "apps")
    await cluster.until_gone(ConfigMap, "apps")
    assert await cluster.names(ConfigMap) == {"infra"}

    await cluster.delete(Kustomization, "root")
    for kind, name in ((Kustomization, "root"), (Kustomization, "infra"), (GitRepository, "config")):
        await cluster.until_gone(kind, name)
    await cluster.until_gone(ConfigMap, "infra")


async def test_a_kustomization_that_another_applies_keeps_what_its_controller_wrote(
    cluster: Cluster, repo: Repo
) -> None:
    def child(interval: str) -> str:
        made = kustomization("child", path="./child", target_namespace=cluster.namespace)
        made["spec"]["interval"] = interval
        return files(made)

    repo.commit({"root/child.yaml": child("1h"), "child/a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("root", path="./root", wait=True, timeout="1m"))
    await cluster.until(Kustomization, "root", ready=True)
    changed = repo.commit({"root/child.yaml": child("2h")})
    await cluster.follow()
    await cluster.until(Kustomization, "root", ready=True, revision=changed)
    live = await cluster.until(Kustomization, "child", ready=True, revision=changed)
    metadata = live.manifest["metadata"]
    assert live.manifest["spec"]["interval"] == "2h"
    assert metadata["finalizers"] == ["finalizers.fluxcd.io"]
    applied, *others = [one for one in metadata["managedFields"] if one["manager"] == "kustomize-controller"]
    assert (applied["operation"], others) == ("Apply", [])


async def test_an_object_that_moves_from_one_to_another_stays(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"one/a.yaml": files(config_map("moving"), config_map("one")), "two/a.yaml": files(config_map("two"))})
    await cluster.have(source("app"), kustomization("one", path="./one"), kustomization("two", path="./two"))
    for name in ("one", "two"):
        await cluster.until(Kustomization, name, ready=True)
    moved = repo.commit(
        {"one/a.yaml": files(config_map("one")), "two/a.yaml": files(config_map("two"), config_map("moving"))}
    )
    await cluster.follow()
    for name in ("one", "two"):
        await cluster.until(Kustomization, name, ready=True, revision=moved)
    two = await cluster.until(Kustomization, "two", ready=True)
    assert f"{cluster.namespace}_moving__ConfigMap" in two.inventory
    # The one may have been first, and deleted it: then the other makes it anew. It may not stay away.
    await cluster.until(
        ConfigMap,
        "moving",
        holds=lambda live: (
            live.manifest["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "two"
            and "deletionTimestamp" not in live.manifest["metadata"]
        ),
    )
    await cluster.delete(Kustomization, "one")
    await cluster.until_gone(Kustomization, "one")
    assert await cluster.names(ConfigMap) == {"two", "moving"}


async def test_an_object_that_two_want_outlives_the_first_that_goes(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"one/a.yaml": files(config_map("wanted")), "two/a.yaml": files(config_map("wanted"))})
    await cluster.have(source("app"), kustomization("one", path="./one"))
    await cluster.until(Kustomization, "one", ready=True)
    await cluster.have(kustomization("two", path="./two"))
    await cluster.until(Kustomization, "two", ready=True)
    await cluster.delete(Kustomization, "one")
    await cluster.until_gone(Kustomization, "one")
    assert await cluster.names(ConfigMap) == {"wanted"}
    await cluster.delete(Kustomization, "two")
    await cluster.until_gone(ConfigMap, "wanted")
