"""A remote: ask what it has, and bring one commit's files here.

    Session(address, credentials) → resolve → Head → fetch → Commit → checkout → files

Asking costs one request and no clone; fetching takes one commit without history; a mirror saves both where somebody
has asked or fetched before. A session's private files (identity, known hosts, certificates, the helper that answers
prompts) exist as long as its block runs, readable by this user only.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import posixpath
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.artifact.revision import of_commit
from shared.git import command, private, refs
from shared.git.credentials import Address, Credentials
from shared.git.errors import GitError, MissingDirectory, RefNotFound, TimedOut, TooLarge
from shared.git.mirrors import Mirror
from shared.git.refs import Head, Reference

_MEBIBYTE = 1 << 20
_HERE = "refs/fluvial/head"

# Files arrive as they were committed: no line endings, keywords or encodings are changed on the way.
_ATTRIBUTES = "* -text -ident -filter -working-tree-encoding\n"


@dataclass(frozen=True)
class Options:
    """What the controller's flags say of connections."""

    host_key_algorithms: tuple[str, ...] = ()
    key_exchange_algorithms: tuple[str, ...] = ()
    max_bytes: int = 2048 * _MEBIBYTE
    """Of the files of one commit."""
    max_files: int = 500_000


@dataclass(frozen=True)
class Tag:
    """An annotated tag."""

    name: str
    hash: str
    raw: bytes


@dataclass(frozen=True)
class Commit:
    """A commit that was fetched."""

    hash: str
    name: str
    """How the revision names it; see Head."""
    raw: bytes
    """The commit object as git stores it, signature included."""
    tag: Tag | None
    """The annotated tag through which it was found."""
    head: Head
    mirror: Mirror | None = field(default=None, repr=False)
    """What has its files, when that isn't the session's own repository."""

    @property
    def revision(self) -> str:
        return of_commit(self.name, self.hash)

    @property
    def message(self) -> str:
        return self.raw.partition(b"\n\n")[2].decode(errors="replace")

    @property
    def title(self) -> str:
        """The message's first line, cut to 50 characters."""
        first = self.message.strip().split("\n", 1)[0].strip()
        return first if len(first) <= 50 else first[:50] + "..."


