"""What can go wrong with a repository is told in words that say what to fix, and leaves the last artifact alone."""

from __future__ import annotations

import logging
import socket
import threading

import pytest

from tests.kit.gitserver import SSHD, Certificates, GitServer, SshServer
from tests.source_controller.conftest import condition


async def message(world, name="s", reason="GitOperationFailed"):
    source = await world.failed(name, reason)
    assert condition(source, "FetchFailed", "reason") == reason
    assert condition(source, "Reconciling", "reason") == "ProgressingWithRetry"
    assert "artifact" not in source["status"]
    return condition(source, "Ready", "message")


async def test_a_repository_that_does_not_exist(controller, git):
    await controller.put("s", {"url": f"{git.url}/absent"})
    assert await message(controller) == "failed to checkout and determine revision: repository not found"


async def test_no_server_at_all(controller):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    await controller.put("s", {"url": f"http://127.0.0.1:{port}/app"})
    assert f"dial tcp 127.0.0.1:{port}: connect: connection refused" in await message(controller)


async def test_a_missing_branch(controller, repo):
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url, "ref": {"branch": "absent"}})
    assert 'couldn\'t find remote ref "refs/heads/absent"' in await message(controller)


async def test_an_empty_repository_becomes_ready_with_its_first_commit(controller, repo):
    await controller.put("s", {"url": repo.url})
    assert await message(controller, reason="EmptyGitRepository") == "git repository is empty"
    head = repo.commit({"a": "1"})
    source = await controller.ready("s", head)
    assert condition(source, "FetchFailed") is None


async def test_missing_credentials_say_where_to_put_them(controller, git, repo):
    repo.commit({"a": "1"})
    git.require(repo, "ada", "s3cret-password")
    await controller.put("s", {"url": repo.url})
    assert (await message(controller)).endswith(
        "authentication required; name a Secret with credentials in spec.secretRef"
    )


async def test_wrong_credentials_name_the_secret_and_show_nothing_of_it(controller, git, repo, caplog):
    caplog.set_level(logging.DEBUG)
    repo.commit({"a": "1"})
    git.require(repo, "ada", "s3cret-password")
    await controller.secret("auth", {"username": "ada", "password": "wr0ng-password"})
    await controller.put("s", {"url": repo.url, "secretRef": {"name": "auth"}})
    assert (await message(controller)).endswith(
        "authentication required; check the credentials in the secret 'default/auth'"
    )
    shown = str(await controller.read("s")) + str(await controller.events("s")) + caplog.text
    assert "wr0ng-password" not in shown


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"password": "x"}, "'password' requires 'username'"),
        ({"ca.crt": "no certificate"}, "'ca.crt' holds no PEM certificate"),
        ({"tls.crt": "x"}, "'tls.crt' and 'tls.key' go together"),
        ({"username": b"\xff\xfe"}, "the key 'username' is not UTF-8"),
        ({"username": "ada\nEvil: header", "password": "x"}, "'username' has more than one line"),
    ],
)
async def test_a_secret_that_cannot_be_used_says_which_key_is_wrong(controller, repo, data, problem):
    repo.commit({"a": "1"})
    await controller.secret("auth", data)
    await controller.put("s", {"url": repo.url, "secretRef": {"name": "auth"}})
    assert problem in await message(controller, reason="AuthenticationFailed")


async def test_a_github_app_secret_needs_the_provider(controller, repo):
    await controller.secret("app", {"githubAppID": "1"})
    await controller.put("s", {"url": repo.url, "secretRef": {"name": "app"}})
    text = await message(controller, reason="InvalidProviderConfiguration")
    assert text == "secretRef 'default/app' has github app data but provider is not set to github"


async def test_an_untrusted_certificate(world, tmp_path):
    certificates = Certificates(tmp_path / "tls")
    await world.start()
    with GitServer(tmp_path / "tls-git", certificates) as git:
        repo = git.create("app")
        repo.commit({"a": "1"})
        await world.put("s", {"url": repo.url})
        assert "certificate signed by unknown authority" in await message(world)
        await world.secret("ca", {"ca.crt": certificates.ca})
        await world.put("s", {"url": repo.url, "secretRef": {"name": "ca"}})
        await world.ready("s")


