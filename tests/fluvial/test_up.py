"""`fluvial up`, as a process, on repositories that are right and wrong, with and without a cluster of one's own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import requests

import kubeapi
from fluvial.watching import ready, watched
from shared.kube import config
from shared.kube.client import Client
from tests.fluvial.running import Command
from tests.kit import controlplane
from tests.kit.gitserver import GitServer, Repo

pytestmark = pytest.mark.timeout(300)  # each starts three programs, on a machine that may be busy
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: default}\n"
RECEIVER = """\
apiVersion: v1
kind: Secret
metadata: {name: hook, namespace: flux-system}
stringData: {token: not a secret of anybody}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: hook, namespace: flux-system}
spec:
  type: generic
  secretRef: {name: hook}
  resources: [{kind: GitRepository, name: flux-system}]
"""


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
def repo(git: GitServer) -> Repo:
    repo = git.create("config")
    repo.commit({"clusters/dev/app.yaml": CONFIG_MAP})
    return repo


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[Path]:
    """The kubeconfig of an embedded API that somebody else runs."""
    server = await kubeapi.start()
    try:
        server.kubeconfig(tmp_path / "kubeconfig")
        yield tmp_path / "kubeconfig"
    finally:
        await server.stop()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a real control plane."""
    if not (tools := controlplane.available()):
        if os.environ.get("FLUVIAL_REQUIRE_REAL") == "1":
            pytest.fail(f"the real control plane is required: {tools.reason}", pytrace=False)
        pytest.skip(tools.reason)
    with controlplane.ControlPlane.start(tmp_path / "control-plane") as plane:
        yield plane.kubeconfig


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def cluster(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of a cluster that somebody else runs."""
    return Path(request.getfixturevalue(request.param))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_applies_a_path_and_ends_with_nothing_left(tmp_path: Path, repo: Repo, number: signal.Signals):
    with Command(tmp_path, "up", "--url", repo.url, "--branch", "main", "--path", "clusters/dev") as up:
        up.until("✔ GitRepository flux-system: stored artifact for revision 'main@sha1:")
        up.until("✔ Kustomization flux-system: Applied revision: main@sha1:")
        assert len(up.children()) >= 3
        assert up.end(number) == 0
    assert "stopped; nothing is left behind" in up.output
    assert up.left() == []


def test_a_wrong_path_is_named_in_the_condition_s_words_and_right_once_it_is_there(
    tmp_path: Path, git: GitServer, repo: Repo
):
    with Command(tmp_path, "up", "--url", repo.url, "--path", "clusters/prod", "--interval", "1s") as up:
        up.until("✘ Kustomization flux-system (ArtifactFailed):")
        assert "clusters/prod" in up.until("path not found")
        repo.commit({"clusters/prod/app.yaml": CONFIG_MAP})
        up.until("✔ Kustomization flux-system: Applied revision: main@sha1:")
        assert up.end(signal.SIGINT) == 0


def test_a_webhook_of_a_receiver_in_the_repository_brings_the_next_commit(tmp_path: Path, repo: Repo):
    repo.commit({"clusters/dev/hook.yaml": RECEIVER})
    with Command(tmp_path, "up", "--url", repo.url, "--path", "clusters/dev", "--interval", "1h") as up:
        address = up.until("webhooks for Receivers: http://127.0.0.1:").split()[-1]
        path = up.until("✔ Receiver hook: Receiver initialized for path: ").split()[-1]
        sha = repo.commit({"clusters/dev/more.yaml": CONFIG_MAP.replace("app", "more")})
        assert requests.post(address + path, timeout=10).status_code == 200
        up.until(f"✔ Kustomization flux-system: Applied revision: main@sha1:{sha}")
        assert up.end(signal.SIGINT) == 0
    assert up.left() == []


def test_a_repository_that_is_not_there_is_told_in_the_condition_s_words(tmp_path: Path, git: GitServer):
    url = git.create("config").url.replace("config", "elsewhere")
    with Command(tmp_path, "up", "--url", url) as up:
        up.until("✘ GitRepository flux-system (GitOperationFailed):")
        assert "not found" in up.until("      ").lower()
        assert up.end(signal.SIGINT) == 0
    assert up.left() == []


def test_a_controller_that_dies_is_told_and_started_again(tmp_path: Path, repo: Repo):
    with Command(tmp_path, "up", "--url", repo.url, "--path", "clusters/dev", "--interval", "1s") as up:
        up.until("✔ Kustomization flux-system")
        os.kill(up.child("kustomize_controller"), signal.SIGKILL)
        up.until("✘ kustomize-controller ended by itself with status -9")
        up.until("kustomize-controller is started again")
        repo.commit({"clusters/dev/more.yaml": CONFIG_MAP.replace("app", "more")})
        up.until("✔ Kustomization flux-system: Applied revision: main@sha1:")
        os.kill(up.child("fluvial"), signal.SIGKILL)
        assert up.end() == 1, "without its API there is nothing to go on with"
    assert "✘ kubeapi ended by itself with status -9" in up.output
    assert up.left() == []


async def test_what_the_embedded_api_keeps_is_gone_on_with(tmp_path: Path, repo: Repo):
    arguments = ("up", "--url", repo.url, "--path", "clusters/dev", "--data", str(tmp_path / "data"))
    seen = []
    for _ in range(2):
        with Command(tmp_path, *arguments) as up:
            for _line in ("it runs", "one object is ready", "and so is the other, whichever comes first"):
                up.until("✔")
            assert "✔ Kustomization flux-system: Applied revision: main@sha1:" in up.output
            client = Client(config.load(up.kubeconfig()))
            found = await client.get("v1", "ConfigMap", "app", "default")
            seen.append((found["metadata"]["uid"], found["metadata"]["resourceVersion"]))
            await client.close()
            assert await asyncio.to_thread(up.end, signal.SIGINT) == 0
        assert f"nothing is left behind but {tmp_path / 'data'}" in up.output
        assert up.left() == []
    assert seen[0] == seen[1], "the second run found it as it should be"


async def test_in_a_cluster_of_ones_own_what_was_applied_stays(tmp_path: Path, repo: Repo, cluster: Path):
    arguments = ("up", "--url", repo.url, "--path", "clusters/dev", "--kubeconfig", str(cluster))
    client = Client(config.load(cluster))
    with Command(tmp_path, *arguments) as up:
        await asyncio.to_thread(up.until, "✔ Kustomization flux-system: Applied revision: main@sha1:")
        up.process.send_signal(signal.SIGINT)
        async with watched(client, "v1", "ConfigMap", "default") as maps:
            assert await asyncio.to_thread(up.end) == 0
            assert maps.get("default", "app") is not None
    assert "the cluster keeps what was applied" in up.output
    kustomization = await client.get("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system", "flux-system")
    assert ready(kustomization)[0] == "True"
    assert up.left() == []
    await client.close()


async def test_a_cluster_that_runs_the_controllers_already_is_left_alone(tmp_path: Path, embedded: Path):
    client = Client(config.load(embedded))
    container = {"name": "manager", "image": "example.com/manager"}
    labels = {"app": "source-controller"}
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}})
    await client.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "source-controller", "namespace": "flux-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
    )
    with Command(tmp_path, "up", "--url", "https://example.com/config", "--kubeconfig", str(embedded)) as up:
        assert await asyncio.to_thread(up.end) == 1
    assert "runs flux-system/source-controller already" in up.output
    definitions = await client.list("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert definitions == []
    await client.close()


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path):
    (tmp_path / "kubeconfig").write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: it\n"
        "clusters: [{name: it, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: it, user: {token: opensesame}}]\n"
        "contexts: [{name: it, context: {cluster: it, user: it}}]\n"
    )
    arguments = ("up", "--url", "https://example.com/config", "--kubeconfig", str(tmp_path / "kubeconfig"))
    with Command(tmp_path, *arguments) as up:
        assert up.end() == 1
    assert "http://127.0.0.1:1" in up.output
    assert "opensesame" not in up.output
    assert up.left() == []


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path):
    with Command(tmp_path, "up", "--url", "https://example.com/c", "--kubeconfig", str(tmp_path / "nowhere")) as up:
        assert up.end() == 1
    assert "no cluster to work on" in up.output
    assert str(tmp_path / "nowhere") in up.output
