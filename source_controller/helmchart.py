"""HelmChart: the chosen version of a chart becomes an artifact.

    source → chart → version → values files → dependencies → package → artifact

From a repository a package is taken as it is; from files it is made. Either way `valuesFiles` replace its values.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shared.api.meta import Artifact, Resource
from shared.api.producers import artifact_of, has_new_artifact
from shared.api.source import Bucket, GitRepository, HelmChart, HelmRepository
from shared.artifact.revision import Revision
from shared.auth import Clouds
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind, Ref, Wake
from shared.loop.verdict import Failed, Ready, Stalled, Waiting
from shared.oci.registry import Registry
from source_controller import verify
from source_controller.charts import dependencies, package, repositories
from source_controller.charts.errors import ChartError, ReferenceFailed, ValuesFailed
from source_controller.charts.indexes import Indexes
from source_controller.charts.package import Chart, Sizes
from source_controller.publish import FAILURES, Publisher, owner_of, stored, workdir
from source_controller.signatures import images
from source_controller.signatures.images import Signatures

LATEST = "latest.tar.gz"
KINDS: dict[str, type[Resource]] = {each.resource.kind: each for each in (HelmRepository, GitRepository, Bucket)}


@dataclass(frozen=True)
class Built:
    """A chart that is ready to be stored."""

    name: str
    version: str
    content: bytes | None
    """The package; None when the artifact has this version already."""
    is_packaged: bool
    values_files: Sequence[str] = ()
    """The values files that were merged."""

    @property
    def reason(self) -> str:
        return "ChartPackageSucceeded" if self.is_packaged else "ChartPullSucceeded"

    @property
    def summary(self) -> str:
        """What was done, for people."""
        done = "packaged" if self.is_packaged else "pulled"
        merged = f" and merged values files [{' '.join(self.values_files)}]" if self.values_files else ""
        return f"{done} '{self.name}' chart with version '{self.version}'{merged}"


@dataclass(frozen=True)
class Shared:
    """What all charts share: the flags' limits, the indexes, what signatures are checked with, the clouds' logins."""

    sizes: Sizes
    indexes: Indexes
    signatures: Signatures
    clouds: Clouds


def kind(publisher: Publisher, shared: Shared) -> Kind[HelmChart]:
    """The kind, on a store and on what charts share."""

    async def reconcile(chart: HelmChart, attempt: Attempt[HelmChart]) -> Ready:
        status = chart.status
        before = status.artifact
        await publisher.require_stored(chart, attempt)  # one that is gone is built again
        source = await find_source(chart, attempt)  # SourceUnavailable, NoSourceArtifact wait
        async with workdir(attempt) as work:  # DirectoryCreationFailed
            try:
                if isinstance(source, HelmRepository):
                    built = await _Pull(publisher, shared, chart, attempt).run(source)
                else:
                    attempt.mark(verify.VERIFIED, None)  # the source's own signatures count
                    built = await _Package(publisher, shared, chart, attempt).run(source, work)
            except ChartError as error:
                raise _verdict(error) from error
        if built.content is not None:
            attempt.mark("ArtifactOutdated", True, "NewChart", built.summary)
            await attempt.progress(f"building artifact: {built.summary}")
            content = built.content

            def write(out: BinaryIO) -> None:
                out.write(content)

            name = f"{built.name}-{built.version}.tgz"
            status.artifact = await publisher.file(chart, name, built.version, write)  # ArchiveOperationFailed
            await publisher.link(chart, LATEST, attempt)
        else:
            attempt.unchanged("ArtifactUpToDate", f"artifact up-to-date with remote revision: '{built.version}'")
        status.observed_chart_name = built.name
        status.observed_source_artifact_revision = _revision(source)
        status.observed_values_files = list(built.values_files) if chart.spec.ignore_missing_values_files else []
        return stored(chart, attempt, before, built.summary, built.summary, reason=built.reason, told=built.reason)

    return Kind(
        type=HelmChart,
        reconcile=reconcile,
        finalize=publisher.remove,
        abnormal=FAILURES,
        wakes=tuple(Wake(type=type_, refers=_refers_to(name), when=is_news) for name, type_ in KINDS.items()),
        configs=configs,
    )


class _Build:
    """One chart being built."""

    def __init__(self, publisher: Publisher, shared: Shared, chart: HelmChart, attempt: Attempt[HelmChart]) -> None:
        self.publisher, self.shared = publisher, shared
        self.chart, self.attempt = chart, attempt
        wanted = list(chart.spec.values_files)
        self.values_files = [] if wanted == [package.VALUES] else wanted

    def stored_file(self, source: Resource) -> Path:
        """The file of a source's artifact. Waits for one that is gone."""
        artifact: Artifact = source.status.artifact  # type: ignore[attr-defined]
        file = self.publisher.store.file(owner_of(source), artifact)
        if file is None:
            raise _no_artifact(source)
        return file

    def stored_version(self, name: str) -> str:
        """The version that is stored, if nothing in the spec asks for another package of it; else empty."""
        status = self.chart.status
        same = (
            status.artifact is not None
            and status.observed_chart_name == name
            and status.observed_generation == self.chart.metadata.generation
        )
        return status.artifact.revision if same and status.artifact else ""

    def unchanged(self, name: str, version: str, *, is_packaged: bool = False) -> Built:
        """The chart as it is stored."""
        files = self.chart.status.observed_values_files or self.values_files
        return Built(name, version, None, is_packaged or bool(files), files)

    def merged(self, found: Iterable[tuple[str, bytes | None]], top: str = "") -> tuple[dict[str, Any], list[str]]:
        """The values of those files that are there, and their names. `top` is what paths are shown below."""
        files: list[tuple[str, bytes]] = []
        for name, content in found:
            if content is not None:
                files.append((name, content))
            elif not self.chart.spec.ignore_missing_values_files:
                raise ValuesFailed(f"no values file found at path '{top}{_clean(name)}'")
        return package.merge(files), [name for name, _ in files]