@pytest.mark.skipif(SSHD is None, reason="needs sshd: install openssh-server")
async def test_a_wrong_host_key_and_a_refused_identity(controller, repo, tmp_path):
    head = repo.commit({"a": "1"})
    with SshServer(tmp_path / "ssh") as ssh:
        wrong = {"identity": ssh.client.private, "known_hosts": ssh.known_hosts(ssh.stranger)}
        await controller.secret("host", wrong)
        await controller.secret("who", {"identity": ssh.stranger.private, "known_hosts": ssh.known_hosts()})
        await controller.secret("right", {"identity": ssh.client.private, "known_hosts": ssh.known_hosts()})
        await controller.secret("locked", {"identity": ssh.locked.private, "known_hosts": ssh.known_hosts()})
        for name in ("host", "who", "right", "locked"):
            await controller.put(name, {"url": ssh.url(repo), "secretRef": {"name": name}})
        assert "knownhosts: key mismatch" in await message(controller, "host")
        refused = await message(controller, "who")
        assert "unable to authenticate" in refused
        assert "check the credentials in the secret 'default/who'" in refused
        assert "no 'password' field was provided in the secret 'default/locked'" in await message(
            controller, "locked", "AuthenticationFailed"
        )
        await controller.ready("right", head)


async def test_a_server_that_never_answers_costs_the_timeout_and_no_worker(world, repo):
    head = repo.commit({"a": "1"})
    await world.start("--concurrent=1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held = []
        threading.Thread(target=lambda: _accept(silent, held), daemon=True).start()
        await world.put("s", {"url": f"http://127.0.0.1:{silent.getsockname()[1]}/app", "timeout": "500ms"})
        assert "timed out after 0.5 seconds" in await message(world)
        await world.put("other", {"url": repo.url})
        await world.ready("other", head)


def _accept(server, held):
    while True:
        try:
            held.append(server.accept()[0])
        except OSError:
            return


async def test_a_failure_keeps_the_artifact_and_its_end_is_told(controller, git, repo):
    repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url})
    before = await controller.ready("s")
    git.answer = lambda path: (503, {})
    await controller.ask("s")
    failed = await controller.failed("s", "GitOperationFailed")
    assert "unexpected status code 503" in condition(failed, "Ready", "message")
    assert failed["status"]["artifact"] == before["status"]["artifact"]
    assert condition(failed, "ArtifactInStorage") == "True"
    git.answer = lambda path: None
    await controller.ready("s")
    assert "Succeeded" in [event["reason"] for event in await controller.events("s")]


@pytest.mark.parametrize("url", ["http://", "https://[::1", "http://ho st/app", "ssh://-oProxyCommand=x/app"])
async def test_an_address_that_is_none_stalls(controller, url):
    await controller.put("s", {"url": url})
    source = await controller.failed("s", "URLInvalid")
    assert condition(source, "Stalled", "reason") == "URLInvalid"
    assert condition(source, "Ready", "message").startswith(f"failed to parse url '{url}'")
    assert source["status"]["observedGeneration"] == 1


async def test_a_password_in_the_url_is_used_and_never_shown(controller, git, repo, caplog):
    caplog.set_level(logging.DEBUG)
    head = repo.commit({"a": "1"})
    git.require(repo, "ada", "s3cret-password")
    await controller.put("s", {"url": repo.url.replace("://", "://ada:s3cret-password@")})
    await controller.ready("s", head)
    await controller.put("s", {"url": repo.url.replace("://", "://ada:wr0ng-password@")})
    source = await controller.failed("s", "GitOperationFailed")
    shown = str(source["status"]) + str(await controller.events("s")) + caplog.text
    assert "password" not in shown.replace("managedFields", "")


async def test_a_sparse_checkout_of_what_is_not_there(controller, repo):
    repo.commit({"a/x": "1"})
    await controller.put("s", {"url": repo.url, "sparseCheckout": ["a", "absent"]})
    assert await message(controller) == (
        "failed to sparse checkout directories : sparse checkout dir 'absent' does not exist in repository"
    )
