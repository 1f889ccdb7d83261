"""A GitRepository's artifact follows its commit, costs little when nothing changed, and its bytes are what is said."""

from __future__ import annotations

import asyncio
import hashlib
import tarfile

from shared.loop import attempt
from tests.source_controller.conftest import GROUP, attempts, condition


def names(file):
    with tarfile.open(file) as archive:
        return sorted(member.name for member in archive.getmembers() if member.isfile())


async def test_a_commit_becomes_an_artifact_with_the_bytes_that_the_status_tells(controller, repo):
    head = repo.commit({"deploy/a.yaml": "a: 1"}, "Add a")
    await controller.put("s", {"url": repo.url})
    source = await controller.ready("s", head)
    artifact = source["status"]["artifact"]
    content = controller.stored(source).read_bytes()
    assert artifact["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert artifact["size"] == len(content)
    assert names(controller.stored(source)) == ["deploy/a.yaml"]
    told = [event for event in await controller.events("s") if event["reason"] == "NewArtifact"]
    assert [event["message"] for event in told] == ["stored artifact for commit 'Add a'"]


async def test_a_first_reconciliation_costs_two_writes(controller, api, repo, monkeypatch):
    monkeypatch.setattr(attempt, "LONG", 60.0)  # no progress is written, however slow this machine is
    repo.commit({"a": "1"})
    api.requests.clear()
    await controller.put("s", {"url": repo.url})
    await controller.ready("s")
    ours = [each for each in api.requests if each.resource == "gitrepositories" and each.verb == "patch"]
    assert [each.subresource for each in ours if each.name == "s"][1:] == ["", "status"]  # the first is the test's


async def test_an_unchanged_head_is_asked_for_and_not_fetched_again(controller, git, repo):
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url})
    before = await controller.ready("s")
    git.requests.clear()
    token = await controller.ask("s")
    after = await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    assert after["status"]["artifact"] == before["status"]["artifact"]
    fetched = [path for path, _ in git.requests if path.endswith("/git-upload-pack")]
    assert len(fetched) == 1, "one ls-refs, no fetch"
    told = [event["reason"] for event in await controller.events("s")]
    assert "GitOperationSucceeded" in told
    assert told.count("NewArtifact") == 1


async def test_a_pass_in_which_nothing_changed_makes_no_call(controller, api, git, repo):
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url, "interval": "1s"})
    await controller.ready("s")
    await controller.events("s")
    api.requests.clear()
    git.requests.clear()
    while sum(path.endswith("/git-upload-pack") for path, _ in git.requests) < 3:
        await asyncio.sleep(0.05)
    assert [each for each in api.requests if each.verb in ("create", "update", "patch", "delete")] == []
    assert [event for event in await controller.events("s") if event["reason"] == "GitOperationSucceeded"] == []


async def test_a_round_asks_once_for_each_reference(world, api, git, repo):
    """Sources whose interval is the same ask at times that differ, but not by more than the interval may vary."""
    repo.commit({"a/x": "1", "b/x": "1"})
    repo.git("push", "-q", "origin", "main:other")
    await world.start("--concurrent=20", "--interval-jitter-percentage=40")
    names = [f"s{number}" for number in range(20)]
    for number, name in enumerate(names):
        branch = "other" if number % 2 else "main"
        spec = {"url": repo.url, "ref": {"branch": branch}, "sparseCheckout": ["ab"[number % 2]], "interval": "6s"}
        await world.put(name, spec)
    for name in names:
        await world.ready(name)
    await world.events("s0")
    api.requests.clear()
    git.requests.clear()
    began = attempts("GitRepository")
    while attempts("GitRepository") < began + len(names):
        await asyncio.sleep(0.05)
    asked = sum(path.endswith("/git-upload-pack") for path, _ in git.requests)
    assert asked <= 8, "two references, some more while they fall into step; not twenty sources"
    assert [each for each in api.requests if each.verb in ("create", "update", "patch", "delete")] == []


async def test_a_force_push_is_followed(controller, repo):
    repo.commit({"a": "1"})
    old = repo.commit({"a": "2"})
    await controller.put("s", {"url": repo.url})
    await controller.ready("s", old)
    repo.git("reset", "-q", "--hard", "HEAD~1")
    new = repo.commit({"b": "other history"})
    await controller.ask("s")
    source = await controller.ready("s", new)
    assert names(controller.stored(source)) == ["a", "b"]


async def test_other_ignore_rules_make_other_bytes_under_another_address(controller, repo):
    repo.commit({"a": "1", "b": "2"})
    await controller.put("s", {"url": repo.url})
    before = await controller.ready("s")
    await controller.put("s", {"url": repo.url, "ignore": "/b"})
    after = await controller.ready("s")
    assert after["status"]["artifact"]["path"] == before["status"]["artifact"]["path"]
    assert after["status"]["artifact"]["url"] != before["status"]["artifact"]["url"]
    assert names(controller.stored(before)) == ["a", "b"]
    assert names(controller.stored(after)) == ["a"]