class _Pull(_Build):
    """From a repository of packages."""

    async def run(self, source: HelmRepository) -> Built:
        access = await repositories.find_access(source, self.shared.clouds, self.attempt)  # type: ignore[arg-type]
        name = self.chart.spec.chart
        known = self.stored_version(name)
        suffix = f"+{self.chart.metadata.generation}" if self.values_files else ""
        proof = await verify.chart_proof(self.chart, self.shared.signatures, access.is_registry, self.attempt)
        if access.is_registry:

            async def check(remote: Registry, digest: str, version: str) -> None:
                if proof is not None:
                    version = _with_metadata(version, suffix)
                    await verify.require_signed_chart(proof, remote, digest, version, self.attempt)

            version, data = await repositories.pull(
                access,
                name,
                self.chart.spec.version,
                self.shared.sizes.chart,
                known.removesuffix(suffix),
                check if proof else None,
            )
        else:
            index = await self.shared.indexes.stored(source, self.stored_file(source), self.attempt)
            entry = index.find(name, self.chart.spec.version)
            version = entry.version
            if known and known == _with_metadata(version, suffix):
                return self.unchanged(name, known)
            data = await repositories.fetch_package(access, entry, self.shared.sizes.chart)
        if not data:
            return self.unchanged(name, known)
        chart = await asyncio.to_thread(package.from_package, data, self.shared.sizes)
        if not self.values_files:
            return Built(chart.name, chart.version, data, False)
        values, merged = self.merged((each, chart.files.get(_clean(each))) for each in self.values_files)
        chart.set_values(values)
        chart.set_version(_with_metadata(version, suffix))
        content = await asyncio.to_thread(package.pack, chart)
        return Built(chart.name, chart.version, content, True, merged)


