"""HelmRepository: the index of a chart repository becomes an artifact.

Secrets → index.yaml → index → artifact
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from shared.api.meta import Artifact
from shared.api.source import HelmRepository
from shared.artifact import digest
from shared.auth import Clouds
from shared.http import HttpError
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind
from shared.loop.verdict import Failed, Ready
from source_controller.charts import repositories
from source_controller.charts.errors import IndexFailed
from source_controller.charts.index import Index
from source_controller.charts.indexes import Indexes
from source_controller.publish import FAILURES, Publisher, stored, workdir

LATEST = "index.yaml"
FETCH_FAILED = "FetchFailed"


def kind(publisher: Publisher, indexes: Indexes, clouds: Clouds) -> Kind[HelmRepository]:
    """The kind, on a store, with what reads and keeps indexes and the clouds' logins."""
    served = Served()

    async def reconcile(repository: HelmRepository, attempt: Attempt[HelmRepository]) -> Ready:
        status = repository.status
        before = status.artifact
        await publisher.require_stored(repository, attempt)  # one that is gone is fetched again
        access = await repositories.find_access(repository, clouds, attempt)  # URLInvalid stalls, AuthenticationFailed
        async with workdir(attempt) as work:  # DirectoryCreationFailed
            file = work / LATEST
            revision = await served.fetch(repository, access, file, indexes.limit, whole=attempt.requested)  # Failed
            if status.artifact is not None and status.artifact.revision == revision:
                indexes.extend(repository)
                message = f"artifact up-to-date with remote revision: '{revision}'"
                attempt.unchanged("ArtifactUpToDate", message)
                return _stored(repository, attempt, before)
            outdated = f"new index revision '{revision}'"
            attempt.mark("ArtifactOutdated", True, "NewRevision", outdated)
            await attempt.progress(f"building artifact: {outdated}")
            async with parsed(indexes, file) as read:  # IndexationFailed
                status.artifact = await publish(publisher, repository, read, revision)  # ArchiveOperationFailed
                indexes.keep(repository, read, attempt)
        await publisher.link(repository, LATEST, attempt)
        return _stored(repository, attempt, before)

    async def finalize(repository: HelmRepository, attempt: Attempt[HelmRepository]) -> None:
        await publisher.remove(repository, attempt)
        indexes.forget(repository)
        served.forget(repository)

    return Kind(
        type=HelmRepository,
        reconcile=reconcile,
        finalize=finalize,
        abnormal=FAILURES,
        configs=configs,
        passive=lambda repository: repository.spec.type == "oci",  # a registry has no index to store
    )


class _Tag(NamedTuple):
    """Which index a server gave, and what it knows it by."""

    url: str
    etag: str
    revision: str


class Served:
    """What servers know their indexes by (ETag, RFC 9110), so that one that is stored isn't sent again. It is only in
    memory: after a restart each is fetched once."""

    def __init__(self) -> None:
        self._tags: dict[str, _Tag] = {}

    async def fetch(
        self, repository: HelmRepository, access: repositories.Access, file: Path, limit: int, *, whole: bool
    ) -> str:
        """Brings the index' text into a file, unless it is the one that is stored; its revision. It is fetched `whole`
        for who doesn't trust the server's word. Fails with the server's answer."""
        artifact, known = repository.status.artifact, self._tags.get(repository.metadata.uid)
        if known and (whole or artifact is None or (known.url, known.revision) != (access.url, artifact.revision)):
            known = None
        etag = await _fetch(access, file, limit, known.etag if known else "")
        if known is None or etag is not None:
            known = _Tag(access.url, etag or "", await asyncio.to_thread(digest.of_file, file))
        self._tags[repository.metadata.uid] = known
        return known.revision

    def forget(self, repository: HelmRepository) -> None:
        """The repository is gone."""
        self._tags.pop(repository.metadata.uid, None)


async def _fetch(access: repositories.Access, file: Path, limit: int, unless: str) -> str | None:
    try:
        return await repositories.fetch_index(access, file, limit, unless)
    except HttpError as error:
        message = f"failed to fetch Helm repository index: {error}"
        raise Failed("Failed", message, condition=FETCH_FAILED) from error
    except TimeoutError as error:
        message = f"failed to fetch Helm repository index: timed out after {access.seconds:g} seconds"
        raise Failed("Failed", message, condition=FETCH_FAILED) from error


@contextlib.asynccontextmanager
async def parsed(indexes: Indexes, file: Path) -> AsyncIterator[Index]:
    """The index that a file holds, for the time of the block."""
    try:
        async with indexes.parsed(file) as read:
            yield read
    except IndexFailed as error:
        message = f"failed to load Helm repository from index YAML: {error}"
        raise Failed("IndexationFailed", message, condition=FETCH_FAILED) from error


async def publish(publisher: Publisher, repository: HelmRepository, read: Index, revision: str) -> Artifact:
    """The index as an artifact, as JSON."""

    def write(out: BinaryIO) -> None:
        for piece in read.json():
            out.write(piece)

    return await publisher.file(repository, f"index-{revision.partition(':')[2]}.yaml", revision, write)


def configs(repository: HelmRepository) -> Iterable[ConfigRef]:
    """The Secrets that an object reads."""
    named = (repository.spec.secret_ref, repository.spec.cert_secret_ref)
    return [ConfigRef("Secret", repository.metadata.namespace or "", each.name) for each in named if each is not None]


def human(size: float) -> str:
    """A size as people write it: 1.234kB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.4g}{unit}"
        size /= 1000
    raise AssertionError("unreachable")


def _stored(repository: HelmRepository, attempt: Attempt[HelmRepository], before: Artifact | None) -> Ready:
    artifact = repository.status.artifact
    assert artifact is not None
    size = f"size {human(artifact.size)}" if artifact.size is not None else "unknown size"
    news = f"stored fetched index of {size} from '{repository.spec.url}'"
    return stored(repository, attempt, before, f"stored artifact: revision '{artifact.revision}'", news)