async def test_an_include_follows_the_included_artifact(controller, git, repo):
    base = git.create("base")
    base.commit({"x.yaml": "x: 1"})
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url, "include": [{"repository": {"name": "base"}, "toPath": "vendor"}]})
    waiting = await controller.failed("s", "NotFound")
    assert condition(waiting, "IncludeUnavailable") == "True"
    await controller.put("base", {"url": base.url})
    source = await controller.ready("s")
    assert names(controller.stored(source)) == ["a", "vendor/x.yaml"]
    base.commit({"y.yaml": "y: 1"})
    await controller.ask("base")
    await controller.until("s", lambda obj: names(controller.stored(obj)) == ["a", "vendor/x.yaml", "vendor/y.yaml"])


async def test_an_include_never_leaves_the_artifact_through_a_link(controller, git, repo, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    base = git.create("base")
    base.commit({"x.yaml": "x: 1"})
    repo.commit({"a": "1"})
    (repo.work / "vendor").symlink_to(outside)
    repo.commit({})
    await controller.put("base", {"url": base.url})
    await controller.ready("base")
    await controller.put("s", {"url": repo.url, "include": [{"repository": {"name": "base"}, "toPath": "vendor"}]})
    source = await controller.failed("s", "IllegalPath")
    assert "'vendor' is a symbolic link" in condition(source, "Ready", "message")
    assert list(outside.iterdir()) == []


async def test_a_deleted_object_takes_its_artifacts_along(controller, repo):
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url})
    source = await controller.ready("s")
    await controller.kube.delete(source["apiVersion"], "GitRepository", "s", "default")
    await controller.until("s", lambda obj: obj is None)
    assert not controller.stored(source).parent.exists()


async def test_a_watched_secret_reconciles_at_once_when_it_changes(controller, git, repo):
    head = repo.commit({"a": "1"})
    git.require(repo, "ada", "right")
    labels = {"reconcile.fluxcd.io/watch": "Enabled"}
    await controller.stop()
    await controller.start("--min-retry-delay=10m", "--max-retry-delay=10m")
    await controller.secret("auth", {"username": "ada", "password": "wrong"}, **labels)
    await controller.put("s", {"url": repo.url, "secretRef": {"name": "auth"}})
    await controller.failed("s", "GitOperationFailed")
    await controller.secret("auth", {"username": "ada", "password": "right"}, **labels)
    await controller.ready("s", head)


async def files_of(world, *names):
    """The stored file behind each source: two with the same one share its bytes."""
    return [world.stored(await world.ready(name)).stat().st_ino for name in names]


async def test_sources_that_want_the_same_of_a_commit_share_its_bytes(world, git, repo):
    repo.commit({"a/x": "1", "b/y": "1"})
    await world.start("--concurrent=10")
    alike = [f"s{number}" for number in range(6)]
    for name in alike:
        await world.put(name, {"url": repo.url})
    first, *others = await files_of(world, *alike)
    assert set(others) == {first}
    assert len(git.packs) == 1
    await world.kube.delete(GROUP, "GitRepository", "s0", world.namespace)
    await world.until("s0", lambda obj: obj is None)
    await world.put("late", {"url": repo.url})
    assert await files_of(world, "late", *alike[1:]) == [first] * 6


async def test_sources_that_want_other_things_of_a_commit_share_nothing(controller, git, repo):
    repo.commit({"a/x": "1", "b/y": "1"})
    secret = {"username": "ada", "password": "s3cret"}
    await controller.secret("login", secret)
    await controller.put("plain", {"url": repo.url})
    await controller.ready("plain")
    wishes = {
        "sparse": {"sparseCheckout": ["a"]},
        "ignoring": {"ignore": "/b"},
        "including": {"include": [{"repository": {"name": "plain"}, "toPath": "c"}]},
        "somebody": {"secretRef": {"name": "login"}},
    }
    for name, wish in wishes.items():
        await controller.put(name, {"url": repo.url, **wish})
    assert len(set(await files_of(controller, "plain", *wishes))) == 5
    assert names(controller.stored(await controller.ready("including"))) == ["a/x", "b/y", "c/a/x", "c/b/y"]


async def test_a_damaged_twin_is_not_taken(controller, repo):
    repo.commit({"a": "1"})
    await controller.put("one", {"url": repo.url})
    one = await controller.ready("one")
    controller.stored(one).write_bytes(b"damaged")
    await controller.put("two", {"url": repo.url})
    two = await controller.ready("two")
    assert names(controller.stored(two)) == ["a"]
    assert two["status"]["artifact"]["digest"] == one["status"]["artifact"]["digest"]
