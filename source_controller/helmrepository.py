"""HelmRepository: the index of a chart repository becomes an artifact.

Secrets → index.yaml → index → artifact
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from shared.api.meta import Artifact
from shared.api.source import HelmRepository
from shared.auth import Clouds
from shared.http import HttpError
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind
from shared.loop.verdict import Failed, Ready
from source_controller.charts import index, repositories
from source_controller.charts.errors import IndexFailed
from source_controller.publish import FAILURES, Publisher, stored

LATEST = "index.yaml"
FETCH_FAILED = "FetchFailed"


@dataclass(frozen=True)
class Sizes:
    """The largest that is accepted, in bytes."""

    index: int = 50 << 20
    chart: int = 10 << 20
    file: int = 5 << 20


def kind(publisher: Publisher, sizes: Sizes, clouds: Clouds) -> Kind[HelmRepository]:
    """The kind, on a store, with the flags' limits and the clouds' logins."""

    async def reconcile(repository: HelmRepository, attempt: Attempt[HelmRepository]) -> Ready:
        status = repository.status
        before = status.artifact
        await publisher.require_stored(repository, attempt)  # one that is gone is fetched again
        access = await repositories.find_access(repository, clouds, attempt)  # URLInvalid stalls, AuthenticationFailed
        text = await fetch(access, sizes.index)  # Failed
        revision = f"sha256:{hashlib.sha256(text).hexdigest()}"
        if status.artifact is not None and status.artifact.revision == revision:
            message = f"artifact up-to-date with remote revision: '{revision}'"
            attempt.event("ArtifactUpToDate", message, "trace", stored=attempt.requested)
            return _stored(repository, attempt, before)
        outdated = f"new index revision '{revision}'"
        attempt.mark("ArtifactOutdated", True, "NewRevision", outdated)
        await attempt.progress(f"building artifact: {outdated}")
        try:
            content = await asyncio.to_thread(lambda: index.parse(text, limit=sizes.index).json())
        except IndexFailed as error:
            message = f"failed to load Helm repository from index YAML: {error}"
            raise Failed("IndexationFailed", message, condition=FETCH_FAILED) from error

        def write(out: BinaryIO) -> None:
            out.write(content)

        name = f"index-{revision.partition(':')[2]}.yaml"
        status.artifact = await publisher.file(repository, name, revision, write)  # ArchiveOperationFailed
        await publisher.link(repository, LATEST, attempt)
        return _stored(repository, attempt, before)

    return Kind(
        type=HelmRepository,
        reconcile=reconcile,
        finalize=publisher.remove,
        abnormal=FAILURES,
        configs=configs,
        passive=lambda repository: repository.spec.type == "oci",  # a registry has no index to store
    )


async def fetch(access: repositories.Access, limit: int) -> bytes:
    """The index' text. Fails with the server's answer."""
    try:
        return await repositories.fetch_index(access, limit)
    except HttpError as error:
        message = f"failed to fetch Helm repository index: {error}"
        raise Failed("Failed", message, condition=FETCH_FAILED) from error
    except TimeoutError as error:
        message = f"failed to fetch Helm repository index: timed out after {access.seconds:g} seconds"
        raise Failed("Failed", message, condition=FETCH_FAILED) from error


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
