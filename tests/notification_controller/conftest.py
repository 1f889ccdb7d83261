"""An embedded API for each test, and clouds for those that ask for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import kubeapi
from tests.kit.clouds import entra, google, internet  # noqa: F401


@pytest.fixture
async def api() -> AsyncIterator[Any]:
    server = await kubeapi.start(tls=False, workloads=False, invariants=True)
    yield server
    await server.stop()
