"""Publishing: files → stored artifact → status; the step that every kind of source begins and ends with.

    require_stored → … → tree or file → Ready

What always holds: the status names an artifact only while its bytes are in the store and match its digest; a published
file keeps its bytes (see shared/artifact/store.py), so an attempt may be cancelled at any point and run again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from shared.api.meta import Artifact, Resource
from shared.artifact import tar
from shared.artifact.addresses import Owner
from shared.artifact.errors import StorageError
from shared.artifact.store import Store, Write
from shared.artifact.tar import ArchiveError
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, Positive, Ready
from shared.text import ignore

S = TypeVar("S", bound=Resource)

STORAGE_FAILED = "StorageOperationFailed"
FAILURES = ("FetchFailed", "IncludeUnavailable", "BuildFailed", STORAGE_FAILED)
"""Conditions whose end is told."""
_IGNORE_FILE_LIMIT = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Publisher:
    """The store as sources use it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def require_stored(self, obj: Resource, attempt: Attempt[Any]) -> None:
        """Makes the status true: an artifact that is gone or damaged is no longer named, and old ones are removed.

        Without an artifact the object isn't Ready until there is one again.
        """
        status: Any = obj.status  # type: ignore[attr-defined]
        if status.artifact is None:
            attempt.mark("ArtifactInStorage", None)
            await attempt.progress("building artifact")
            return
        owner = owner_of(obj)
        state = await self.store.check(owner, status.artifact)
        if state != "stored":
            if state == "damaged":
                attempt.event(
                    "ArtifactVerificationFailed",
                    f"failed to verify integrity of artifact: the stored bytes of '{status.artifact.path}' "
                    "don't match its digest, it is built again",
                    "error",
                )
            status.artifact = None
            attempt.mark("ArtifactInStorage", None)
            await attempt.save("building artifact: disappeared from storage")
            return
        status.artifact = self.store.readdressed(status.artifact)
        try:
            gone = await self.store.collect(owner, status.artifact)
        except StorageError as error:
            attempt.event("GarbageCollectionFailed", f"garbage collection of artifacts failed: {error}", "error")
        else:
            if gone:
                attempt.event("GarbageCollectionSucceeded", f"garbage collected {len(gone)} artifacts", "trace")

    async def tree(
        self,
        obj: Resource,
        root: Path,
        file: str,
        revision: str,
        *,
        ignored: str | None = None,
        everything: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Artifact:
        """Stores the files below `root` as `file`, less what `.sourceignore` files and `ignored` leave out.

        `everything` leaves out nothing, for files that were chosen before.
        """

        def write(out: BinaryIO) -> None:
            _pack(root, out, ignored, everything=everything)

        return await self.file(obj, file, revision, write, metadata=metadata)

    async def extracted(
        self,
        obj: Resource,
        extract: Callable[[Path], None],
        file: str,
        revision: str,
        *,
        ignored: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Artifact:
        """The same of the files that `extract` makes below the new directory that it is told, all in one thread."""

        def write(out: BinaryIO) -> None:
            with contextlib.ExitStack() as stack:
                with room():
                    prefix = f"{type(obj).resource.kind.lower()}-"
                    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix)), "files")
                    extract(root)
                _pack(root, out, ignored)

        return await self.file(obj, file, revision, write, metadata=metadata)

    async def file(
        self,
        obj: Resource,
        file: str,
        revision: str,
        write: Write,
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> Artifact:
        """Stores what `write` writes as `file`."""
        try:
            return await self.store.publish(owner_of(obj), file, revision, write, metadata)
        except (StorageError, ArchiveError) as error:
            raise Failed(
                "ArchiveOperationFailed", f"unable to archive artifact to storage: {error}", condition=STORAGE_FAILED
            ) from error

    async def twin(
        self, obj: Resource, file: str, revision: str, made: tuple[Owner, Artifact] | None
    ) -> Artifact | None:
        """Stores as `file` what another object made before; None when that isn't there (any more)."""
        return None if made is None else await self.store.twin(owner_of(obj), file, revision, *made)

    async def link(self, obj: Resource, name: str, attempt: Attempt[Any]) -> None:
        """Makes `name`, and status.url, lead to the current artifact. Where that fails it is told, and does no harm."""
        status: Any = obj.status  # type: ignore[attr-defined]
        try:
            status.url = await self.store.link(owner_of(obj), status.artifact, name)
        except StorageError as error:
            attempt.event("SymlinkUpdateFailed", f"failed to update status URL symlink: {error}", "trace")

    async def remove(self, obj: Resource, attempt: Attempt[Any]) -> None:
        """Removes all that is stored for a deleted object."""
        try:
            await self.store.remove(owner_of(obj))
        except StorageError as error:
            raise Failed(
                "GarbageCollectionFailed", f"garbage collection for deleted resource failed: {error}"
            ) from error
        attempt.event("GarbageCollectionSucceeded", "garbage collected artifacts for deleted resource", "trace")


@contextlib.asynccontextmanager
async def workdir(attempt: Attempt[Any]) -> AsyncIterator[Path]:
    """The attempt's private directory. DirectoryCreationFailed when the disk that it is on is full or read-only."""
    with room():
        async with attempt.workdir() as work:
            yield work


@contextlib.contextmanager
def room() -> Iterator[None]:
    """Around the use of temporary files: DirectoryCreationFailed when their disk is full or read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        message = (
            f"failed to create temporary working directory and its files: {error.strerror}; "
            f"free some space below {tempfile.gettempdir()} or enlarge its volume"
        )
        raise Failed("DirectoryCreationFailed", message, condition=STORAGE_FAILED) from error


def owner_of(obj: Resource) -> Owner:
    """The directory of an object in the store."""
    return Owner(type(obj).resource.kind, obj.metadata.namespace or "", obj.metadata.name)


def stored(
    obj: Resource,
    attempt: Attempt[Any],
    before: Artifact | None,
    message: str,
    news: str,
    *,
    reason: str = "Succeeded",
    told: str = "",
) -> Ready:
    """The good end: the status has its artifact. Tells people when it is another one, or when a failure is over.

    `before` is the artifact that the object had, `message` what the conditions say, `news` what people are told.
    `told` is the reason of the events; NewArtifact or Succeeded unless given.
    """
    status: Any = obj.status  # type: ignore[attr-defined]
    artifact: Artifact = status.artifact
    attempt.mark("ArtifactOutdated", None)
    about = {"revision": artifact.revision, "digest": artifact.digest}
    if before is None or before.digest != artifact.digest:
        attempt.event(told or "NewArtifact", news, metadata=about)
    elif any(condition.type in FAILURES and condition.status == "True" for condition in status.conditions):
        attempt.event(told or "Succeeded", news, metadata=about)
    return Ready(reason, message, also=(Positive("ArtifactInStorage", reason, message),))


def _pack(root: Path, out: BinaryIO, ignored: str | None, *, everything: bool = False) -> None:
    """Writes the files below `root` that nothing leaves out. Blocks. SourceIgnoreError."""
    try:
        matcher = ignore.Matcher(()) if everything else rules(root, ignored)
    except (OSError, ValueError) as error:
        raise Failed("SourceIgnoreError", f"failed to load source ignore patterns from repository: {error}") from error
    tar.pack(root, out, matcher.excludes)


def rules(root: Path, ignored: str | None) -> ignore.Matcher:
    """What the files below `root` and the spec say is left out. Blocks."""
    files: dict[str, str] = {}
    for folder, _, names in os.walk(root):
        if ignore.FILE in names:
            path = Path(folder, ignore.FILE)
            if path.is_symlink() or not path.is_file():
                continue
            if path.stat().st_size > _IGNORE_FILE_LIMIT:
                raise ValueError(f"{path.relative_to(root)} is larger than {_IGNORE_FILE_LIMIT} bytes")
            files[Path(folder).relative_to(root).as_posix()] = path.read_text(errors="replace")
    return ignore.matcher(files, ignored)
