"""People hear of what fails, soon and where they asked to; nothing that was taken is lost."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.notification import Alert, Provider
from tests.kit.cluster import PATIENCE, Cluster
from tests.kit.gitserver import Repo
from tests.kit.hooks import Hooks, Received, Reply
from tests.kit.installation import Installation
from tests.kit.objects import config_map, files, kustomization, source

BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings\n"


@pytest.fixture
def chat() -> Iterator[Hooks]:
    with Hooks() as hooks:
        yield hooks


def provider(name: str, **spec: Any) -> Manifest:
    kind = Provider.resource
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def alert(name: str, to: str, *, severity: str = "error", annotations: dict[str, str] | None = None) -> Manifest:
    kind = Alert.resource
    sources = [{"kind": "Kustomization", "name": "*"}]
    spec = {"providerRef": {"name": to}, "eventSeverity": severity, "eventSources": sources}
    metadata = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def secret(name: str, **data: str) -> Manifest:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


async def until_heard(hooks: Hooks, holds: Callable[[Received], bool]) -> Received:
    """The first request of which `holds` says so."""
    async with asyncio.timeout(PATIENCE):
        while not (found := [one for one in list(hooks.requests) if holds(one)]):
            await asyncio.sleep(0.02)
    return found[0]


def attachment(received: Received) -> Manifest:
    (one,) = received.json["attachments"]
    return dict(one)


async def test_a_bad_commit_is_told_in_the_chat_with_its_place_and_so_is_its_end(
    cluster: Cluster, repo: Repo, chat: Hooks
) -> None:
    recovery = {"notification.fluvial.dev/recovery": "true"}
    await cluster.have(
        secret("chat", address=f"{chat.url}/services/T0/B0/secret"),
        provider("chat", type="slack", channel="deployments", secretRef={"name": "chat"}),
        alert("failures", "chat", annotations=recovery),
    )
    first = repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    bad = repo.commit({"app.yaml": BROKEN})
    await cluster.follow()
    told = await until_heard(chat, lambda one: bad in one.body.decode())
    good = repo.commit({"app.yaml": files(config_map())})
    await cluster.follow()
    over = await until_heard(chat, lambda one: good in one.body.decode())

    assert told.target == "/services/T0/B0/secret"
    assert told.json["channel"] == "deployments"
    assert attachment(told)["author_name"] == f"kustomization/app.{cluster.namespace}"
    assert attachment(told)["color"] == "danger"
    assert "app.yaml:" in attachment(told)["text"]
    assert attachment(over)["color"] == "good"
    assert "recovered" in {field["title"] for field in attachment(over)["fields"]}
    assert [one for one in chat.requests if first in one.body.decode()] == [], "only failures were asked for"


async def test_a_chat_that_is_down_delays_no_other(cluster: Cluster, repo: Repo, chat: Hooks) -> None:
    with Hooks() as dead:
        dead.answers = [Reply(silent=True)]
        await cluster.have(
            provider("dead", type="generic", address=dead.url, timeout="1m"),
            provider("chat", type="generic", address=chat.url),
            alert("to-the-dead", "dead", severity="info"),
            alert("to-the-chat", "chat", severity="info"),
        )
        first = repo.commit({"app.yaml": files(config_map("settings", {"text": "one"}))})
        await cluster.have(source("app"), kustomization("app"))
        await until_heard(chat, lambda one: first in one.body.decode())
        second = repo.commit({"app.yaml": files(config_map("settings", {"text": "two"}))})
        await cluster.follow()
        await until_heard(chat, lambda one: second in one.body.decode())
        assert len(dead.requests) == 1, "what comes later waits its turn"


async def test_what_was_taken_is_told_after_the_controller_was_killed(
    installation: Installation, cluster: Cluster, repo: Repo, chat: Hooks
) -> None:
    chat.answers = [Reply(503)]
    await cluster.have(provider("chat", type="generic", address=chat.url), alert("all", "chat", severity="info"))
    revision = repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", revision=revision, ready=True)
    await until_heard(chat, lambda one: True)
    tried = len(chat.requests)
    installation.restart_controllers("notification-controller")  # not in a thread, with which it would end
    chat.answers = [Reply()]
    await until_heard(chat, lambda one: revision in one.body.decode() and one in chat.requests[tried:])
