from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.kube.client import Client
from tests.kube.fake_api import FakeApi, serving


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with serving(api) as (client, _):
        yield client
