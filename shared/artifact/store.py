"""The store: artifacts as files below one root, published whole and never changed.

    write → temporary file → digest → rename → Artifact → … → collect or remove

`<kind>/<namespace>/<name>/<file>`, as Flux lays it out. What always holds:

- **A file that has been published keeps its bytes until it is removed.** Readers may hold the address and digest of an
  earlier status, so bytes are never swapped under an address that was given out. When the same revision gets other
  content (ignore rules or a sparse checkout changed), `status.artifact.path` stays the same, but the new bytes get an
  address of their own, `http://<host>/<digest>/<path>` instead of `http://<host>/<path>` (on disk `<path>@<digest>`).
  A reader with the old status gets the old bytes or, once they are collected, 404; never other bytes.
- A file appears under its name only when it is complete and on disk. What a crash leaves behind has a name that is
  never served and is swept at the next start. What a power failure damages, `check` finds, for it reads every file once
  after a start and again whenever its inode, size or time changed.
- Nothing outside an object's own directory is read, changed or removed on behalf of that object, whatever its status
  says.

One process writes; one attempt per object at a time, which the loop guarantees. Methods that touch the disk are
coroutines and work in threads of the store's own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, ParamSpec, TypeVar

from shared.api.meta import Artifact, format_time
from shared.artifact import addresses, digest, retention
from shared.artifact.addresses import Owner
from shared.artifact.errors import StorageError, explained

P = ParamSpec("P")
R = TypeVar("R")

PART = ".part-"
"""What the names of unfinished files begin with."""
_COLLECT_LIMIT = 1000
Write = Callable[[BinaryIO], None]
State = Literal["stored", "gone", "damaged"]


class Store:
    """Artifacts below `root`, advertised at `address` (`host[:port]`, or with a scheme in front)."""

    def __init__(
        self,
        root: Path,
        address: str,
        *,
        algorithm: str = digest.DEFAULT,
        ttl: float = 60.0,
        records: int = 2,
        threads: int = 4,
    ):
        digest.hasher(algorithm)
        self.root = root
        self.address = address
        self.algorithm = algorithm
        self.ttl = ttl
        """Seconds after which an artifact that is not current may go."""
        self.records = records
        """How many artifacts of an object stay, the current one included."""
        self._known: dict[str, dict[str, tuple[tuple[int, int, int], str]]] = defaultdict(dict)
        """Of each directory by the names of its files: which file it was, and its digest."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs blocking work in one of the store's threads."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    # ---- addresses --------------------------------------------------------------------------------------------------

    def url(self, path: str, *, pinned: str = "") -> str:
        """The address of a stored path; with the digest in it when `pinned` is one."""
        scheme = "" if self.address.startswith(("http://", "https://")) else "http://"
        pin = f"{pinned}/" if pinned else ""
        return f"{scheme}{self.address.rstrip('/')}/{pin}{path.lstrip('/')}"

    def readdressed(self, artifact: Artifact) -> Artifact:
        """The artifact with its address as this store advertises it now."""
        path = artifact.path
        return _changed(artifact, url=self.url(path, pinned=artifact.digest if addresses.is_pinned(artifact) else ""))

    # ---- publish ----------------------------------------------------------------------------------------------------

    async def publish(
        self, owner: Owner, file: str, revision: str, write: Write, metadata: Mapping[str, str] | None = None
    ) -> Artifact:
        """Stores what `write` writes as the owner's `file` and says how to fetch it.

        `write` runs in a thread. Its exceptions pass through, OSErrors of the store's own come as StorageError; in
        both cases nothing was published.
        """
        return await self.run(self._publish, owner, file, revision, write, metadata)

    def _publish(
        self, owner: Owner, file: str, revision: str, write: Write, metadata: Mapping[str, str] | None
    ) -> Artifact:
        path = self._path_of(owner, file)
        folder = self.root / owner.directory
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = tempfile.NamedTemporaryFile(dir=folder, prefix=PART, delete=False)  # noqa: SIM115
        except OSError as error:
            raise explained(error, f"can't create a file for {owner.directory}") from error
        try:
            with part:
                counted = _Counted(part, self.algorithm)
                write(counted)  # type: ignore[arg-type]
                part.flush()
                os.fsync(part.fileno())
            value = f"{self.algorithm}:{counted.hash.hexdigest()}"
            pinned = self._place(Path(part.name), path, value)
        except OSError as error:
            raise explained(error, f"can't store {path}") from error
        finally:
            Path(part.name).unlink(missing_ok=True)
        return self._artifact(path, revision, value, pinned, counted.size, metadata)

    async def twin(self, owner: Owner, file: str, revision: str, other: Owner, artifact: Artifact) -> Artifact | None:
        """Stores the bytes of another object's artifact as the owner's `file`, as one file on disk with two names; what
        it says of where they come from is the same.

        None when they are gone or damaged, or the file system has no hard links: then they must be written anew.
        """
        return await self.run(self._twin, owner, file, revision, other, artifact)

    def _twin(self, owner: Owner, file: str, revision: str, other: Owner, artifact: Artifact) -> Artifact | None:
        path, folder = self._path_of(owner, file), self.root / owner.directory
        part = folder / f"{PART}{uuid.uuid4().hex}"
        try:
            source = self.file(other, artifact)
            if source is None or self._check(other, artifact) != "stored":
                return None
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.hardlink_to(source)
            pinned = self._place(part, path, artifact.digest)
        except (OSError, StorageError):
            return None
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return self._artifact(path, revision, artifact.digest, pinned, artifact.size, artifact.metadata)

    def _artifact(
        self, path: str, revision: str, value: str, pinned: bool, size: int | None, metadata: Mapping[str, str] | None
    ) -> Artifact:
        return Artifact(
            path=path,
            url=self.url(path, pinned=value if pinned else ""),
            revision=revision,
            digest=value,
            last_update_time=format_time(datetime.now(UTC)),
            size=size,
            metadata=dict(metadata or {}),
        )

    def _place(self, part: Path, path: str, value: str) -> bool:
        """Gives a finished file its name. True when it is a digest's own because the plain one has other content."""
        plain = self.root / path
        pinned = plain.is_file() and not digest.equal(self._digest_of(path, self.algorithm), value)
        name = addresses.pinned_name(path, value) if pinned else path
        final = self.root / name
        if final.is_file() and digest.equal(self._digest_of(name, self.algorithm), value):
            os.utime(final)
        else:
            part.rename(final)
            _sync_directory(final.parent)
        self._note(name, _identity(final), value)
        return pinned

    async def link(self, owner: Owner, artifact: Artifact, name: str) -> str:
        """Makes `name` in the owner's directory point to the artifact, in one step, and returns its address."""
        return await self.run(self._link, owner, artifact, name)

    def _link(self, owner: Owner, artifact: Artifact, name: str) -> str:
        path = self._path_of(owner, name)
        target = self._file_of(owner, artifact)
        if target is None:
            raise StorageError(f"{artifact.path} is no longer in storage")
        fresh = self.root / owner.directory / f"{PART}{name}"
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(PurePosixPath(target).name)
            fresh.rename(self.root / path)
        except OSError as error:
            raise explained(error, f"can't link {path}") from error
        return self.url(path)

    # ---- read -------------------------------------------------------------------------------------------------------

    def file(self, owner: Owner, artifact: Artifact) -> Path | None:
        """Where the artifact's bytes are; None when they are gone. Verify first: see `check`."""
        name = self._file_of(owner, artifact)
        return None if name is None else self.root / name

    async def check(self, owner: Owner, artifact: Artifact) -> State:
        """Are the artifact's bytes still what its digest says? A damaged file is removed at once."""
        return await self.run(self._check, owner, artifact)

    def _check(self, owner: Owner, artifact: Artifact) -> State:
        name = self._file_of(owner, artifact)
        if name is None:
            return "gone"
        try:
            algorithm, _ = digest.parse(artifact.digest)
            if digest.equal(self._digest_of(name, algorithm), artifact.digest):
                return "stored"
        except digest.DigestError:
            pass
        except FileNotFoundError:
            return "gone"
        except OSError as error:
            raise explained(error, f"can't read {artifact.path}") from error
        self._forget(name)
        (self.root / name).unlink(missing_ok=True)
        return "damaged"

    def _digest_of(self, name: str, algorithm: str) -> str:
        """A file's digest; read again only when the file is not the one whose digest is known."""
        file = self.root / name
        identity = _identity(file)
        folder, _, base = name.rpartition("/")
        known = self._known[folder].get(base)
        if known and known[0] == identity and known[1].startswith(algorithm + ":"):
            return known[1]
        value = digest.of_file(file, algorithm)
        self._note(name, identity, value)
        return value

    def _note(self, name: str, identity: tuple[int, int, int], value: str) -> None:
        folder, _, base = name.rpartition("/")
        self._known[folder][base] = identity, value

    def _forget(self, name: str) -> None:
        folder, _, base = name.rpartition("/")
        self._known[folder].pop(base, None)

    def _file_of(self, owner: Owner, artifact: Artifact) -> str | None:
        """The name below the root under which the artifact's bytes are, if they are this owner's and exist."""
        path = artifact.path
        if PurePosixPath(path).parent.as_posix() != owner.directory or not addresses.is_plain(PurePosixPath(path).name):
            return None
        name = addresses.pinned_name(path, artifact.digest) if addresses.is_pinned(artifact) else path
        file = self.root / name
        return name if file.is_file() and not file.is_symlink() else None

    # ---- clean up ---------------------------------------------------------------------------------------------------

    async def collect(self, owner: Owner, current: Artifact) -> list[str]:
        """Removes the owner's artifacts that are old or too many, never the current one; returns their paths."""
        return await self.run(self._collect, owner, current)

    def _collect(self, owner: Owner, current: Artifact) -> list[str]:
        keep = self._file_of(owner, current) or current.path
        try:
            stored = [retention.Stored(f"{owner.directory}/{name}", age) for name, age in self._files(owner)]
            gone = retention.garbage(stored, keep, ttl=self.ttl, records=self.records)
            for path in gone:
                self._forget(path)
                (self.root / path).unlink(missing_ok=True)
                (self.root / f"{path}.lock").unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, f"can't collect the artifacts of {owner.directory}") from error
        return gone

    def _files(self, owner: Owner) -> Iterable[tuple[str, float]]:
        now = time.time()
        folder = self.root / owner.directory
        if not folder.is_dir():
            return
        with os.scandir(folder) as found:
            for count, child in enumerate(found):
                if count >= _COLLECT_LIMIT:
                    return
                hidden = child.name.startswith(PART) or child.name.endswith(".lock")
                if not hidden and child.is_file(follow_symlinks=False):
                    yield child.name, now - child.stat(follow_symlinks=False).st_mtime

    async def remove(self, owner: Owner) -> None:
        """Removes everything that is stored for an object."""
        await self.run(self._remove, owner)

    def _remove(self, owner: Owner) -> None:
        self._known.pop(owner.directory, None)
        folder = self.root / self._path_of(owner, "x")
        try:
            shutil.rmtree(folder.parent, ignore_errors=False)
        except FileNotFoundError:
            return
        except OSError as error:
            raise explained(error, f"can't remove the artifacts of {owner.directory}") from error

    async def open(self) -> None:
        """Makes the root, and sweeps what an earlier process left unfinished. Before the first attempt."""
        await self.run(self._open)

    def _open(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in self.root.glob(f"*/*/*/{PART}*"):
                left.unlink(missing_ok=True)
            probe = self.root / f"{PART}probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise explained(error, "can't use the storage directory") from error

    def _path_of(self, owner: Owner, file: str) -> str:
        if not all(addresses.is_plain(part) for part in (owner.kind, owner.namespace, owner.name, file)):
            raise StorageError(f"'{owner.directory}/{file}' is no path for an artifact")
        return f"{owner.directory}/{file}"


def _identity(file: Path) -> tuple[int, int, int]:
    info = file.stat()
    return info.st_ino, info.st_size, info.st_mtime_ns


def _changed(artifact: Artifact, **values: Any) -> Artifact:
    fields = {name: getattr(artifact, name) for name in artifact.__struct_fields__}
    return Artifact(**{**fields, **values})


def _sync_directory(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Counted:
    """A file for writing only that hashes and counts what passes."""

    def __init__(self, out: Any, algorithm: str):
        self._out = out
        self.hash = digest.hasher(algorithm)
        self.size = 0

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        self.size += len(data)
        self._out.write(data)
        return len(data)
