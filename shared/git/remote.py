"""A remote: ask what it has, and bring one commit's files here.

    Session(address, credentials) → resolve → Head → checkout → files and Commit

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
import shlex
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import get_default_verify_paths

from shared.artifact.revision import of_commit
from shared.git import command, refs
from shared.git.credentials import Address, Credentials
from shared.git.errors import GitError, MissingDirectory, RefNotFound, TimedOut, TooLarge
from shared.git.mirrors import Mirror
from shared.git.refs import Head, Reference

_MEBIBYTE = 1 << 20
_HERE = "refs/fluvial/head"

# Answers git's and ssh's prompts, but only for the host that the credentials are for: a submodule or redirect that
# leads elsewhere gets nothing.
_ASKPASS = """#!/bin/sh
case "$1" in
"Username for '$FLUVIAL_ORIGIN': ") printf '%s\\n' "$FLUVIAL_USERNAME" ;;
"Password for '"*"@$FLUVIAL_HOST': ") printf '%s\\n' "$FLUVIAL_PASSWORD" ;;
*passphrase*) printf '%s\\n' "$FLUVIAL_PASSPHRASE" ;;
*) exit 1 ;;
esac
"""
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
    """The commit that was checked out."""

    hash: str
    name: str
    """How the revision names it; see Head."""
    raw: bytes
    """The commit object as git stores it, signature included."""
    tag: Tag | None = None
    """The annotated tag through which it was found."""

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

    async def checkout(
        self,
        head: Head,
        dest: Path,
        *,
        sparse: Sequence[str] = (),
        submodules: bool = False,
        mirror: Mirror | None = None,
    ) -> Commit:
        """Brings the files of `head` into the new directory `dest` and says which commit they are of.

        The commit is the newest one of the head's reference, or exactly the head's when that has none. `sparse` are
        the directories to take, all when empty. `submodules` brings these too, recursively, with the same credentials
        where they are of the same host. What `mirror` has is not fetched again; a broken one is removed and done
        without. Submodules and a single commit don't need it.
        """
        if mirror is not None and not submodules and not head.pinned:
            try:
                return await self._mirrored(head, dest, mirror, sparse)
            except GitError as error:
                if type(error) is not GitError:
                    raise
                await command.in_thread(shutil.rmtree, dest, True)
        store = dest / ".git"
        await self._git("init", "-q", os.fspath(dest))
        await command.in_thread(_prepare_repository, store)
        where = {"GIT_DIR": os.fspath(store)}
        await self._fetch(head, _HERE, where, shallow=False)
        commit = await self._commit(head, _HERE, where)
        await self._write(commit, dest, sparse, where)
        if submodules:
            await self._submodules(commit.hash, dest)
        elif mirror is not None and not head.pinned:
            await mirror.drop()  # the remote gives all that it takes: it is the mirror that is broken
        await command.in_thread(shutil.rmtree, store)
        return commit

    async def _mirrored(self, head: Head, dest: Path, mirror: Mirror, sparse: Sequence[str]) -> Commit:
        """The files by way of a mirror, which one session at a time changes and any number read."""
        where = {"GIT_DIR": os.fspath(mirror.path)}
        here = f"refs/fluvial/{hashlib.sha256(head.ref.encode()).hexdigest()}"
        async with mirror.fetching:
            if not mirror.fetches:
                await self._git("init", "-q", "--bare", os.fspath(mirror.path))
                await command.in_thread(_prepare_repository, mirror.path)
            if not await self._has(head, here, where):
                mirror.fetches += 1
                await self._fetch(head, here, where, shallow=True)
            commit = await self._commit(head, here, where)
        await command.in_thread(dest.mkdir, exist_ok=True)
        await self._write(commit, dest, sparse, where | {"GIT_INDEX_FILE": os.fspath(self._home / "index")})
        return commit

    async def _has(self, head: Head, here: str, where: Mapping[str, str]) -> bool:
        """Whether a mirror's own reference is where the remote's is."""
        found = await self._git("rev-parse", "--verify", "-q", here, env=where, check=False)
        return bool(head.object) and found.stdout.decode().strip() == head.object

    async def _write(self, commit: Commit, dest: Path, sparse: Sequence[str], where: Mapping[str, str]) -> None:
        """Writes the commit's files, or those in the directories `sparse`, to `dest`."""
        files = {**where, "GIT_WORK_TREE": os.fspath(dest), "GIT_LITERAL_PATHSPECS": "1"}
        listing = await self._listing(commit.hash, where)
        directories = [posixpath.normpath(path) for path in sparse]
        _require_directories(directories, sparse, listing)
        if not directories or "." in directories:
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

    async def _commit(self, head: Head, here: str, where: Mapping[str, str]) -> Commit:
        shown = await self._git("rev-parse", "--verify", here, env=where)
        peeled = await self._git("rev-parse", "--verify", "-q", f"{here}^{{commit}}", env=where, check=False)
        if peeled.status != 0:
            raise RefNotFound(f"{head.ref or head.commit} is no commit")
        found, commit = shown.stdout.decode().strip(), peeled.stdout.decode().strip()
        tag = None
        if found != commit:
            raw = (await self._git("cat-file", "tag", found, env=where, output=_MEBIBYTE)).stdout
            tag = Tag(head.ref.removeprefix("refs/tags/"), found, raw)
        raw = (await self._git("cat-file", "commit", commit, env=where, output=_MEBIBYTE)).stdout
        return Commit(commit, head.name, raw, tag)

    async def _listing(self, commit: str, where: Mapping[str, str]) -> list[bytes]:
        """The paths of the commit's files. TooLarge before anything is written when they are too many or too big."""
        result = await self._git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, env=where)
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
        await self._git("config", "remote.origin.url", self._url, cwd=dest)
        await self._git("update-ref", "--no-deref", "HEAD", commit, cwd=dest)
        update = ("submodule", "--quiet", "update", "--init", "--recursive", "--force", "--checkout")
        try:
            await self._git(*update, "--depth=1", cwd=dest)
        except RefNotFound:  # the server gives only what a reference points to
            await self._git(*update, cwd=dest)

    async def _git(
        self,
        *arguments: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
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

    def _prepare(self) -> None:
        """Writes the private files and makes git's environment of them."""
        credentials, home = self._credentials, self._home
        extra: dict[str, str] = {}
        config: dict[str, str] = {}
        if credentials.ca:
            system = get_default_verify_paths().cafile
            ours = Path(system).read_text() if system and Path(system).is_file() else ""
            extra["GIT_SSL_CAINFO"] = _private(home / "ca.crt", f"{ours}\n{credentials.ca}\n")
        if credentials.certificate:
            extra["GIT_SSL_CERT"] = _private(home / "tls.crt", credentials.certificate)
            extra["GIT_SSL_KEY"] = _private(home / "tls.key", credentials.key)
        if credentials.bearer_token:
            config[f"http.{self._at.origin}/.extraHeader"] = f"Authorization: Bearer {credentials.bearer_token}"
            config["http.followRedirects"] = "false"  # git would send the header on
        if credentials.proxy:
            extra |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), credentials.proxy)
            extra |= {"HTTPS_PROXY": credentials.proxy, "ALL_PROXY": credentials.proxy, "no_proxy": "", "NO_PROXY": ""}
        if credentials.password and not credentials.identity:
            extra["GIT_ASKPASS"] = _private(home / "askpass", _ASKPASS, mode=0o700)
            extra["FLUVIAL_ORIGIN"] = self._at.origin
            extra["FLUVIAL_HOST"] = self._at.origin.partition("://")[2]
            extra["FLUVIAL_USERNAME"] = credentials.username
            extra["FLUVIAL_PASSWORD"] = credentials.password
        if credentials.identity:
            extra |= self._ssh()
        self._env = command.environment(extra, config, home)

    def _ssh(self) -> dict[str, str]:
        credentials, home = self._credentials, self._home
        identity = credentials.identity.replace("\r\n", "\n").strip("\n") + "\n"
        options = {
            "IdentityFile": _private(home / "identity", identity),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": _private(home / "known_hosts", credentials.known_hosts.rstrip("\n") + "\n"),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "CheckHostIP": "no",
            "PreferredAuthentications": "publickey",
            "ForwardAgent": "no",
            "PermitLocalCommand": "no",
            "ConnectTimeout": "30",
            "NumberOfPasswordPrompts": "1",
            "LogLevel": "ERROR",
        }
        if self._options.host_key_algorithms:
            options["HostKeyAlgorithms"] = ",".join(self._options.host_key_algorithms)
        if self._options.key_exchange_algorithms:
            options["KexAlgorithms"] = ",".join(self._options.key_exchange_algorithms)
        extra: dict[str, str] = {}
        if credentials.password:
            extra["SSH_ASKPASS"] = _private(home / "askpass", _ASKPASS, mode=0o700)
            extra["SSH_ASKPASS_REQUIRE"] = "force"
            extra["FLUVIAL_PASSPHRASE"] = credentials.password
        else:
            options["BatchMode"] = "yes"
        words = ["ssh", "-F", "/dev/null", *(f"-o{name}={value}" for name, value in options.items())]
        return {**extra, "GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}


@asynccontextmanager
async def session(
    at: Address, credentials: Credentials, *, seconds: float, options: Options | None = None
) -> AsyncIterator[Session]:
    """A remote with its credentials in place, for `seconds` in all."""
    home = Path(tempfile.mkdtemp(prefix="git-"))
    try:
        made = Session(at, credentials, options or Options(), home, seconds)
        await command.in_thread(made._prepare)
        yield made
    finally:
        await asyncio.shield(command.in_thread(shutil.rmtree, home, True))


def _require_directories(directories: Sequence[str], given: Sequence[str], listing: Sequence[bytes]) -> None:
    for directory, path in zip(directories, given, strict=True):
        if directory == ".":
            continue
        name = os.fsencode(directory)
        if directory.startswith(("/", "..")) or not any(
            found == name or found.startswith(name + b"/") for found in listing
        ):
            raise MissingDirectory(f"sparse checkout dir '{path}' does not exist in repository")


def _private(file: Path, content: str, mode: int = 0o600) -> str:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as out:
        out.write(content)
    return os.fspath(file)


def _prepare_repository(store: Path) -> None:
    attributes = store / "info" / "attributes"
    attributes.parent.mkdir(parents=True, exist_ok=True)
    attributes.write_text(_ATTRIBUTES)
