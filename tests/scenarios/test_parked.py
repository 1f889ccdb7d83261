"""Objects whose kind nobody has defined yet wait for it, while everything else goes on."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import Builtin, ConfigMap, Definition, config_map, definition, files, kustomization, source


def gizmo(group: str, name: str = "g", size: int = 3) -> Manifest:
    return {"apiVersion": f"{group}/v1", "kind": "Gizmo", "metadata": {"name": name}, "spec": {"size": size}}


async def test_what_has_no_kind_yet_is_parked_and_applied_once_another_kustomization_brings_it(
    cluster: Cluster, repo: Repo
) -> None:
    group = f"{cluster.namespace}.example.org"
    cluster.afterwards(lambda: cluster.client.delete(*Definition, f"gizmos.{group}"))
    commit = repo.commit(
        {
            "app/a.yaml": files(gizmo(group), gizmo(group, "h"), config_map()),
            "crds/a.yaml": files(definition(group)),
        }
    )
    await cluster.have(source("app"), kustomization("app", path="./app", wait=True, timeout="10m"))
    app = await cluster.until(Kustomization, "app", ready=False, reason="ReconciliationFailed")
    assert f"Gizmo/{cluster.namespace}/g, Gizmo/{cluster.namespace}/h" in app.ready.message
    assert f'no matches for kind "Gizmo" in version "{group}/v1"' in app.ready.message
    assert await cluster.names(ConfigMap) == {"settings"}
    assert len(app.inventory) == 3
    await cluster.have(kustomization("crds", path="./crds", target_namespace=None))
    await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert await cluster.names(Builtin(f"{group}/v1", "Gizmo")) == {"g", "h"}


async def test_nothing_is_pruned_while_something_is_parked(cluster: Cluster, repo: Repo) -> None:
    """What replaces an object may be what can't be applied yet."""
    group = f"{cluster.namespace}.example.org"
    cluster.afterwards(lambda: cluster.client.delete(*Definition, f"gizmos.{group}"))
    repo.commit({"a.yaml": files(config_map("old"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    commit = repo.commit({"a.yaml": files(gizmo(group), config_map("new"))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=False, holds=lambda live: "parked" in live.ready.message)
    assert await cluster.names(ConfigMap) == {"old", "new"}
    await cluster.client.create(definition(group))
    await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert await cluster.names(ConfigMap) == {"new"}


async def test_what_is_parked_and_leaves_the_source_again_is_no_hindrance(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"a.yaml": files(gizmo("nowhere.example.org"), config_map())})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=False, reason="ReconciliationFailed")
    commit = repo.commit({"a.yaml": files(config_map())})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert app.inventory == {f"{cluster.namespace}_settings__ConfigMap"}
