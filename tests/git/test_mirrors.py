"""A mirror saves what was fetched before, changes nothing of what is brought, and may be lost or broken at any time."""

from __future__ import annotations

import asyncio
import os

import pytest

from shared.git import remote
from shared.git.credentials import Credentials, address
from shared.git.errors import GitError, RefNotFound
from shared.git.mirrors import Mirrors
from shared.git.refs import Reference
from tests.kit.gitserver import GitServer


@pytest.fixture
def server(tmp_path):
    with GitServer(tmp_path / "server") as made:
        yield made


@pytest.fixture
def repo(server):
    return server.create("app")


@pytest.fixture
def mirrors(tmp_path):
    return Mirrors(tmp_path / "mirrors")


@pytest.fixture
def bring(tmp_path, mirrors, repo):
    async def brought(reference=None, owner="owner", **more):
        dest = tmp_path / f"dest-{os.urandom(4).hex()}"
        async with remote.session(address(repo.url), Credentials(), seconds=30) as session:
            head = await session.resolve(reference or Reference(branch="main"))
            async with mirrors.held("app", owner) as mirror:
                commit = await session.fetch(head, mirror=mirror)
                await session.checkout(commit, dest, **more)
        return commit.hash, {
            str(path.relative_to(dest)): path.read_bytes() for path in dest.rglob("*") if path.is_file()
        }

    return brought


async def test_only_what_is_new_travels(server, repo, bring):
    large = os.urandom(300_000)
    repo.commit({"large": large, "a": "1"})
    await bring()
    second = repo.commit({"a": "2"})
    assert await bring() == (second, {"large": large, "a": b"2"})
    assert server.packs[0] > 300_000
    assert server.packs[1] < 10_000


async def test_what_left_the_repository_leaves_the_files(repo, bring):
    repo.commit({"a": "1", "b": "1"})
    await bring()
    repo.commit({"b": None})
    assert (await bring())[1] == {"a": b"1"}
    repo.git("checkout", "-q", "--orphan", "fresh")
    repo.git("branch", "-D", "main")
    repo.git("branch", "-m", "main")
    forced = repo.commit({"c": "other history"})
    assert (await bring())[0] == forced


async def test_sparse_directories_and_tags_come_from_a_mirror_too(repo, bring):
    repo.commit({"a/x": "1", "b/y": "1"})
    tagged = repo.commit({"a/x": "2"})
    repo.tag("v1", "a tag")
    await bring()
    assert await bring(Reference(tag="v1"), sparse=["a"]) == (tagged, {"a/x": b"2"})


async def test_a_broken_mirror_is_done_without(tmp_path, server, repo, mirrors, bring):
    repo.commit({"a": "1"})
    await bring()
    [mirror] = (tmp_path / "mirrors").iterdir()
    for pack in (mirror / "objects" / "pack").iterdir():
        pack.chmod(0o600)
        pack.write_bytes(b"damaged")
    second = repo.commit({"b": "2"})
    assert await bring() == (second, {"a": b"1", "b": b"2"})
    (mirror / "shallow.lock").parent.mkdir(parents=True, exist_ok=True)
    (mirror / "shallow.lock").write_text("left by a killed process")
    third = repo.commit({"b": "3"})
    assert (await bring())[0] == third


async def test_a_mirror_that_breaks_after_the_fetch_is_done_without(tmp_path, repo, mirrors):
    head = repo.commit({"a": "1"})
    async with (
        remote.session(address(repo.url), Credentials(), seconds=30) as session,
        mirrors.held("app", "owner") as mirror,
    ):
        commit = await session.fetch(await session.resolve(Reference(branch="main")), mirror=mirror)
        repo.commit({"a": "2"})
        for pack in (mirror.path / "objects" / "pack").iterdir():
            pack.unlink()
        await session.checkout(commit, tmp_path / "dest")
    assert commit.hash == head
    assert (tmp_path / "dest" / "a").read_text() == "1", "what was verified, not what is newest"
    assert not mirror.path.exists()


async def test_a_missing_reference_keeps_the_mirror(server, repo, bring):
    repo.commit({"large": os.urandom(300_000)})
    await bring()
    with pytest.raises(RefNotFound):
        await bring(Reference(branch="absent"))
    repo.commit({"a": "1"})
    await bring()
    assert server.packs[-1] < 10_000


