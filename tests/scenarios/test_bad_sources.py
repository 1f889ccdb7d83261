"""A source that can't be had says why, with what to do; what was fetched and applied before stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.source import GitRepository
from tests.kit import archives
from tests.kit.archives import Files
from tests.kit.cluster import Cluster
from tests.kit.gitserver import SSHD, Repo, SshServer
from tests.kit.objects import ConfigMap, config_map, files, kustomization, secret, source


async def applied(cluster: Cluster, repo: Repo) -> None:
    """The state that the tests begin with, and that nothing bad may end."""
    repo.commit({"a.yaml": files(config_map("settings", {"colour": "blue"}))})
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)


async def require_still_applied(cluster: Cluster) -> None:
    """The object is there, the source still has its artifact, and drift is still healed."""
    stored = await cluster.get(GitRepository, "app")
    assert stored.status["artifact"]["digest"]
    await cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"colour": "blue"})


async def test_a_repository_that_does_not_exist(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    await cluster.edit(GitRepository, "app", {"spec": {"url": f"{cluster.git.url}/nowhere"}})
    app = await cluster.until(GitRepository, "app", reason="GitOperationFailed", ready=False)
    assert "repository not found" in app.ready.message
    await require_still_applied(cluster)


async def test_a_server_that_does_not_listen(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    await cluster.edit(GitRepository, "app", {"spec": {"url": "http://127.0.0.1:1/app"}})
    app = await cluster.until(GitRepository, "app", reason="GitOperationFailed", ready=False)
    assert "127.0.0.1:1: connect: connection refused" in app.ready.message
    await require_still_applied(cluster)


async def test_wrong_credentials_name_the_secret_and_never_what_is_in_it(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    cluster.git.require(repo, "ada", "l0velace")
    await cluster.have(secret("login", {"username": "ada", "password": "wr0ng"}))
    await cluster.edit(GitRepository, "app", {"spec": {"secretRef": {"name": "login"}}})
    app = await cluster.until(GitRepository, "app", reason="GitOperationFailed", ready=False)
    assert f"check the credentials in the secret '{cluster.namespace}/login'" in app.ready.message
    told = [app.manifest["status"], await cluster.events("app")]
    assert "wr0ng" not in str(told)
    await require_still_applied(cluster)
    await cluster.have(secret("login", {"username": "ada", "password": "l0velace"}))
    await cluster.until(GitRepository, "app", ready=True)


async def test_a_secret_that_is_not_there(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    await cluster.edit(GitRepository, "app", {"spec": {"secretRef": {"name": "absent"}}})
    app = await cluster.until(GitRepository, "app", reason="AuthenticationFailed", ready=False)
    assert f"{cluster.namespace}/absent" in app.ready.message
    await require_still_applied(cluster)


@pytest.mark.skipif(SSHD is None, reason="needs sshd: install openssh-server")
async def test_a_wrong_host_key(cluster: Cluster, repo: Repo, tmp_path: Path) -> None:
    await applied(cluster, repo)
    with SshServer(tmp_path / "ssh") as ssh:
        keys = {"identity": ssh.client.private, "known_hosts": ssh.known_hosts(ssh.stranger)}
        await cluster.have(secret("keys", keys))
        await cluster.edit(GitRepository, "app", {"spec": {"url": ssh.url(repo), "secretRef": {"name": "keys"}}})
        app = await cluster.until(GitRepository, "app", reason="GitOperationFailed", ready=False)
        assert "knownhosts: key mismatch" in app.ready.message
        await require_still_applied(cluster)
        await cluster.have(secret("keys", {**keys, "known_hosts": ssh.known_hosts()}))
        await cluster.until(GitRepository, "app", ready=True)


async def test_an_empty_repository_is_followed_from_its_first_commit(cluster: Cluster, repo: Repo) -> None:
    await cluster.have(source("app"), kustomization("app"))
    app = await cluster.until(GitRepository, "app", reason="EmptyGitRepository", ready=False)
    assert app.ready.message == "git repository is empty"
    waiting = await cluster.until(Kustomization, "app", reason="ArtifactFailed", ready=False)
    assert "Source artifact not found" in waiting.ready.message
    commit = repo.commit({"a.yaml": files(config_map())})
    await cluster.until(Kustomization, "app", revision=commit, ready=True)


async def test_a_branch_that_is_not_there(cluster: Cluster, repo: Repo) -> None:
    await applied(cluster, repo)
    await cluster.edit(GitRepository, "app", {"spec": {"ref": {"branch": "absent"}}})
    app = await cluster.until(GitRepository, "app", reason="GitOperationFailed", ready=False)
    assert "refs/heads/absent" in app.ready.message
    await require_still_applied(cluster)
    commit = repo.commit({"b.yaml": files(config_map("other"))}, branch="absent")
    await cluster.until(Kustomization, "app", ready=True, revision=commit)


@pytest.fixture(scope="module")
def served() -> Iterator[Files]:
    with Files() as serving:
        yield serving


HOSTILE = {
    "a name that leads out of the tree": (
        lambda: archives.archive(archives.file("../../escaped"), content=b"x"),
        "'../../escaped'",
    ),
    "an absolute name": (lambda: archives.archive(archives.file("/tmp/escaped"), content=b"x"), "'/tmp/escaped'"),
    "a link out of the tree": (
        lambda: archives.archive(archives.link("out", "/etc"), archives.file("out/escaped")),
        "'out' is a link",
    ),
    "a hard link": (lambda: archives.archive(archives.link("out", "/etc/passwd", hard=True)), "'out' is a link"),
    "ten gigabytes of zeros": (archives.bomb, "10737418240 bytes"),
    "no archive at all": (lambda: b"<html>not found</html>", "gzip"),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_archive_is_refused(cluster: Cluster, repo: Repo, served: Files, what: str) -> None:
    await applied(cluster, repo)
    make, problem = HOSTILE[what]
    data = make()
    name = f"{cluster.namespace}.tar.gz"
    served.held[name] = data
    await cluster.edit(GitRepository, "app", {"spec": {"suspend": True}})
    await publish(cluster, {"url": served.url(name), "path": name, "digest": archives.digest(data), "size": len(data)})
    app = await cluster.until(Kustomization, "app", reason="ArtifactFailed", ready=False)
    assert f"artifact {name} can't be unpacked" in app.ready.message
    assert problem in app.ready.message
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "blue"}


async def test_an_artifact_that_is_not_what_its_digest_says(cluster: Cluster, repo: Repo, served: Files) -> None:
    await applied(cluster, repo)
    name = f"{cluster.namespace}.tar.gz"
    served.held[name] = archives.archive(archives.file("a.yaml"), content=files(config_map("forged")).encode())
    await cluster.edit(GitRepository, "app", {"spec": {"suspend": True}})
    await publish(cluster, {"url": served.url(name), "path": name, "digest": archives.digest(b"another")})
    app = await cluster.until(Kustomization, "app", reason="ArtifactFailed", ready=False)
    assert "digest" in app.ready.message
    assert await cluster.names(ConfigMap) == {"settings"}


async def publish(cluster: Cluster, artifact: Manifest) -> None:
    """Name another artifact in the status of the suspended source, as someone would who got hold of it."""
    stamp = {"revision": "main@sha1:" + "0" * 40, "lastUpdateTime": "2026-01-31T12:00:00Z"}
    resource = GitRepository.resource
    await cluster.client.patch(
        resource.api_version,
        resource.kind,
        "app",
        cluster.namespace,
        {"status": {"artifact": stamp | artifact}},
        subresource="status",
    )
