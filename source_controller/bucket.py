"""Bucket: the objects of a bucket become the files of an artifact.

    Secrets → object store → index of keys → objects → artifact

Listing costs one request a thousand objects; objects travel only when one of them, or what is to be taken, changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from shared.api.meta import Artifact, parse_duration
from shared.api.source import Bucket
from shared.auth import Clouds
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind
from shared.loop.verdict import Failed, Ready
from shared.text import ignore
from source_controller.buckets import access
from source_controller.buckets.access import FETCH_FAILED
from source_controller.buckets.store import BucketError, NoSuchObject, ObjectStore
from source_controller.publish import FAILURES, STORAGE_FAILED, Publisher, stored, workdir

LATEST = "latest.tar.gz"
_AT_ONCE = 16
_IGNORE_LIMIT = 1 << 20


def kind(publisher: Publisher, clouds: Clouds) -> Kind[Bucket]:
    """The kind, on a store and on the clouds' logins."""

    async def reconcile(bucket: Bucket, attempt: Attempt[Bucket]) -> Ready:
        spec, status = bucket.spec, bucket.status
        before = status.artifact
        await publisher.require_stored(bucket, attempt)  # one that is gone is built again
        store = await access.find(bucket, clouds, attempt)  # AuthenticationFailed, FeatureGateDisabled stalls

        async with workdir(attempt) as work:  # DirectoryCreationFailed
            root = work / "files"
            try:
                async with asyncio.timeout(parse_duration(spec.timeout)), store as opened:
                    index = await find_index(bucket, opened)  # BucketOperationFailed
                    revision = revision_of(index)
                    if not is_outdated(bucket, revision):
                        message = f"artifact up-to-date with remote revision: '{revision}'"
                        attempt.unchanged("ArtifactUpToDate", message)
                        return _stored(bucket, attempt, before, len(index))
                    outdated = f"new upstream revision '{revision}'"
                    attempt.mark("ArtifactOutdated", True, "NewRevision", outdated)
                    await attempt.progress(f"building artifact: {outdated}")
                    index = await fetch(opened, index, root)
                    revision = revision_of(index)
            except BucketError as error:
                raise Failed("BucketOperationFailed", str(error), condition=FETCH_FAILED) from error
            except TimeoutError as error:
                message = f"failed to fetch bucket '{spec.bucket_name}': timed out after {spec.timeout}"
                raise Failed("BucketOperationFailed", message, condition=FETCH_FAILED) from error
            status.artifact = await publisher.tree(
                bucket, root, f"{revision.partition(':')[2]}.tar.gz", revision, everything=True
            )  # ArchiveOperationFailed
        await publisher.link(bucket, LATEST, attempt)
        status.observed_ignore = spec.ignore
        return _stored(bucket, attempt, before, len(index))

    return Kind(
        type=Bucket,
        reconcile=reconcile,
        finalize=publisher.remove,
        abnormal=FAILURES,
        configs=configs,
    )


async def find_index(bucket: Bucket, store: ObjectStore) -> dict[str, str]:
    """Key → ETag of the objects to take: all with the prefix, less what the rules leave out."""
    files: dict[str, str] = {}
    objects = await store.objects(bucket.spec.prefix or "")
    if ignore.FILE in objects or bucket.spec.prefix:  # it counts wherever the prefix leads
        with contextlib.suppress(NoSuchObject):
            text = io.BytesIO()
            await store.fetch(ignore.FILE, text)
            if len(text.getvalue()) > _IGNORE_LIMIT:
                raise BucketError(f"object '{ignore.FILE}' is larger than {_IGNORE_LIMIT} bytes")
            files[""] = text.getvalue().decode(errors="replace")
    try:
        matcher = ignore.matcher(files, bucket.spec.ignore, defaults=False)
    except ValueError as error:
        message = f"failed to load source ignore patterns from bucket: {error}"
        raise Failed("SourceIgnoreError", message, condition=STORAGE_FAILED) from error
    return {key: etag for key, etag in objects.items() if not key.endswith("/") and not matcher.excludes(key)}


async def fetch(store: ObjectStore, index: Mapping[str, str], root: Path) -> dict[str, str]:
    """Brings the objects of the index below `root`; the index as it was fetched, less what is gone meanwhile."""
    await asyncio.to_thread(root.mkdir)
    fetched: dict[str, str] = {}
    free = asyncio.Semaphore(_AT_ONCE)

    async def bring(key: str) -> None:
        async with free:
            file = await asyncio.to_thread(_place, root, key)
            try:
                with await asyncio.to_thread(file.open, "xb") as out:
                    fetched[key] = await store.fetch(key, out) or index[key]
            except NoSuchObject:
                await asyncio.to_thread(file.unlink)
            except FileExistsError as error:
                raise BucketError(f"object '{key}' has the path of another object") from error

    try:
        async with asyncio.TaskGroup() as group:
            for key in index:
                group.create_task(bring(key))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return fetched


def revision_of(index: Mapping[str, str]) -> str:
    """The digest of all keys and ETags, whatever their order."""
    made = hashlib.sha256()
    for key in sorted(index, key=lambda key: key.encode(errors="surrogateescape")):
        made.update(f"{key} {index[key]}\n".encode(errors="surrogateescape"))
    return f"sha256:{made.hexdigest()}"


def is_outdated(bucket: Bucket, revision: str) -> bool:
    """Must the artifact be built anew?"""
    artifact = bucket.status.artifact
    return artifact is None or artifact.revision != revision or bucket.status.observed_ignore != bucket.spec.ignore


def configs(bucket: Bucket) -> Iterable[ConfigRef]:
    """The Secrets that an object reads."""
    spec = bucket.spec
    of_sts = (spec.sts.secret_ref, spec.sts.cert_secret_ref) if spec.sts else ()
    named = (spec.secret_ref, spec.cert_secret_ref, spec.proxy_secret_ref, *of_sts)
    return [ConfigRef("Secret", bucket.metadata.namespace or "", each.name) for each in named if each is not None]


def _place(root: Path, key: str) -> Path:
    """The file for an object's key, with its directories made."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key or "\\" in key:
        raise BucketError(f"the key '{key[:200]}' can't be a file's path: rename it or leave it out by spec.ignore")
    file = root.joinpath(*PurePosixPath(key).parts)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise BucketError(f"object '{key}' lies below another object") from error
    return file


def _stored(bucket: Bucket, attempt: Attempt[Bucket], before: Artifact | None, count: int) -> Ready:
    artifact = bucket.status.artifact
    assert artifact is not None
    news = f"stored artifact with {count} fetched files from '{bucket.spec.bucket_name}' bucket"
    return stored(bucket, attempt, before, f"stored artifact: revision '{artifact.revision}'", news)
