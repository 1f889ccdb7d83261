"""A server of its own for each test, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

import kubeapi
from tests.kit import controlplane
from tests.kubeapi import admission_kit
from tests.kubeapi.admission_kit import Target
from tests.kubeapi.server_kit import Api


@pytest.fixture
async def api():
    server = await kubeapi.start(tls=False, workload_delay=0.02)
    async with aiohttp.ClientSession() as session:
        api = Api(server, session)
        yield api
    await server.stop()


@pytest.fixture(scope="session")
def _embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with admission_kit.embedded(tmp_path_factory.mktemp("embedded")) as target:
        yield target


@pytest.fixture(scope="session")
def _real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    state = controlplane.available()
    if not state:
        pytest.skip(state.reason)
    with admission_kit.real(tmp_path_factory.mktemp("real")) as target:
        yield target


@pytest.fixture(params=["embedded", "real"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """One server after the other; both live as long as the run."""
    found: Target = request.getfixturevalue(f"_{request.param}")
    yield found
    found.forget()
