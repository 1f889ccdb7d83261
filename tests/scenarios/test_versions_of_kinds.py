"""Custom resources go from one version of their kind to the next without being made anew."""

from __future__ import annotations

from typing import Any

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import Builtin, Definition, definition, files, kustomization, source


def gizmo(group: str, version: str, **spec: Any) -> Manifest:
    return {"apiVersion": f"{group}/{version}", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": spec}


def versions(group: str, *, old_is_served: bool = True) -> Manifest:
    """The definition with a newer version whose spec has a further field, with a default."""
    made = definition(group)
    first = made["spec"]["versions"][0]
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer"}, "colour": {"type": "string", "default": "blue"}},
            }
        },
    }
    newer = {"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    made["spec"]["versions"] = [{**first, "storage": False, "served": old_is_served}, newer]
    return made


async def test_an_object_follows_its_kind_to_a_newer_version(cluster: Cluster, repo: Repo) -> None:
    group = f"{cluster.namespace}.example.com"
    cluster.afterwards(lambda: cluster.client.delete(*Definition, f"gizmos.{group}"))
    older, newer = Builtin(f"{group}/v1", "Gizmo"), Builtin(f"{group}/v2", "Gizmo")
    first = repo.commit({"a.yaml": files(definition(group), gizmo(group, "v1", size=1))})
    await cluster.have(source("app"), kustomization("app", wait=True))
    await cluster.until(Kustomization, "app", ready=True, revision=first)
    before = await cluster.get(older, "g")
    second = repo.commit({"a.yaml": files(versions(group), gizmo(group, "v1", size=2))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=second)
    third = repo.commit({"a.yaml": files(versions(group), gizmo(group, "v2", size=3, colour="red"))})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", ready=True, revision=third)
    entries = {entry["id"].rpartition("_")[2]: entry["v"] for entry in app.status["inventory"]["entries"]}
    assert entries == {"CustomResourceDefinition": "v1", "Gizmo": "v2"}
    after = await cluster.get(newer, "g")
    assert after.manifest["spec"] == {"size": 3, "colour": "red"}
    assert after.manifest["metadata"]["uid"] == before.manifest["metadata"]["uid"]
    ours = [e for e in after.manifest["metadata"]["managedFields"] if e["manager"] == "kustomize-controller"]
    assert {entry["apiVersion"] for entry in ours} == {f"{group}/v2"}
    fourth = repo.commit({"a.yaml": files(versions(group, old_is_served=False), gizmo(group, "v2", size=4))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=fourth)
    kept = (await cluster.get(newer, "g")).manifest
    assert (kept["spec"], kept["metadata"]["uid"]) == (
        {"size": 4, "colour": "blue"},
        before.manifest["metadata"]["uid"],
    )
