"""What was pushed is fetched as soon as the Git server's webhook comes in, hours before the interval is over."""

from __future__ import annotations

import asyncio
import base64
import hmac

import aiohttp

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.notification import Receiver
from shared.api.source import GitRepository
from tests.kit.cluster import Cluster, Live
from tests.kit.gitserver import Repo
from tests.kit.installation import Installation
from tests.kit.objects import config_map, files, kustomization, source

TOKEN = "a token of the webhook"
BODY = b'{"ref": "refs/heads/main"}'


def secret(token: str = TOKEN) -> Manifest:
    data = {"token": base64.b64encode(token.encode()).decode()}
    metadata = {"name": "webhook", "labels": {"reconcile.fluxcd.io/watch": "Enabled"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def receiver() -> Manifest:
    resources = [{"kind": "GitRepository", "name": "app"}]
    spec = {"type": "github", "events": ["push"], "secretRef": {"name": "webhook"}, "resources": resources}
    return {"apiVersion": Receiver.resource.api_version, "kind": "Receiver", "metadata": {"name": "hook"}, "spec": spec}


async def push(installation: Installation, hook: Live, token: str = TOKEN) -> int:
    """Send GitHub's webhook of a push; the status of the answer."""
    signature = "sha256=" + hmac.digest(token.encode(), BODY, "sha256").hex()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": signature}
    url = f"http://{installation.addresses.receiver}{hook.status['webhookPath']}"
    async with aiohttp.ClientSession() as session, session.post(url, data=BODY, headers=headers) as answer:
        return answer.status


async def until_taken(installation: Installation, hook: Live, token: str = TOKEN) -> None:
    """The webhook server learns of a Receiver's newest state a moment after the API has it."""
    async with asyncio.timeout(30):
        while await push(installation, hook, token) != 200:
            await asyncio.sleep(0.05)


async def test_a_push_reaches_the_cluster_by_its_webhook(
    installation: Installation, cluster: Cluster, repo: Repo
) -> None:
    first = repo.commit({"app.yaml": files(config_map("settings", {"colour": "blue"}))})
    await cluster.have(source("app"), kustomization("app"), secret(), receiver())
    await cluster.until(Kustomization, "app", revision=first, ready=True)
    hook = await cluster.until(Receiver, "hook", ready=True)
    second = repo.commit({"app.yaml": files(config_map("settings", {"colour": "green"}))})
    await until_taken(installation, hook)
    await cluster.until(Kustomization, "app", revision=second, ready=True)


async def test_only_who_knows_the_token_makes_anything_happen(
    installation: Installation, cluster: Cluster, repo: Repo
) -> None:
    first = repo.commit({"app.yaml": files(config_map())})
    await cluster.have(source("app"), secret(), receiver())
    await cluster.until(GitRepository, "app", revision=first, ready=True)
    hook = await cluster.until(Receiver, "hook", ready=True)
    assert await push(installation, hook, "a guess") in (400, 404)
    await until_taken(installation, hook)
    await cluster.have(secret("another token"))
    moved = await cluster.until(
        Receiver, "hook", holds=lambda live: live.status.get("webhookPath") != hook.status["webhookPath"]
    )
    await until_taken(installation, moved, "another token")
    assert await push(installation, hook) == 404
    assert await push(installation, moved) == 400
