"""Dependencies: the charts that a chart wants in its charts/ and doesn't have yet.

    Chart.yaml → file://, http(s)://, oci:// → charts/<name>/

A repository of which the namespace has a HelmRepository is asked with that one's credentials.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

from shared.api import codec
from shared.api.source import HelmChart, HelmRepository
from shared.auth import Clouds
from shared.http import HttpError
from shared.loop.attempt import Attempt
from shared.text import semver
from source_controller.charts import package, repositories
from source_controller.charts.errors import ChartError, DependencyFailed, IndexFailed
from source_controller.charts.index import Entry
from source_controller.charts.indexes import Indexes
from source_controller.charts.package import Chart, Dependency, Sizes
from source_controller.charts.repositories import Access
from source_controller.publish import Publisher, owner_of

_DEPTH = 8


class Repositories:
    """The repositories that dependencies name by their address, as the HelmRepositories of the namespace reach them."""

    def __init__(self, publisher: Publisher, indexes: Indexes, clouds: Clouds, attempt: Attempt[HelmChart]) -> None:
        self._publisher, self._indexes, self._clouds, self._attempt = publisher, indexes, clouds, attempt
        self._known: dict[str, HelmRepository] | None = None

    async def access(self, url: str) -> Access:
        """How to reach the repository at an address; without credentials when there is no HelmRepository of it."""
        known = await self._find(url)
        if known is None:
            return Access(url, is_registry=url.startswith("oci://"))
        return await repositories.find_access(known, self._clouds, self._attempt)  # type: ignore[arg-type]

    async def entry(self, wanted: Dependency, access: Access, folder: Path) -> Entry:
        """The version of a dependency, by the stored index or else by the repository's, which is put into `folder`."""
        known = await self._find(access.url)
        artifact = known.status.artifact if known is not None else None
        if known is not None and artifact is not None:
            file = self._publisher.store.file(owner_of(known), artifact)
            if file is not None:
                return (await self._indexes.stored(known, file, self._attempt)).find(wanted.name, wanted.version)
        file = folder / hashlib.sha256(access.url.encode()).hexdigest()
        if not file.exists():
            await repositories.fetch_index(access, file, self._indexes.limit)
        async with self._indexes.parsed(file) as read:
            return read.find(wanted.name, wanted.version)

    async def _find(self, url: str) -> HelmRepository | None:
        if self._known is None:
            resource, namespace = HelmRepository.resource, self._attempt.obj.metadata.namespace or ""
            listed = await self._attempt.kube.list(resource.api_version, resource.kind, namespace)
            decoded = [codec.decode(HelmRepository, manifest) for manifest in listed]
            self._known = {each.spec.url.rstrip("/"): each for each in reversed(decoded)}
        return self._known.get(url.rstrip("/"))


async def build(chart: Chart, folder: Path, root: Path, known: Repositories, sizes: Sizes) -> int:
    """Adds what is missing to a chart that lies in `folder` below `root`; how many that were."""
    with tempfile.TemporaryDirectory(prefix="indexes-") as indexes:
        return await _Builder(root, known, sizes, Path(indexes)).add(chart, folder, _DEPTH)


class _Builder:
    def __init__(self, root: Path, known: Repositories, sizes: Sizes, indexes: Path) -> None:
        self._root, self._known, self._sizes, self._indexes = root, known, sizes, indexes

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
            access = await self._known.access(where)
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
        access = await self._known.access(url)
        try:
            entry = await self._known.entry(wanted, access, self._indexes)
        except (HttpError, IndexFailed) as error:
            raise DependencyFailed(f"failed to load the index of '{url[:200]}': {error}") from error
        except TimeoutError as error:
            raise DependencyFailed(f"the index of '{url[:200]}' did not come in time") from error
        return await repositories.fetch_package(access, entry, self._sizes.chart)


def _fits(version: str, wanted: str) -> bool:
    try:
        return semver.parse(version) in semver.parse_range(wanted)
    except semver.VersionError as error:
        raise DependencyFailed(str(error)) from error
