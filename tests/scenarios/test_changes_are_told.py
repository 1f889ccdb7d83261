"""People hear of each change once, where they asked to: chats of what was done, commits of how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.notification import Alert, Provider
from tests.kit.cluster import PATIENCE, Cluster
from tests.kit.gitserver import Repo
from tests.kit.hooks import Hooks
from tests.kit.objects import config_map, files, kustomization, source


@pytest.fixture
def hooks() -> Iterator[dict[str, Hooks]]:
    with Hooks() as chat, Hooks() as generic:
        yield {"slack": chat, "generic": generic}


def told_to(type_: str, address: str) -> list[Manifest]:
    """A Provider, and an Alert about all Kustomizations that tells it."""
    provider, alert = Provider.resource, Alert.resource
    return [
        {
            "apiVersion": provider.api_version,
            "kind": provider.kind,
            "metadata": {"name": type_},
            "spec": {"type": type_, "address": address, "channel": "deployments"},
        },
        {
            "apiVersion": alert.api_version,
            "kind": alert.kind,
            "metadata": {"name": type_},
            "spec": {
                "providerRef": {"name": type_},
                "eventSeverity": "info",
                "eventSources": [{"kind": "Kustomization", "name": "*"}],
            },
        },
    ]


async def heard(hooks: Hooks, text: str) -> list[str]:
    """All that was told, once something was that has this text."""
    async with asyncio.timeout(PATIENCE):
        while text not in "".join(told := [one.body.decode() for one in list(hooks.requests)]):
            await asyncio.sleep(0.02)
    return told


async def test_a_chat_hears_what_was_changed_and_a_commit_how_it_ended(
    cluster: Cluster, repo: Repo, hooks: dict[str, Hooks]
) -> None:
    for type_, server in hooks.items():
        await cluster.have(*told_to(type_, server.url))
    first = repo.commit({"a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    change = f"ConfigMap/{cluster.namespace}/settings created"
    in_chat = await heard(hooks["slack"], change)
    assert sum(change in told for told in in_chat) == 1
    await heard(hooks["generic"], "Reconciliation finished in")
    events = {one.json["message"].splitlines()[0][:20]: one.json for one in hooks["generic"].requests}
    changed, finished = events[change[:20]], events["Reconciliation finished in"[:20]]
    assert (changed["reason"], finished["reason"]) == ("Progressing", "ReconciliationSucceeded")
    assert ("commit_status" in str(changed["metadata"]), "commit_status" in str(finished["metadata"])) == (False, True)
    assert "created" not in finished["message"]
    assert not any("Reconciliation finished" in told for told in in_chat)


async def test_of_a_commit_that_changes_nothing_only_the_commit_hears(
    cluster: Cluster, repo: Repo, hooks: dict[str, Hooks]
) -> None:
    first = repo.commit({"app/a.yaml": files(config_map("settings"))})
    await cluster.have(source("app"), kustomization("app", path="./app"))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    for type_, server in hooks.items():
        await cluster.have(*told_to(type_, server.url))
    second = repo.commit({"README.md": "new"})
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=second, ready=True)
    told = await heard(hooks["generic"], second)
    assert any("Reconciliation finished in" in one and second in one for one in told)
    third = repo.commit({"app/a.yaml": files(config_map("settings", {"colour": "red"}))})
    await cluster.follow()
    in_chat = await heard(hooks["slack"], third)
    assert not any(second in one for one in in_chat)


async def test_of_more_changes_than_an_event_holds_the_end_is_told_nevertheless(cluster: Cluster, repo: Repo) -> None:
    many = [config_map(f"settings-with-a-long-name-{number}") for number in range(30)]
    repo.commit({"a.yaml": files(*many)})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    changes = await cluster.event("app", reason="Progressing", says="settings-with-a-long-name-0 created")
    assert changes["message"].endswith("...")
    finished = await cluster.event("app", reason="ReconciliationSucceeded", says="Reconciliation finished in")
    assert finished["message"].endswith("next run in 1h0m0s")
