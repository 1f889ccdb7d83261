"""A cluster goes from upstream's controllers to these, and back, without a write to what runs in it.

Upstream's side is played by the test: it applies what a build gives with the owner's labels, as the field manager
kustomize-controller, and leaves a status like upstream's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.source import GitRepository
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import (
    Builtin,
    ConfigMap,
    Deployment,
    Role,
    Secret,
    Service,
    ServiceAccount,
    account,
    config_map,
    deployment,
    files,
    kustomization,
    names_of,
    role,
    service,
    source,
)

MANAGER, GROUP = "kustomize-controller", "kustomize.toolkit.fluxcd.io"
WHEN = "2026-01-02T03:04:05Z"
KINDS: tuple[Builtin, ...] = (ConfigMap, Deployment, Role, Secret, Service, ServiceAccount)


def plain_secret() -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "stringData": {"user": "me"}}


def objects() -> list[Manifest]:
    """What is in Git."""
    web = deployment("web")
    web["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    return [config_map(), web, role("reader", "configmaps"), plain_secret(), service(), account("web")]


def as_sent(manifest: Manifest, namespace: str) -> Manifest:
    """What upstream sends of an object: in its namespace, with the owner's labels, Secrets and ports filled in."""
    sent: Manifest = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
    sent["metadata"]["labels"] = {f"{GROUP}/name": "app", f"{GROUP}/namespace": namespace}
    if sent["kind"] == "Secret":
        sent["data"] = {key: base64.b64encode(text.encode()).decode() for key, text in sent.pop("stringData").items()}
    if sent["kind"] == "Service":
        ports = [{**port, "protocol": "TCP"} for port in sent["spec"]["ports"]]
        sent["spec"] = {**sent["spec"], "ports": ports}
    if sent["kind"] == "Deployment":
        for container in sent["spec"]["template"]["spec"]["containers"]:
            container["ports"] = [{**port, "protocol": "TCP"} for port in container["ports"]]
    return sent


async def applied(cluster: Cluster, manifests: Iterable[Manifest]) -> None:
    """Apply as upstream does."""
    for manifest in manifests:
        await cluster.client.apply(as_sent(manifest, cluster.namespace), field_manager=MANAGER)


def entry(manifest: Manifest, namespace: str) -> Manifest:
    """An object in an inventory."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    return {"id": f"{namespace}_{manifest['metadata']['name']}_{group}_{manifest['kind']}", "v": version}


def status(manifests: Iterable[Manifest], namespace: str, revision: str) -> Manifest:
    """As upstream's controller leaves it."""
    ready = {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded", "observedGeneration": 1}
    snapshot = {
        "digest": "sha256:" + "0" * 64,  # of upstream's YAML, which these controllers don't make
        "firstReconciled": WHEN,
        "lastReconciled": WHEN,
        "lastReconciledDuration": "1.5s",
        "lastReconciledStatus": "ReconciliationSucceeded",
        "totalReconciliations": 3,
        "metadata": {"revision": revision},
    }
    return {
        "conditions": [{**ready, "message": f"Applied revision: {revision}", "lastTransitionTime": WHEN}],
        "history": [snapshot],
        "inventory": {"entries": [entry(manifest, namespace) for manifest in manifests]},
        "lastAppliedRevision": revision,
        "lastAttemptedRevision": revision,
        "observedGeneration": 1,
    }


async def versions(cluster: Cluster) -> dict[str, str]:
    """The resourceVersions of what doesn't change by itself; of Deployments the generation."""
    found: dict[str, str] = {}
    for kind in KINDS:
        for live in await cluster.list(kind):
            said: Any = "generation" if kind == Deployment else "resourceVersion"
            found[f"{kind.kind}/{live.name}"] = str(live.manifest["metadata"][said])
    return found


async def appliers(cluster: Cluster) -> set[str]:
    """Who applied the Deployment."""
    managed = (await cluster.get(Deployment, "web")).manifest["metadata"]["managedFields"]
    return {each["manager"] for each in managed if each["operation"] == "Apply"}


async def test_these_controllers_take_over_without_a_write_and_prune_what_upstream_applied(
    cluster: Cluster, repo: Repo
) -> None:
    first = repo.commit({f"{number}.yaml": files(manifest) for number, manifest in enumerate(objects())})
    await cluster.have(source("app"))
    revision = f"main@sha1:{first}"
    await cluster.until(GitRepository, "app", revision=first)
    await applied(cluster, objects())
    before = await versions(cluster)
    await cluster.have(kustomization("app", wait=True, suspend=True))
    kind = names_of(Kustomization)
    told = {"status": status(objects(), cluster.namespace, revision)}
    await cluster.client.patch(
        *kind, "app", cluster.namespace, told, subresource="status", field_manager="gotk-" + MANAGER
    )
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": False}})
    app = await cluster.until(Kustomization, "app", ready=True, revision=first)
    assert await versions(cluster) == before
    assert {each["id"] for each in told["status"]["inventory"]["entries"]} == app.inventory
    assert not [event for event in await cluster.events("app") if "created" in event["message"]]
    second = repo.commit({"0.yaml": None})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=second)
    await cluster.until_gone(ConfigMap, "settings")
    assert set(await versions(cluster)) == set(before) - {"ConfigMap/settings"}


async def test_upstream_takes_over_without_a_write(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({f"{number}.yaml": files(manifest) for number, manifest in enumerate(objects())})
    await cluster.have(source("app"), kustomization("app", wait=True))
    app = await cluster.until(Kustomization, "app", ready=True, revision=first)
    await cluster.edit(Kustomization, "app", {"spec": {"suspend": True}})
    before = await versions(cluster)
    assert await appliers(cluster) == {MANAGER}
    await applied(cluster, objects())
    assert await versions(cluster) == before
    assert app.inventory == {entry(manifest, cluster.namespace)["id"] for manifest in objects()}
    assert {each["v"] for each in app.status["inventory"]["entries"]} == {"v1"}
