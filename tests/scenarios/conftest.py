"""Every scenario runs twice: on an embedded API and on a real control plane, each with the controllers as processes.

Both are started once for the test run (or for each of its workers), when the first scenario needs them, and every test
gets a namespace of its own. Without the Go tools of the real one its tests are skipped, saying why; with
FLUVIAL_REQUIRE_REAL=1 they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from shared.kube import config
from shared.kube.client import Client
from tests.kit import controlplane
from tests.kit.cluster import Cluster
from tests.kit.gitserver import GitServer, Repo
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed

FLAGS = {
    "source-controller": ["--min-retry-delay=200ms"],
    "kustomize-controller": [
        "--min-retry-delay=200ms",
        "--requeue-dependency=2s",
        "--feature-gates=ObjectLevelWorkloadIdentity=true,ExternalArtifact=true",
    ],
}

Installed = Callable[[str], Installation]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The installation on an API server, started when it is first asked for."""
    running: dict[str, Installation] = {}
    broken: dict[str, ProcessFailed] = {}

    def start(api: str) -> Installation:
        if api not in running:
            if api == "real" and not (tools := controlplane.available()):
                if os.environ.get("FLUVIAL_REQUIRE_REAL") == "1":
                    pytest.fail(f"the real control plane is required: {tools.reason}", pytrace=False)
                pytest.skip(tools.reason)
            if api in broken:
                pytest.fail(f"it did not start: {broken[api]}", pytrace=False)
            try:
                running[api] = Installation.start(api, tmp_path_factory.mktemp(api), flags=FLAGS)
            except ProcessFailed as failure:
                broken[api] = failure
                raise
        running[api].require_running()
        return running[api]

    yield start
    for installation in running.values():
        installation.stop()


@pytest.fixture(scope="session")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    """A Git server; each test makes the repositories that it needs."""
    with GitServer(tmp_path_factory.mktemp("git") / "served") as server:
        yield server


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.real)])
def installation(request: pytest.FixtureRequest, installed: Installed) -> Installation:
    """The running toolkit, on each API server in turn."""
    return installed(request.param)


@pytest.fixture
async def cluster(installation: Installation, git: GitServer) -> AsyncIterator[Cluster]:
    """A namespace of the cluster."""
    client = Client(config.load(Path(installation.kubeconfig)), qps=-1)
    cluster = await Cluster.make(client, git)
    yield cluster
    await cluster.close()
    await client.close()


@pytest.fixture
def repo(cluster: Cluster) -> Repo:
    """The test's own Git repository, which `source` follows; nothing is in it yet."""
    return cluster.repo
