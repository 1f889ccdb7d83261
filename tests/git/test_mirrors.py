"""A mirror saves what was fetched before, changes nothing of what is brought, and may be lost or broken at any time."""

from __future__ import annotations

import os

import pytest

from shared.git import remote
from shared.git.credentials import Credentials, address
from shared.git.errors import RefNotFound
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
    async def brought(reference=None, **more):
        dest = tmp_path / f"dest-{os.urandom(4).hex()}"
        async with remote.session(address(repo.url), Credentials(), seconds=30) as session:
            head = await session.resolve(reference or Reference(branch="main"))
            async with mirrors.held("app") as mirror:
                commit = await session.checkout(head, dest, mirror=mirror, **more)
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
        async with mirrors.held(name) as path:
            path.mkdir(exist_ok=True)
            (path / "pack").write_bytes(b"x" * 100)
    kept = []
    for name in ("a", "b", "c"):
        async with mirrors.held(name) as path:
            kept.append((name, path.exists()))
    assert kept == [("a", True), ("b", False), ("c", True)]
    await mirrors.close()
    assert not list(tmp_path.glob("*"))


async def test_a_mirror_is_made_anew_before_it_holds_too_many_packs(server, repo, bring, monkeypatch):
    monkeypatch.setattr("shared.git.mirrors._PACKS", 2)
    repo.commit({"large": os.urandom(300_000)})
    for number in range(3):
        repo.commit({"a": str(number)})
        await bring()
    assert [size > 300_000 for size in server.packs] == [True, False, True]
