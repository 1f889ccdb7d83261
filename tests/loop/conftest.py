"""An embedded API for the tests of what watches one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import kubeapi
from kubeapi.server import Server
from shared.kube import config
from shared.kube.client import Client


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The API server, whose faults can be asked for."""
    started = await kubeapi.start(tls=False)
    try:
        yield started
    finally:
        await started.stop()


@pytest.fixture
async def api(server: Server, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of it, with the rights of an administrator and without a limit of its own."""
    server.kubeconfig(tmp_path / "admin")
    client = Client(config.load(tmp_path / "admin"), qps=-1)
    try:
        yield client
    finally:
        await client.close()
