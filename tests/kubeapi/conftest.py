"""A server of its own for each test, and a client of it."""

from __future__ import annotations

import aiohttp
import pytest

import kubeapi
from tests.kubeapi.server_kit import Api


@pytest.fixture
async def api():
    server = await kubeapi.start(tls=False, workload_delay=0.02)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        yield api
    await server.stop()
