"""The demo's repository: served for reading only, and it tells of pushes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from fluvial.processes import Failed
from fluvial.repository import BRANCH, git, served


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.yaml").write_text("a: 1\n")
    return tmp_path / "files"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "demo").mkdir()
    return tmp_path / "demo"


async def test_a_commit_can_be_cloned_and_a_revert_undoes_it(folder: Path, files: Path, tmp_path: Path):
    async with served(folder, files) as repo:
        await repo.commit("First")
        (repo.tree / "a.yaml").write_text("a: 2\n")
        second = await repo.commit("Second")
        await git(tmp_path, "clone", "--quiet", "--branch", BRANCH, repo.url, "clone")
        assert (tmp_path / "clone" / "a.yaml").read_text() == "a: 2\n"
        assert (await git(tmp_path / "clone", "rev-parse", "HEAD")).strip() == second
        third = await repo.revert()
        await git(tmp_path / "clone", "pull", "--quiet")
        assert (tmp_path / "clone" / "a.yaml").read_text() == "a: 1\n"
        assert third != second
    assert (files / "a.yaml").read_text() == "a: 1\n", "the example itself stays as it is"


async def test_each_push_is_told_also_one_by_hand(folder: Path, files: Path):
    async with served(folder, files) as repo:
        waiting = asyncio.create_task(repo.pushed())
        await repo.commit("First")
        await asyncio.wait_for(waiting, 10)
        waiting = asyncio.create_task(repo.pushed())
        await git(repo.tree, "commit", "--quiet", "--allow-empty", "--message=Second")
        await asyncio.sleep(0)
        assert not waiting.done()
        await git(repo.tree, "push", "--quiet")
        await asyncio.wait_for(waiting, 10)


async def test_nobody_pushes_over_http(folder: Path, files: Path):
    async with served(folder, files) as repo:
        await repo.commit("First")
        await git(repo.tree, "commit", "--quiet", "--allow-empty", "--message=Second")
        with pytest.raises(Failed, match="git push failed"):
            await git(repo.tree, "push", "--quiet", repo.url, BRANCH)


@pytest.mark.parametrize("path", ["/config.git/../../secret", "/config.git/%2e%2e/%2e%2e/secret", "/nowhere.git/HEAD"])
async def test_nothing_else_is_served(folder: Path, files: Path, path: str):
    (folder / "secret").write_text("opensesame")
    async with served(folder, files) as repo:
        host, port = repo.url.split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.split()[1] in ("403", "404")
        assert "opensesame" not in answer


async def test_the_server_ends_with_the_block(folder: Path, files: Path):
    async with served(folder, files) as repo:
        await repo.commit("First")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(repo.url)


async def test_the_user_s_git_configuration_plays_no_part(
    folder: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "gitconfig").write_text("[commit]\n\tgpgSign = true\n[core]\n\thooksPath = /nowhere\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_DIR", os.devnull)
    async with served(folder, files) as repo:
        await repo.commit("First")
        await asyncio.wait_for(repo.pushed(), 10)


async def test_git_s_own_words_are_in_the_error(folder: Path, files: Path):
    async with served(folder, files) as repo:
        with pytest.raises(Failed, match="git commit failed"):
            await git(repo.tree, "commit", "--message=Nothing")


async def test_a_push_is_not_held_up_once_nobody_listens(folder: Path, files: Path):
    async with served(folder, files) as repo:
        await repo.commit("First")
    await git(repo.tree, "commit", "--quiet", "--allow-empty", "--message=Second")
    await asyncio.wait_for(git(repo.tree, "push", "--quiet"), 30)


async def test_a_cancelled_git_ends_with_what_it_started(folder: Path, files: Path):
    async with served(folder, files) as repo:
        await repo.commit("First")
        hook = folder / "git" / "config.git" / "hooks" / "post-receive"
        hook.write_text("#!/bin/sh\necho $$ >started\nsleep 99\n")
        await git(repo.tree, "commit", "--quiet", "--allow-empty", "--message=Second")
        push = asyncio.create_task(git(repo.tree, "push", "--quiet"))
        async with asyncio.timeout(30):
            while not (folder / "git" / "config.git" / "started").exists():
                await asyncio.sleep(0.01)
        push.cancel()
        with pytest.raises(asyncio.CancelledError):
            await push
        pid = (folder / "git" / "config.git" / "started").read_text().strip()
        async with asyncio.timeout(30):
            while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
                await asyncio.sleep(0.01)