class _Package(_Build):
    """From files in another source's artifact."""

    async def run(self, source: Resource, work: Path) -> Built:
        root = work / "source"
        artifact: Artifact = source.status.artifact  # type: ignore[attr-defined]
        await asyncio.to_thread(_extract, self.stored_file(source), root)
        at = package.inside(root, self.chart.spec.chart)
        chart = await self._loaded(at, root)
        version = self._version(chart, artifact)
        if self.stored_version(chart.name) == version:
            return self.unchanged(chart.name, version, is_packaged=True)
        merged: list[str] = []
        if self.values_files:
            values, merged = self.merged(await asyncio.to_thread(_read_all, root, self.values_files), "/")
            chart.set_values(values)
        if version != chart.version:
            chart.set_version(version)
        if at.is_dir():
            known = dependencies.Repositories(self.publisher, self.shared.indexes, self.shared.clouds, self.attempt)
            count = await dependencies.build(chart, at, root, known, self.shared.sizes)
            if count:
                self.attempt.event("ResolvedDependencies", f"resolved {count} chart dependencies", "trace")
        content = await asyncio.to_thread(package.pack, chart)
        if len(content) > self.shared.sizes.chart:
            raise ReferenceFailed(f"the chart has {len(content)} bytes, more than {self.shared.sizes.chart}")
        return Built(chart.name, version, content, True, merged)

    async def _loaded(self, at: Path, root: Path) -> Chart:
        shown = self.chart.spec.chart
        try:
            if await asyncio.to_thread(at.is_dir):
                return await asyncio.to_thread(package.from_folder, at, root, self.shared.sizes)
            if await asyncio.to_thread(at.is_file):
                data = await asyncio.to_thread(at.read_bytes)
                return await asyncio.to_thread(package.from_package, data, self.shared.sizes)
        except ReferenceFailed as error:
            raise ReferenceFailed(f"failed to load chart from '{shown}': {error}") from error
        raise ReferenceFailed(f"no chart found at '{shown}' in the artifact of the source")

    def _version(self, chart: Chart, artifact: Artifact) -> str:
        parts = []
        if self.chart.spec.reconcile_strategy == "Revision":
            parts.append(Revision.parse(artifact.revision).hex[:12])
        if self.values_files:
            parts.append(str(self.chart.metadata.generation))
        return _with_metadata(chart.version, "+" + ".".join(parts) if parts else "")


async def find_source(chart: HelmChart, attempt: Attempt[HelmChart]) -> Resource:
    """The source with the chart. Waits for one that is missing or has nothing stored yet."""
    ref, namespace = chart.spec.source_ref, chart.metadata.namespace or ""
    type_ = KINDS[ref.kind]
    source = await attempt.read(type_, namespace, ref.name)
    if source is None:
        resource = type_.resource
        missing = f'{resource.plural}.{resource.group} "{ref.name}" not found'
        raise Waiting("SourceUnavailable", f"failed to get source: {missing}", condition="FetchFailed")
    if isinstance(source, HelmRepository) and source.spec.type == "oci":
        return source
    if artifact_of(source) is None:
        raise _no_artifact(source)
    return source


def is_news(old: Resource | None, new: Resource | None) -> bool:
    """Whether a change of a source matters to the charts that are taken from it; one of images has no artifact."""
    if isinstance(new, HelmRepository) and new.spec.type == "oci":
        return not isinstance(old, HelmRepository) or old.spec != new.spec
    return has_new_artifact(old, new)


def configs(chart: HelmChart) -> Iterable[ConfigRef]:
    """The Secrets that an object reads itself."""
    return [ConfigRef("Secret", chart.metadata.namespace or "", name) for name in images.secrets(chart.spec.verify)]


def _refers_to(kind_: str) -> Any:
    def refers(chart: HelmChart) -> list[Ref]:
        ref = chart.spec.source_ref
        return [Ref(chart.metadata.namespace or "", ref.name)] if ref.kind == kind_ else []

    return refers


def _revision(source: Resource) -> str | None:
    artifact = artifact_of(source)
    return artifact.revision if artifact else None


def _no_artifact(source: Resource) -> Waiting:
    message = f"no artifact available for {type(source).resource.kind} source '{source.metadata.name}'"
    return Waiting("NoSourceArtifact", message, condition="FetchFailed")


def _verdict(error: ChartError) -> Failed | Stalled:
    kind_ = Stalled if error.only_an_edit_helps else Failed
    message = f"{error.phrase}: {error}"
    return kind_(error.reason, message, condition=error.condition, condition_reason=error.condition_reason)


def _with_metadata(version: str, suffix: str) -> str:
    """The version with other build metadata; its own is kept without one."""
    return version.partition("+")[0] + suffix if suffix else version


def _clean(path: str) -> str:
    return re.sub(r"^(\./|/)+", "", path)


def _extract(file: Path, root: Path) -> None:
    with file.open("rb") as archive:
        package.extract(archive, root)


def _read_all(root: Path, paths: Sequence[str]) -> list[tuple[str, bytes | None]]:
    """The files of an artifact, None where there is none."""
    found: list[tuple[str, bytes | None]] = []
    for path in paths:
        file = package.inside(root, path)
        is_there = file.is_file() and file.resolve().is_relative_to(root.resolve())
        found.append((path, file.read_bytes() if is_there else None))
    return found
