"""Fetching: an advertised artifact becomes a directory (or a file), verified, once per digest whoever asks.

    Artifact → HTTP → bytes that match the digest → unpacked tree in the cache → path

What always holds: a tree that is handed out was made of bytes with the advertised digest, is complete, is shared by all
who ask for that digest and must not be written to. The cache keeps to its size by dropping the trees that were unused
for longest; one that somebody holds stays.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import aiohttp
from yarl import URL

from shared.api.meta import Artifact
from shared.artifact import digest
from shared.artifact.tar import ArchiveError
from shared.artifact.unpack import MEBIBYTE, Limits, unpack
from shared.http.proxy import of_environment

_BLOCK = 1 << 17
_GRACE = 300.0
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class ArtifactError(Exception):
    """The artifact can't be had: the server failed, the bytes don't match the digest, or the tarball is refused."""


class ArtifactNotFound(ArtifactError):
    """The server answers 404: the source moved on, or has not stored it (again) yet."""


class _AgainError(ArtifactError):
    """Worth another try."""

    after: float = 0.0


@dataclass
class _Tree:
    path: Path
    size: int
    used: float = field(default_factory=time.monotonic)
    holders: int = 0


_Fetch: TypeAlias = tuple[str, str, int]
"""Digest, address and how often it is tried again."""


class Fetcher:
    """Fetches artifacts into a cache below `root`, which this process has for itself.

    `retries` more tries follow a failed one, after 5 to 30 seconds each (upstream's --http-retry). `max_bytes` bounds
    the unpacked trees; one larger than that is kept only while it is held. `max_archive` bounds one download.
    """

    def __init__(
        self,
        root: Path,
        *,
        retries: int = 9,
        wait: tuple[float, float] = (5.0, 30.0),
        max_bytes: int = 4096 * MEBIBYTE,
        max_archive: int = 1024 * MEBIBYTE,
        limits: Limits | None = None,
        timeout: float = 300.0,
    ):
        self._root = root
        self._retries = retries
        self._wait = wait
        self._max_bytes = max_bytes
        self._max_archive = max_archive
        self._limits = limits or Limits()
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=10.0, sock_read=30.0)
        self._session: aiohttp.ClientSession | None = None
        self._trees: dict[str, _Tree] = {}
        self._running: dict[_Fetch, asyncio.Task[_Tree]] = {}
        self._waiters: dict[_Fetch, int] = {}
        self._placing = asyncio.Lock()
        self._ready = False
        self._closed = False

    async def close(self) -> None:
        """Ends running fetches and drops the connections. The cache's directory stays as it is."""
        self._closed = True
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        if self._session:
            await self._session.close()

    async def fetch(self, artifact: Artifact, *, retries: int | None = None) -> Path:
        """The root of the artifact's unpacked tree, to read. It stays for five minutes at least; longer: `hold`.

        ArtifactNotFound on 404, without another try; ArtifactError for all else.
        """
        return (await self._tree(artifact, retries)).path

    @asynccontextmanager
    async def hold(self, artifact: Artifact, *, retries: int | None = None) -> AsyncIterator[Path]:
        """As `fetch`; the tree stays for as long as the block runs."""
        tree = await self._tree(artifact, retries)
        tree.holders += 1
        try:
            yield tree.path
        finally:
            tree.holders -= 1
            tree.used = time.monotonic()

    async def download(self, artifact: Artifact, dest: Path, *, retries: int | None = None) -> None:
        """The artifact's bytes, verified, as the new file `dest`, for artifacts that are no trees (charts)."""
        await self._downloaded(artifact, dest, self._retries if retries is None else retries)

    # ---- one tree per digest ----------------------------------------------------------------------------------------

    async def _tree(self, artifact: Artifact, retries: int | None) -> _Tree:
        if tree := self._trees.get(artifact.digest):
            tree.used = time.monotonic()
            return tree
        tries = self._retries if retries is None else retries
        # Who wants one try doesn't wait for another's many, nor who knows where it is now for one at its old address.
        key = artifact.digest, artifact.url, tries
        while not self._closed:
            task = self._running.get(key)
            if task is None:
                made = self._made(artifact, tries)
                task = self._running[key] = asyncio.create_task(made, name=f"fetch {artifact.digest}")
                task.add_done_callback(lambda _: self._running.pop(key, None))
            self._waiters[key] = self._waiters.get(key, 0) + 1
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if _is_cancelled():
                    if self._waiters[key] == 1:  # nobody waits for it any more
                        task.cancel()
                    raise
                # Those who wanted it before have left; once more, for this one.
            finally:
                self._waiters[key] -= 1
                if not self._waiters[key]:
                    del self._waiters[key]
        raise ArtifactError(f"artifact {artifact.path} was not fetched: the fetcher is closed")

    async def _made(self, artifact: Artifact, retries: int) -> _Tree:
        algorithm, value = _parsed(artifact)
        await self._prepare()
        with tempfile.TemporaryDirectory(prefix=".part-", dir=self._root) as part:
            archive = Path(part) / "archive"
            await self._downloaded(artifact, archive, retries)
            tree = Path(part) / "tree"
            await asyncio.to_thread(_unpacked, archive, tree, self._limits, artifact.path)
            size = await asyncio.to_thread(_disk_usage, tree)
            final = self._root / f"{algorithm}-{value}"
            async with self._placing:
                if found := self._trees.get(artifact.digest):  # another was faster, and it may be held
                    return found
                await asyncio.to_thread(_replace, tree, final)
                made = self._trees[artifact.digest] = _Tree(final, size)
        await self._shrink(keep=artifact.digest)
        return made

    async def _prepare(self) -> None:
        async with self._placing:  # the first fetches come at once, and one must not empty what another is filling
            if not self._ready:
                # What an earlier process left is not trusted: its digest can't be checked any more.
                await asyncio.to_thread(_emptied, self._root)
                self._ready = True

    async def _shrink(self, keep: str) -> None:
        total = sum(tree.size for tree in self._trees.values())
        now = time.monotonic()
        for key, tree in sorted(self._trees.items(), key=lambda item: item[1].used):
            if total <= self._max_bytes:
                return
            if key == keep or tree.holders or now - tree.used < _GRACE:
                continue
            del self._trees[key]
            total -= tree.size
            await asyncio.to_thread(shutil.rmtree, tree.path, ignore_errors=True)

    # ---- download ---------------------------------------------------------------------------------------------------

    async def _downloaded(self, artifact: Artifact, dest: Path, retries: int) -> None:
        for attempt in range(retries + 1):
            try:
                await self._download(artifact, dest)
                return
            except _AgainError as error:
                if attempt == retries:
                    raise ArtifactError(str(error)) from error
                least, most = self._wait
                delay = min(most, max(error.after, least * 2**attempt))
                await asyncio.sleep(delay * random.uniform(0.9, 1.1))  # noqa: S311 (spreads load, guards nothing)

    async def _download(self, artifact: Artifact, dest: Path) -> None:
        algorithm, _ = _parsed(artifact)
        hashed = digest.hasher(algorithm)
        address = overridden(artifact.url)
        size = 0
        try:
            async with self._http().get(address, proxy=of_environment(str(address))) as response:
                if response.status == 404:
                    raise ArtifactNotFound(f"artifact {artifact.path} is not found at {address}")
                if response.status != 200:
                    raise _status_error(response, f"{address} answers {response.status} {response.reason}")
                with dest.open("wb") as out:
                    async for block in response.content.iter_chunked(_BLOCK):
                        size += len(block)
                        if size > self._max_archive:
                            raise ArtifactError(f"artifact {artifact.path} is larger than {self._max_archive} bytes")
                        hashed.update(block)
                        out.write(block)
        except aiohttp.InvalidURL as error:
            raise ArtifactError(f"the artifact's address is no URL: {artifact.url!r}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise _AgainError(f"can't fetch {address}: {problem}") from error
        except OSError as error:
            raise ArtifactError(f"can't store {artifact.path}: {error.strerror}") from error
        found = f"{algorithm}:{hashed.hexdigest()}"
        if not digest.equal(found, artifact.digest):
            raise ArtifactError(f"{address} has the digest {found}, but the source says {artifact.digest}")

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                connector=aiohttp.TCPConnector(limit_per_host=16, keepalive_timeout=60),
                auto_decompress=False,
            )
        return self._session


def overridden(address: str) -> URL:
    """The address with the host that SOURCE_CONTROLLER_LOCALHOST or SOURCE_WATCHER_LOCALHOST sets, if one is set.

    For controllers that run outside the cluster whose addresses the sources advertise.
    """
    url = URL(address)
    name = "SOURCE_WATCHER_LOCALHOST" if url.path.startswith("/externalartifact/") else "SOURCE_CONTROLLER_LOCALHOST"
    if other := os.environ.get(name):
        host, colon, port = other.rpartition(":")
        url = url.with_host(host if colon else other).with_port(int(port) if colon else None)
    return url


def _parsed(artifact: Artifact) -> tuple[str, str]:
    try:
        return digest.parse(artifact.digest)
    except digest.DigestError as error:
        raise ArtifactError(f"artifact {artifact.path}: {error}") from error


def _status_error(response: aiohttp.ClientResponse, message: str) -> ArtifactError:
    if response.status not in _RETRIED:
        return ArtifactError(message)
    again = _AgainError(message)
    after = response.headers.get("Retry-After", "")
    again.after = float(after) if after.isdigit() else 0.0
    return again


def _unpacked(archive: Path, tree: Path, limits: Limits, shown: str) -> None:
    try:
        with archive.open("rb") as opened:
            unpack(opened, tree, limits)
    except ArchiveError as error:
        raise ArtifactError(f"artifact {shown} can't be unpacked: {error}") from error
    except OSError as error:
        raise ArtifactError(f"artifact {shown} can't be unpacked: {error.strerror}") from error
    archive.unlink()


def _disk_usage(tree: Path) -> int:
    total = 0
    folders = [os.fspath(tree)]
    while folders:
        with os.scandir(folders.pop()) as found:
            for child in found:
                if child.is_dir(follow_symlinks=False):
                    folders.append(child.path)
                else:
                    total += child.stat(follow_symlinks=False).st_size
    return total


def _replace(tree: Path, final: Path) -> None:
    if final.exists():
        shutil.rmtree(final)
    tree.rename(final)


def _emptied(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in root.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return bool(task and task.cancelling())