class Session:
    """One remote while its credentials are in place; made by `session`."""

    def __init__(self, at: Address, credentials: Credentials, options: Options, home: Path, seconds: float):
        self._at = at
        self._credentials = credentials
        self._options = options
        self._home = home
        self._allowed = seconds
        self._deadline = time.monotonic() + seconds
        user = f"{credentials.username}@" if at.scheme == "ssh" else ""
        self._url = at.url.replace("://", f"://{user}", 1)
        self._env: dict[str, str] = {}
        self._store = home / "own" / ".git"

    def prepare(self) -> None:
        """Puts the credentials in place. Blocks."""
        self._env = private.environment(
            self._at,
            self._credentials,
            self._home,
            host_keys=self._options.host_key_algorithms,
            key_exchanges=self._options.key_exchange_algorithms,
        )

    async def resolve(self, reference: Reference, *, mirror: Mirror | None = None, since: float = math.inf) -> Head:
        """The commit that `reference` selects now. One request; none when the reference is a commit, or when somebody
        asked `since` that time of the event loop and `mirror` knows the answer.

        RefNotFound when there is none, EmptyRepository when there is nothing at all, GitError for all else.
        """
        refs.require_valid(reference)
        patterns = refs.wanted(reference)
        advertised: Mapping[str, str] = {}
        if patterns and mirror is not None:
            advertised = await mirror.advertised(patterns, since, lambda: self._advertised(patterns))
        elif patterns:
            advertised = await self._advertised(patterns)
        try:
            return refs.choose(reference, advertised)
        except RefNotFound:
            if not advertised:
                refs.require_any(await self._advertised(()))
            raise

    async def fetch(self, head: Head, *, submodules: bool = False, mirror: Mirror | None = None) -> Commit:
        """Brings a commit, without history, and says which one: the newest of the head's reference, or exactly the
        head's when it is pinned.

        What `mirror` has is not fetched again; a broken one is removed and done without. One that is to be checked out
        with its `submodules`, and a pinned one, don't need it.
        """
        if mirror is None or submodules or head.pinned:
            return await self._fetch_alone(head)
        try:
            return await self._fetch_shared(head, mirror)
        except GitError as error:
            if type(error) is not GitError:
                raise
        commit = await self._fetch_alone(head)
        await mirror.drop()  # the remote gives all that it takes: it is the mirror that is broken
        return commit

    async def checkout(
        self, commit: Commit, dest: Path, *, sparse: Sequence[str] = (), submodules: bool = False
    ) -> None:
        """Writes the files of a commit that this session fetched to the new directory `dest`.

        `sparse` are the directories to take, all when empty. `submodules` brings these too, recursively, with the same
        credentials where they are of the same host.
        """
        await command.in_thread(dest.mkdir)
        if commit.mirror is not None:
            try:
                index = {"GIT_INDEX_FILE": os.fspath(self._home / "index")}
                await self._write(commit, dest, sparse, {"GIT_DIR": os.fspath(commit.mirror.path)} | index)
                return
            except GitError as error:
                if type(error) is not GitError:
                    raise
            await command.in_thread(shutil.rmtree, dest, True)
            await command.in_thread(dest.mkdir)
            await self._fetch_alone(replace(commit.head, commit=commit.hash, pinned=True))
            await commit.mirror.drop()
        await self._write(commit, dest, sparse, {"GIT_DIR": os.fspath(self._store)})
        if submodules:
            await self._submodules(commit.hash, dest)

    async def _fetch_alone(self, head: Head) -> Commit:
        """By way of this session's own repository."""
        await self._git("init", "-q", os.fspath(self._store.parent))
        await command.in_thread(_prepare_repository, self._store)
        where = {"GIT_DIR": os.fspath(self._store)}
        await self._fetch(head, _HERE, where, shallow=False)
        found = await self._commit(head, _HERE, where)
        if found is None:
            raise RefNotFound(f"{head.ref or head.commit} is no commit")
        return found

    async def _fetch_shared(self, head: Head, mirror: Mirror) -> Commit:
        """By way of a mirror, which one session at a time changes and any number read."""
        where = {"GIT_DIR": os.fspath(mirror.path)}
        here = f"refs/fluvial/{hashlib.sha256(head.ref.encode()).hexdigest()}"
        async with mirror.fetching:
            if not mirror.fetches:
                await self._git("init", "-q", "--bare", os.fspath(mirror.path))
                await command.in_thread(_prepare_repository, mirror.path)
            found = await self._commit(head, here, where) if mirror.fetches else None
            if found is None or head.object != (found.tag.hash if found.tag else found.hash):
                mirror.fetches += 1
                await self._fetch(head, here, where, shallow=True)
                found = await self._commit(head, here, where)
            if found is None:
                raise RefNotFound(f"{head.ref} is no commit")
        return replace(found, mirror=mirror)

    async def _write(self, commit: Commit, dest: Path, sparse: Sequence[str], where: Mapping[str, str]) -> None:
        """Writes the commit's files, or those in the directories `sparse`, to `dest`."""
        files = {**where, "GIT_WORK_TREE": os.fspath(dest), "GIT_LITERAL_PATHSPECS": "1"}
        directories = [posixpath.normpath(path) for path in sparse]
        everything = not directories or "." in directories
        listing = await self._listing(commit.hash, () if everything else directories, where)
        _require_directories(directories, sparse, listing)
        if everything:
            await self._git("read-tree", "--reset", "-u", commit.hash, cwd=dest, env=files)
        else:
            await self._git("checkout", "-q", commit.hash, "--", *directories, cwd=dest, env=files)

    async def _advertised(self, patterns: Sequence[str]) -> dict[str, str]:
        result = await self._git("ls-remote", "-q", "--", self._url, *patterns)
        return refs.parse(result.stdout.decode(errors="replace"))

    async def _fetch(self, head: Head, here: str, where: Mapping[str, str], *, shallow: bool) -> None:
        """Fetches the head's commit as `here`, without history or, where the server can't do that, unless `shallow`,
        with it."""
        fetch = ("fetch", "-q", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
        source = head.commit if head.pinned else head.ref
        try:
            await self._git(*fetch, "--depth=1", "--", self._url, f"+{source}:{here}", env=where)
            return
        except GitError as error:
            if shallow:
                raise
            whole = "dumb http transport does not support" in str(error)
            if not whole and not (head.pinned and isinstance(error, RefNotFound)):
                raise
        # The server gives only what a reference points to, or can't cut the history: fetch all of it.
        if not head.pinned:
            await self._git(*fetch, "--", self._url, f"+{source}:{here}", env=where)
            return
        everything = f"+{head.ref}:refs/fluvial/all" if head.ref else "+refs/heads/*:refs/fluvial/all/*"
        await self._git(*fetch, "--", self._url, everything, env=where)
        found = await self._git("cat-file", "-e", f"{head.commit}^{{commit}}", env=where, check=False)
        if found.status != 0:
            among = f" in {head.ref}" if head.ref else ""
            raise RefNotFound(f"unable to resolve commit object for '{head.commit}': object not found{among}")
        await self._git("update-ref", here, head.commit, env=where)

    async def _commit(self, head: Head, here: str, where: Mapping[str, str]) -> Commit | None:
        """The commit that the reference `here` leads to; None when it is none, or isn't there."""
        asked = f"{here}\n{here}^{{commit}}\n".encode()
        printed = await self._git("cat-file", "--batch", env=where, stdin=asked, output=2 * _MEBIBYTE)
        objects = _objects(printed.stdout)
        if len(objects) != 2 or objects[1].kind != "commit":
            return None
        found, commit = objects
        tag = Tag(head.ref.removeprefix("refs/tags/"), found.hash, found.raw) if found.kind == "tag" else None
        return Commit(commit.hash, head.name, commit.raw, tag, head)

    async def _listing(self, commit: str, directories: Sequence[str], where: Mapping[str, str]) -> list[bytes]:
        """The paths of the commit's files, or of those in some directories. TooLarge before anything is written when
        they are too many or too big."""
        wanted = [path for path in directories if not path.startswith(("/", ".."))]
        result = await self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *wanted, env=where)
        paths: list[bytes] = []
        total = 0
        for entry in result.stdout.split(b"\0")[:-1]:
            about, _, path = entry.partition(b"\t")
            size = about.split()[-1]
            total += int(size) if size.isdigit() else 0
            paths.append(path)
        if len(paths) > self._options.max_files:
            raise TooLarge(f"the commit has {len(paths)} files, more than {self._options.max_files}")
        if total > self._options.max_bytes:
            raise TooLarge(f"the commit's files have {total} bytes, more than {self._options.max_bytes}")
        return paths

    async def _submodules(self, commit: str, dest: Path) -> None:
        here = dest / ".git"  # submodules write down where it is, relative to them
        await command.in_thread(shutil.move, self._store, here)
        await self._git("config", "remote.origin.url", self._url, cwd=dest)
        await self._git("update-ref", "--no-deref", "HEAD", commit, cwd=dest)
        update = ("submodule", "--quiet", "update", "--init", "--recursive", "--force", "--checkout")
        try:
            await self._git(*update, "--depth=1", cwd=dest)
        except RefNotFound:  # the server gives only what a reference points to
            await self._git(*update, cwd=dest)
        await command.in_thread(shutil.rmtree, here)

    async def _git(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        output: int = command.OUTPUT,
        check: bool = True,
    ) -> command.Result:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(f"timed out after {self._allowed:g} seconds")
        try:
            return await command.run(
                arguments,
                cwd=cwd or self._home,
                env={**self._env, **(env or {})},
                seconds=left,
                stdin=stdin,
                output=output,
                secrets=self._credentials.secrets,
                check=check,
            )
        except TimedOut as error:
            raise TimedOut(f"timed out after {self._allowed:g} seconds") from error
        except GitError as error:
            if str(error).endswith("knownhosts: key is unknown") and self._is_known_host():
                raise GitError(str(error).replace("key is unknown", "key mismatch")) from error
            raise

    def _is_known_host(self) -> bool:
        """Are there keys for this host, if only of other types?"""
        name = self._at.host if self._at.port in (None, 22) else f"[{self._at.host}]:{self._at.port}"
        lines = (line.split() for line in self._credentials.known_hosts.splitlines())
        return any(name in words[0].split(",") for words in lines if words)


