"""An embedded API for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import kubeapi


@pytest.fixture
async def api() -> AsyncIterator[Any]:
    server = await kubeapi.start(tls=False, workloads=False, invariants=True)
    yield server
    await server.stop()
