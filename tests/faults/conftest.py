"""The toolkit inside the test, on an embedded API that fails when told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.kit.gitserver import GitServer
from tests.kit.toolkit import Toolkit


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
async def toolkit(tmp_path: Path, git: GitServer) -> AsyncIterator[Toolkit]:
    """A server and a namespace of it; the controllers are not started yet. Whatever the test does, at no moment may an
    object live that no status records."""
    async with Toolkit.running(tmp_path, git) as running:
        yield running
        assert running.witness.problems == []
