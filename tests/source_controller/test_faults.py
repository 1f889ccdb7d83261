"""Every call to the API fails once, in every way: the world converges, and nothing is left behind."""

from __future__ import annotations

import hashlib

import pytest


@pytest.mark.parametrize("action", ["fail", "cut", "cut-after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_life_with_one_failing_write_converges(controller, api, repo, action, nth):
    """The writes are: our finalizer, the status, the finalizer's end."""
    head = repo.commit({"a": "1"})
    created = await controller.put("other", {"url": repo.url, "suspend": True})
    rule = api.faults.add(action=action, verb="patch", resource="gitrepositories", name="s", nth=nth + 1)
    await controller.put("s", {"url": repo.url})  # the first patch is this one
    source = await controller.ready("s", head)
    content = controller.stored(source).read_bytes()
    assert source["status"]["artifact"]["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert len(list(controller.stored(source).parent.iterdir())) == 1
    await controller.kube.delete(created["apiVersion"], "GitRepository", "s", "default")
    await controller.until("s", lambda obj: obj is None)
    assert rule.seen > nth, "the fault was met"
    assert not controller.stored(source).parent.exists()


async def test_an_unreachable_secret_is_no_missing_secret(controller, api, git, repo):
    head = repo.commit({"a": "1"})
    git.require(repo, "ada", "s3cret")
    await controller.secret("auth", {"username": "ada", "password": "s3cret"})
    api.faults.add(action="fail", verb="get", resource="secrets", nth=1, count=2, code=503)
    await controller.put("s", {"url": repo.url, "secretRef": {"name": "auth"}})
    await controller.ready("s", head)
    assert "AuthenticationFailed" not in [event["reason"] for event in await controller.events("s")]
