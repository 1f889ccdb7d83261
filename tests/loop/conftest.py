"""An embedded API for the tests of what watches one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import kubeapi
from shared.kube import config
from shared.kube.client import Client


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of it, with the rights of an administrator and without a limit of its own."""
    server = await kubeapi.start(tls=False)
    server.kubeconfig(tmp_path / "admin")
    client = Client(config.load(tmp_path / "admin"), qps=-1)
    try:
        yield client
    finally:
        await client.close()
        await server.stop()
