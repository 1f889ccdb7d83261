"""Commits come from real servers, over HTTP, HTTPS and SSH, and failures say what to fix."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.git import remote
from shared.git.credentials import address, from_secret
from shared.git.errors import (
    AuthenticationFailed,
    EmptyRepository,
    GitError,
    MissingDirectory,
    RefNotFound,
    TimedOut,
    TooLarge,
)
from shared.git.refs import Head, Reference
from tests.kit.gitserver import SSHD, Certificates, GitServer, SshServer, git

MAIN = Reference(branch="main")


@pytest.fixture
def server(tmp_path):
    with GitServer(tmp_path / "server") as made:
        yield made


@pytest.fixture
def repo(server):
    return server.create("app")


@asynccontextmanager
async def session(url, data=None, seconds=60.0, options=None, proxy=""):
    at = address(url)
    secret = {name: value.encode() for name, value in (data or {}).items()}
    async with remote.session(at, from_secret(at, secret, proxy=proxy), seconds=seconds, options=options) as opened:
        yield opened


async def head_of(url, data=None, reference=MAIN, **more) -> Head:
    async with session(url, data, **more) as opened:
        return await opened.resolve(reference)


async def brought(tmp_path, url, data=None, reference=MAIN, options=None, **more):
    dest = tmp_path / f"dest-{time.monotonic_ns()}"
    async with session(url, data, options=options) as opened:
        head = await opened.resolve(reference)
        commit = await opened.fetch(head, submodules=more.get("submodules", False))
        await opened.checkout(commit, dest, **more)
    return commit, {str(path.relative_to(dest)): path.read_bytes() for path in dest.rglob("*") if path.is_file()}


async def test_a_branch_is_brought_without_history_or_git_directory(tmp_path, repo):
    repo.commit({"old": "1"})
    head = repo.commit({"a.yaml": "a", "deep/b.yaml": "b", "old": None}, "Add a\n\nwith a body")
    commit, files = await brought(tmp_path, repo.url)
    assert (commit.hash, commit.revision, commit.title) == (head, f"main@sha1:{head}", "Add a")
    assert files == {"a.yaml": b"a", "deep/b.yaml": b"b"}


async def test_a_long_title_is_cut(tmp_path, repo):
    repo.commit({"a": "1"}, "x" * 60)
    commit, _ = await brought(tmp_path, repo.url)
    assert commit.title == "x" * 50 + "..."


async def test_asking_costs_one_listing_and_no_clone(server, repo):
    head = repo.commit({"a": "1"})
    assert (await head_of(repo.url)).commit == head
    assert not [path for path, _ in server.requests if "service=git-upload-pack" not in path and "upload" not in path]
    assert len(server.requests) == 2  # protocol 2: capabilities, references


async def test_annotated_tags_give_the_commit_and_the_tag(tmp_path, repo):
    commit_id = repo.commit({"a": "1"})
    tag_id = repo.tag("v1", "first")
    repo.commit({"a": "2"})
    commit, files = await brought(tmp_path, repo.url, reference=Reference(tag="v1"))
    assert (commit.hash, commit.tag.hash, commit.tag.name, files) == (commit_id, tag_id, "v1", {"a": b"1"})
    assert commit.tag.raw.startswith(f"object {commit_id}".encode())
    assert commit.revision == f"v1@sha1:{commit_id}"


async def test_a_commit_is_brought_where_the_server_allows_it_and_where_not(tmp_path, repo):
    pinned = repo.commit({"a": "1"})
    other = repo.commit({"a": "2"}, branch="other")
    repo.commit({"a": "3"})
    for allowed in ("true", "false"):
        git("-C", str(repo.bare), "config", "uploadpack.allowAnySHA1InWant", allowed)
        for reference, wanted in (
            (Reference(commit=pinned), {"a": b"1"}),
            (Reference(commit=pinned, branch="main"), {"a": b"1"}),
            (Reference(commit=other), {"a": b"2"}),
        ):
            _, files = await brought(tmp_path, repo.url, reference=reference)
            assert files == wanted


async def test_a_commit_that_is_not_there_is_named(tmp_path, repo):
    repo.commit({"a": "1"})
    with pytest.raises(RefNotFound, match="unable to resolve commit object for 'ffff"):
        await brought(tmp_path, repo.url, reference=Reference(commit="f" * 40))


async def test_pull_requests_are_reached_by_their_full_name(tmp_path, repo):
    repo.commit({"a": "1"})
    repo.commit({"a": "2"}, branch="topic")
    repo.git("push", "-q", "origin", "HEAD:refs/pull/4/head")
    commit, files = await brought(tmp_path, repo.url, reference=Reference(name="refs/pull/4/head"))
    assert commit.name == "refs/pull/4/head"
    assert files == {"a": b"2"}


async def test_a_force_push_is_followed(tmp_path, repo):
    repo.commit({"a": "1"})
    repo.git("commit", "-q", "--amend", "-m", "other")
    repo.commit({"a": "2"})
    _, files = await brought(tmp_path, repo.url)
    assert files == {"a": b"2"}


async def test_files_arrive_as_they_were_committed(tmp_path, repo):
    wanted = {"crlf": b"a\r\nb\r\n", "lf": b"a\nb\n", "id": b"$Id$\n", ".gitattributes": b"* text eol=crlf ident\n"}
    work = repo.work
    repo.commit({})
    for name, data in wanted.items():
        (work / name).write_bytes(data)
        blob = repo.git("hash-object", "-w", "--no-filters", name).strip()
        repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    repo.git("commit", "-q", "-m", "raw")
    repo.git("push", "-q", "origin", "HEAD:refs/heads/main")
    _, files = await brought(tmp_path, repo.url)
    assert files == wanted


async def test_names_with_newlines_and_other_encodings_arrive(tmp_path, repo):
    strange = os.fsdecode(b"caf\xe9\nnew.yaml")
    repo.commit({strange: "1"})
    _, files = await brought(tmp_path, repo.url)
    assert files == {strange: b"1"}


async def test_large_file_pointers_stay_pointers(tmp_path, repo):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    repo.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "a.bin": pointer})
    _, files = await brought(tmp_path, repo.url)
    assert files["a.bin"].decode() == pointer


async def test_sparse_checkout_takes_only_the_directories(tmp_path, repo):
    repo.commit({"deploy/a": "1", "deploy/deep/b": "2", "src/c": "3", "docs/d": "4", "top": "5", "deploy2/x": "6"})
    _, files = await brought(tmp_path, repo.url, sparse=["./deploy", "docs/"])
    assert set(files) == {"deploy/a", "deploy/deep/b", "docs/d"}
    for bad in ("absent", "../x", "/etc", "dep*"):
        with pytest.raises(MissingDirectory, match="does not exist in repository"):
            await brought(tmp_path, repo.url, sparse=[bad])


async def test_submodules_come_on_request_and_recursively(tmp_path, server, repo):
    inner, outer = server.create("inner"), server.create("outer")
    inner.commit({"i": "1"})
    outer.commit({"o": "1"})
    for parent, child, where in ((outer, inner, "sub"), (repo, outer, "lib")):
        parent.commit({"top": "1"})
        parent.git("submodule", "add", "-q", child.url, where)
        parent.git("config", "-f", ".gitmodules", f"submodule.{where}.url", f"../{child.name}")
        parent.commit({})
    server.require(inner, "ada", "s3cret")
    server.require(repo, "ada", "s3cret")
    secret = {"username": "ada", "password": "s3cret"}
    _, plain = await brought(tmp_path, repo.url, secret)
    assert set(plain) == {".gitmodules", "top"}
    _, files = await brought(tmp_path, repo.url, secret, submodules=True)
    assert {"lib/o", "lib/sub/i", "lib/.git"} < set(files)
    assert files["lib/.git"] == b"gitdir: ../.git/modules/lib\n"


async def test_a_submodule_elsewhere_gets_no_credentials_and_no_local_path(tmp_path, server, repo):
    with GitServer(tmp_path / "elsewhere") as elsewhere:
        thief = elsewhere.create("thief")
        thief.commit({"t": "1"})
        elsewhere.require(thief, "ada", "s3cret")
        server.require(repo, "ada", "s3cret")
        repo.commit({"a": "1"})
        repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(thief.bare), "lib")
        secret = {"username": "ada", "password": "s3cret"}
        for url in (thief.url, str(thief.bare), f"file://{thief.bare}", "ext::sh -c touch% /tmp/pwned"):
            repo.git("config", "-f", ".gitmodules", "submodule.lib.url", url)
            repo.commit({})
            with pytest.raises(GitError):
                await brought(tmp_path, repo.url, secret, submodules=True)
        assert [sent for _, sent in elsewhere.requests if sent] == []


async def test_basic_auth_is_sent_only_when_asked_and_never_shown(tmp_path, server, repo, monkeypatch):
    repo.commit({"a": "1"})
    server.require(repo, "ada", "s3cr$t `id` 'x'")
    seen = []

    async def spying(arguments, **more):
        seen.append(arguments)
        return await run(arguments, **more)

    run = remote.command.run
    monkeypatch.setattr(remote.command, "run", spying)
    _, files = await brought(tmp_path, repo.url, {"username": "ada", "password": "s3cr$t `id` 'x'"})
    assert files == {"a": b"1"}
    assert "s3cr" not in repr(seen)
    with pytest.raises(AuthenticationFailed) as error:
        await head_of(repo.url, {"username": "ada", "password": "wrong-password"})
    assert str(error.value) == "authentication required"
    with pytest.raises(AuthenticationFailed, match="authentication required"):
        await head_of(repo.url)


async def test_credentials_in_the_url_never_reach_arguments(tmp_path, server, repo, monkeypatch):
    repo.commit({"a": "1"})
    server.require(repo, "ada", "s3cret")
    seen = []
    run = remote.command.run

    async def spying(arguments, **more):
        seen.append(arguments)
        return await run(arguments, **more)

    monkeypatch.setattr(remote.command, "run", spying)
    _, files = await brought(tmp_path, repo.url.replace("://", "://ada:s3cret@"))
    assert files == {"a": b"1"}
    assert "s3cret" not in repr(seen)


async def test_a_bearer_token_is_sent_and_not_passed_on(tmp_path, server, repo):
    repo.commit({"a": "1"})
    server.require_token(repo, "t0ken")
    _, files = await brought(tmp_path, repo.url, {"bearerToken": "t0ken\n"})
    assert files == {"a": b"1"}
    with GitServer(tmp_path / "elsewhere") as elsewhere:
        server.answer = lambda path: (302, {"Location": elsewhere.url + path})
        with pytest.raises(GitError, match="redirects"):
            await head_of(repo.url, {"bearerToken": "t0ken"})
        assert elsewhere.requests == []


async def test_a_redirect_to_another_host_gets_no_password(tmp_path, server, repo):
    with GitServer(tmp_path / "elsewhere") as elsewhere:
        thief = elsewhere.create("app")
        thief.commit({"a": "1"})
        elsewhere.require(thief, "ada", "s3cret")
        server.answer = lambda path: (302, {"Location": elsewhere.url + path})
        with pytest.raises(AuthenticationFailed):
            await head_of(repo.url, {"username": "ada", "password": "s3cret"})
        assert elsewhere.requests
        assert [sent for _, sent in elsewhere.requests if sent] == []


async def test_a_renamed_repository_is_followed_on_the_same_host(tmp_path, server, repo):
    head = repo.commit({"a": "1"})
    server.require(repo, "ada", "s3cret")
    server.answer = lambda path: (301, {"Location": path.replace("/old", "/app")}) if "/old" in path else None
    found = await head_of(f"{server.url}/old", {"username": "ada", "password": "s3cret"})
    assert found.commit == head


@pytest.mark.parametrize("mutual", [False, True])
async def test_https_needs_the_right_authority_and_certificate(tmp_path, mutual):
    certificates = Certificates(tmp_path / "tls", want_client=mutual)
    with GitServer(tmp_path / "server", certificates) as server:
        repo = server.create("app")
        head = repo.commit({"a": "1"})
        client = {"tls.crt": certificates.client_certificate, "tls.key": certificates.client_key}
        secret = {"ca.crt": certificates.ca, **(client if mutual else {})}
        assert (await head_of(repo.url, secret)).commit == head
        with pytest.raises(GitError, match="certificate signed by unknown authority"):
            await head_of(repo.url, client if mutual else None)
        with pytest.raises(GitError, match="certificate signed by unknown authority"):
            await head_of(repo.url, {**secret, "ca.crt": Certificates(tmp_path / "other").ca})
        if mutual:
            with pytest.raises(GitError):
                await head_of(repo.url, {"ca.crt": certificates.ca})


@pytest.mark.skipif(SSHD is None, reason="sshd is not installed")
async def test_ssh_with_keys_known_hosts_and_passphrases(tmp_path, repo):
    head = repo.commit({"a": "1"})
    with SshServer(tmp_path / "ssh") as ssh:
        good = {"identity": ssh.client.private, "known_hosts": ssh.known_hosts()}
        _, files = await brought(tmp_path, ssh.url(repo), good)
        assert files == {"a": b"1"}
        locked = {**good, "identity": ssh.locked.private, "password": "open sesame"}
        assert (await head_of(ssh.url(repo), locked)).commit == head
        with pytest.raises(GitError, match=r"password is wrong|unable to authenticate"):
            await head_of(ssh.url(repo), {**locked, "password": "wrong"})
        with pytest.raises(GitError, match="knownhosts: key mismatch"):
            await head_of(ssh.url(repo), {**good, "known_hosts": ssh.known_hosts(ssh.stranger)})
        with pytest.raises(GitError, match="knownhosts: key is unknown"):
            await head_of(ssh.url(repo), {**good, "known_hosts": "example.com ssh-ed25519 AAAA\n"})
        with pytest.raises(AuthenticationFailed, match="unable to authenticate"):
            await head_of(ssh.url(repo), {**good, "identity": ssh.stranger.private})
        with pytest.raises(RefNotFound, match="repository not found"):
            await head_of(ssh.url(repo) + "-absent", good)


async def test_what_is_not_there_is_named(server, repo, tmp_path):
    with pytest.raises(EmptyRepository):
        await head_of(repo.url)
    repo.commit({"a": "1"})
    with pytest.raises(RefNotFound, match='couldn\'t find remote ref "refs/heads/absent"'):
        await head_of(repo.url, reference=Reference(branch="absent"))
    with pytest.raises(RefNotFound, match="repository not found"):
        await head_of(f"{server.url}/absent")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(GitError, match="connection refused"):
        await head_of(f"http://127.0.0.1:{port}/x")
    with pytest.raises(GitError, match="no such host"):
        await head_of("http://absent.invalid/x")


@pytest.mark.parametrize(
    ("status", "message"), [(403, "authorization failed"), (429, "too many requests"), (500, "status code 500")]
)
async def test_a_server_that_fails_says_so(server, repo, status, message):
    server.answer = lambda path: (status, {})
    with pytest.raises(GitError, match=message):
        await head_of(repo.url)


async def test_a_server_that_speaks_no_git_or_cuts_is_an_error(tmp_path, server, repo):
    repo.commit({"a": os.urandom(200_000)})
    server.spoil = lambda path, body: body[:50_000]
    with pytest.raises(GitError, match=r"cut the connection|damaged pack"):
        await brought(tmp_path, repo.url)
    server.answer = lambda path: (200, {"Content-Type": "text/html"})
    with pytest.raises(GitError):
        await head_of(repo.url)


async def test_a_server_that_does_not_answer_is_left_in_time_and_nothing_stays(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(TimedOut, match=r"timed out after 0.5 seconds"):
            await head_of(f"http://127.0.0.1:{silent.getsockname()[1]}/x", seconds=0.5)
        assert time.monotonic() - began < 10
        await _nothing_runs(f":{silent.getsockname()[1]}/")


async def test_a_cancelled_command_ends_with_all_it_started(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        task = asyncio.create_task(head_of(url))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await _nothing_runs(url)


async def _nothing_runs(word: str) -> None:
    for _ in range(100):
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(path.read_bytes())
            except OSError:
                continue
        if not [line for line in lines if word.encode() in line and b"git" in line]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"a git process for {word} is still there")


async def test_private_files_are_gone_afterwards(tmp_path, repo, monkeypatch):
    repo.commit({"a": "1"})
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    async with session(repo.url, {"username": "ada", "password": "s3cret"}) as opened:
        home = next((tmp_path / "tmp").iterdir())
        assert home.stat().st_mode & 0o777 == 0o700
        assert all(file.stat().st_mode & 0o077 == 0 for file in home.iterdir())
        assert "s3cret" not in (home / "askpass").read_text()
        await opened.resolve(MAIN)
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_too_many_or_too_big_files_are_refused_before_they_are_written(tmp_path, repo):
    repo.commit({f"f{number}": "x" * 100 for number in range(20)})
    with pytest.raises(TooLarge, match="20 files, more than 10"):
        await brought(tmp_path, repo.url, options=remote.Options(max_files=10))
    with pytest.raises(TooLarge, match="2000 bytes, more than 1000"):
        await brought(tmp_path, repo.url, options=remote.Options(max_bytes=1000))


async def test_a_tree_bomb_is_refused(tmp_path, repo):
    repo.commit({"a": "boom"})
    blob = repo.git("rev-parse", "HEAD:a").strip()
    tree = ""
    for level in range(10):
        line = f"100644 blob {blob}\t{{}}\n" if level == 0 else f"040000 tree {tree}\t{{}}\n"
        listing = "".join(line.format(f"d{number}") for number in range(10))
        (repo.work / "listing").write_text(listing)

        tree = (
            subprocess.run(
                ["git", "-C", str(repo.work), "mktree"], input=listing.encode(), capture_output=True, check=True
            )
            .stdout.decode()
            .strip()
        )
    commit = repo.git("commit-tree", tree, "-m", "bomb").strip()
    repo.git("push", "-q", "--force", "origin", f"{commit}:refs/heads/main")
    with pytest.raises(TooLarge):
        await brought(tmp_path, repo.url)


async def test_the_machine_s_configuration_and_environment_do_not_matter(tmp_path, repo, monkeypatch):
    head = repo.commit({"a": "1"})
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text('[url "http://127.0.0.1:1/"]\n\tinsteadOf = http://127.0.0.1\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "absent"))
    monkeypatch.setenv("GIT_SSL_NO_VERIFY", "1")
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare=true'")
    commit, _ = await brought(tmp_path, repo.url)
    assert commit.hash == head


async def test_an_empty_commit_is_an_empty_tree(tmp_path, repo):
    repo.commit({})
    commit, files = await brought(tmp_path, repo.url)
    assert files == {}
    assert len(commit.hash) == 40