async def test_a_commit_is_found_whatever_a_mirror_has(repo, bring):
    first = repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    await bring()
    assert await bring(Reference(branch="main", commit=first)) == (first, {"a": b"1"})


async def test_the_mirror_unused_for_longest_goes_first(tmp_path):
    mirrors = Mirrors(tmp_path, max_bytes=250)
    for name in ("a", "b", "a", "c"):
        async with mirrors.held(name, name) as mirror:
            mirror.path.mkdir(exist_ok=True)
            (mirror.path / "pack").write_bytes(b"x" * 100)
            mirror.fetches += 1
    kept = []
    for name in ("a", "b", "c"):
        async with mirrors.held(name, name) as mirror:
            kept.append((name, mirror.path.exists()))
    assert kept == [("a", True), ("b", False), ("c", True)]
    await mirrors.close()
    assert not list(tmp_path.glob("*"))


async def test_a_mirror_goes_with_the_last_who_used_it(tmp_path):
    mirrors = Mirrors(tmp_path)
    for owner in ("one", "two"):
        async with mirrors.held("a", owner) as mirror:
            mirror.path.mkdir(exist_ok=True)
    await mirrors.forget("one")
    assert mirror.path.exists()
    async with mirrors.held("b", "two"):
        assert not mirror.path.exists()


async def test_what_one_fetched_nobody_fetches_again(server, repo, bring):
    head = repo.commit({"a": "1"})
    repo.tag("v1", "a tag")
    found = await asyncio.gather(*(bring(owner=f"owner-{number}") for number in range(5)))
    assert found == [(head, {"a": b"1"})] * 5
    assert len(server.packs) == 1
    await asyncio.gather(*(bring(Reference(tag="v1"), owner=f"owner-{number}") for number in range(5)))
    assert len(server.packs) == 2


async def test_a_tag_that_was_made_again_for_the_same_commit_is_fetched_again(repo, tmp_path, mirrors):
    repo.commit({"a": "1"})
    messages = []
    for message in ("first", "second"):
        repo.git("tag", "--force", "-a", "v1", "-m", message)
        repo.git("push", "-q", "--force", "origin", "v1")
        async with (
            remote.session(address(repo.url), Credentials(), seconds=30) as session,
            mirrors.held("app", "owner") as mirror,
        ):
            head = await session.resolve(Reference(tag="v1"))
            commit = await session.fetch(head, mirror=mirror)
        messages.append(commit.tag.raw.splitlines()[-1])
    assert messages == [b"first", b"second"]


async def test_who_waits_while_a_remote_is_asked_gets_its_answer(server, repo, mirrors):
    head = repo.commit({"a": "1"})
    loop = asyncio.get_running_loop()

    async def ask(since):
        async with (
            remote.session(address(repo.url), Credentials(), seconds=30) as session,
            mirrors.held("app", "owner") as mirror,
        ):
            return (await session.resolve(Reference(branch="main"), mirror=mirror, since=since)).commit

    before = len(server.requests)
    await ask(loop.time())
    one = len(server.requests) - before
    since = loop.time()
    assert await asyncio.gather(*(ask(since) for _ in range(20))) == [head] * 20
    assert len(server.requests) - before == 2 * one
    newer = repo.commit({"a": "2"})
    assert await ask(loop.time()) == newer


async def test_an_answer_that_failed_is_nobody_s_answer(mirrors):
    asked = 0

    async def ask():
        nonlocal asked
        asked += 1
        if asked == 1:
            raise GitError("cut off")
        return {"refs/heads/main": "1" * 40}

    since = asyncio.get_running_loop().time()
    async with mirrors.held("app", "owner") as mirror:
        answers = await asyncio.gather(*(mirror.advertised((), since, ask) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [GitError, dict, dict]
    assert asked == 2


async def test_a_mirror_is_made_anew_before_it_holds_too_many_packs(server, repo, bring, monkeypatch):
    monkeypatch.setattr("shared.git.mirrors._FETCHES", 2)
    repo.commit({"large": os.urandom(300_000)})
    for number in range(3):
        repo.commit({"a": str(number)})
        await bring()
    assert [size > 300_000 for size in server.packs] == [True, False, True]
