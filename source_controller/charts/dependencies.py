"""Dependencies: the charts that a chart wants in its charts/ and doesn't have yet.

    Chart.yaml → file://, http(s)://, oci:// → charts/<name>/

A repository of which the namespace has a HelmRepository is asked with that one's credentials.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from shared.http import HttpError
from shared.text import semver
from source_controller.charts import index, package, repositories
from source_controller.charts.errors import ChartError, DependencyFailed, IndexFailed
from source_controller.charts.package import Chart, Dependency, Sizes
from source_controller.charts.repositories import Access

_DEPTH = 8
FindAccess = Callable[[str], Awaitable[Access]]
"""How to reach the repository at an address."""


async def build(chart: Chart, folder: Path, root: Path, find: FindAccess, sizes: Sizes, index_limit: int) -> int:
    """Adds what is missing to a chart that lies in `folder` below `root`; how many that were."""
    return await _Builder(root, find, sizes, index_limit).add(chart, folder, _DEPTH)


class _Builder:
    def __init__(self, root: Path, find: FindAccess, sizes: Sizes, index_limit: int) -> None:
        self._root, self._find, self._sizes, self._index_limit = root, find, sizes, index_limit
        self._indexes: dict[str, index.Index] = {}

    async def add(self, chart: Chart, folder: Path, depth: int) -> int:
        if depth == 0:
            raise DependencyFailed("dependencies are nested too deep")
        there = await asyncio.to_thread(chart.vendored)
        added: list[Chart] = []
        for wanted in chart.dependencies:
            if wanted.name in there:
                continue
            try:
                added.append(await self._found(wanted, folder, depth))
            except ChartError as error:
                raise DependencyFailed(f"failed to add remote dependency '{wanted.name}': {error}") from error
        for each in added:
            chart.add_dependency(each)
        return len(added)

    async def _found(self, wanted: Dependency, folder: Path, depth: int) -> Chart:
        where = wanted.repository
        if not where or where.startswith("file://"):
            return await self._local(wanted, folder, depth)
        if where.startswith("oci://"):
            access = await self._find(where)
            _, data = await repositories.pull(access, wanted.name, wanted.version, self._sizes.chart)
        elif where.startswith(("http://", "https://")):
            data = await self._remote(wanted, where)
        else:
            raise DependencyFailed(f"the repository '{where[:200]}' is no file://, http://, https:// or oci:// address")
        return await asyncio.to_thread(package.from_package, data, self._sizes)

    async def _local(self, wanted: Dependency, folder: Path, depth: int) -> Chart:
        if not wanted.repository:
            raise DependencyFailed(f"it has no repository and is not in charts/: put it there, '{wanted.name}'")
        below = folder.relative_to(self._root).as_posix()
        path = wanted.repository.removeprefix("file://")
        at = package.inside(self._root, path if path.startswith("/") else f"{below}/{path}")
        if not await asyncio.to_thread(at.is_dir):
            raise DependencyFailed(f"there is no folder '{path[:200]}' in the artifact")
        chart = await asyncio.to_thread(package.from_folder, at, self._root, self._sizes)
        if wanted.version and not _fits(chart.version, wanted.version):
            raise DependencyFailed(f"version '{chart.version}' of '{path[:200]}' isn't in '{wanted.version}'")
        await self.add(chart, at, depth - 1)
        return chart

    async def _remote(self, wanted: Dependency, url: str) -> bytes:
        access = await self._find(url)
        listed = self._indexes.get(url)
        if listed is None:
            try:
                text = await repositories.fetch_index(access, self._index_limit)
                listed = await asyncio.to_thread(index.parse, text, limit=self._index_limit)
            except (HttpError, IndexFailed) as error:
                raise DependencyFailed(f"failed to load the index of '{url[:200]}': {error}") from error
            except TimeoutError as error:
                raise DependencyFailed(f"the index of '{url[:200]}' did not come in time") from error
            self._indexes[url] = listed
        return await repositories.fetch_package(access, listed.find(wanted.name, wanted.version), self._sizes.chart)


def _fits(version: str, wanted: str) -> bool:
    try:
        return semver.parse(version) in semver.parse_range(wanted)
    except semver.VersionError as error:
        raise DependencyFailed(str(error)) from error