@asynccontextmanager
async def session(
    at: Address, credentials: Credentials, *, seconds: float, options: Options | None = None
) -> AsyncIterator[Session]:
    """A remote with its credentials in place, for `seconds` in all."""
    home = Path(tempfile.mkdtemp(prefix="git-"))
    try:
        made = Session(at, credentials, options or Options(), home, seconds)
        await command.in_thread(made.prepare)
        yield made
    finally:
        await asyncio.shield(command.in_thread(shutil.rmtree, home, True))


@dataclass(frozen=True)
class _Object:
    hash: str
    kind: str
    raw: bytes


def _objects(printed: bytes) -> list[_Object]:
    """What `git cat-file --batch` prints; what is missing is left out."""
    found = []
    while printed:
        line, _, printed = printed.partition(b"\n")
        words = line.decode(errors="replace").split(" ")
        if len(words) == 3 and words[2].isdigit():
            size = int(words[2])
            found.append(_Object(words[0], words[1], printed[:size]))
            printed = printed[size + 1 :]
    return found


def _require_directories(directories: Sequence[str], given: Sequence[str], listing: Sequence[bytes]) -> None:
    for directory, path in zip(directories, given, strict=True):
        if directory == ".":
            continue
        name = os.fsencode(directory)
        if directory.startswith(("/", "..")) or not any(
            found == name or found.startswith(name + b"/") for found in listing
        ):
            raise MissingDirectory(f"sparse checkout dir '{path}' does not exist in repository")


def _prepare_repository(store: Path) -> None:
    attributes = store / "info" / "attributes"
    attributes.parent.mkdir(parents=True, exist_ok=True)
    attributes.write_text(_ATTRIBUTES)
